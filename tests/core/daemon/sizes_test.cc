// A shard holds as many clients as was promised, whatever the descriptor limit.

#include "core/daemon/sizes.h"

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

struct Row {
  const char* what;
  uint32_t per_shard;
  uint32_t table_max;
  uint32_t clients;
  uint32_t tables;
};

// A million in one table used to stop at 952,860, systemd's limit at 445,440 of 458,752, and where
// all slots of several tables were clients' nobody over the limit heard 421.
const Row kRows[] = {
    {"the smallest of all", 1, 512, 1, 1},
    {"what the smallest limit allows", 0, 512, 448, 1},
    {"what a limit of 20,000 allows", 0, 20000, 17500, 1},
    {"what systemd's limit allows", 0, 524288, 458752, 1},
    {"what the largest table allows", 0, 1048576, 917504, 1},
    {"a million in one table", 1000000, 1048576, 1000000, 1},
    {"just what one table takes", 17778, 20000, 17778, 1},
    {"one more", 17779, 20000, 17779, 2},
    {"as many as two tables have slots but for the kept half", 768, 512, 768, 3},
    {"a million in small tables", 1000000, 20000, 1000000, 51},
    {"more than the largest table", 1100000, 1048576, 1100000, 2},
    {"as many as there may be", kClientsPerShardMax, 1048576, kClientsPerShardMax, 3},
};

TEST(Sizes, KeepWhatLimitsPromise) {
  for (const Row& row : kRows) {
    const auto sizes = size_shard(row.per_shard, row.table_max);
    ASSERT_TRUE(sizes.has_value()) << row.what;
    EXPECT_EQ(sizes->clients, row.clients) << row.what;
    EXPECT_LE(sizes->table_slots, row.table_max) << row.what;
    EXPECT_EQ(sizes->slots, row.tables * sizes->table_slots) << row.what;
    EXPECT_LE(sizes->slots, kSlotsMax) << row.what;
    const uint32_t reserve = accept_reserve(sizes->slots, sizes->table_slots);
    EXPECT_GT(reserve, 0U) << row.what;
    EXPECT_GT(sizes->slots - reserve, sizes->clients) << row.what << ": nobody could hear 421";
  }
}

TEST(Sizes, NameTheLimitThatWouldDo) {
  const auto sizes = size_shard(1000000, 8192);
  ASSERT_FALSE(sizes.has_value());
  EXPECT_NE(sizes.error().text.find("to at least 15878,"), std::string::npos) << sizes.error().text;
  EXPECT_TRUE(size_shard(1000000, 15878).has_value()) << "the limit that was named";
  EXPECT_FALSE(size_shard(1000000, 15876).has_value()) << "less than the limit that was named";
}

}  // namespace
}  // namespace lychgate::daemon
