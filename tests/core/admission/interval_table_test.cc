// The interval table at its edges: extremes of the key, overlaps, and sizes around whole blocks.

#include "core/admission/interval_table.h"

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

constexpr uint32_t rank(uint32_t order, uint32_t value) {
  return order << kIntervalValueBits | value;
}

// A table with the memory that it is read from.
template <typename Key>
class Built {
 public:
  explicit Built(std::vector<Interval<Key>> intervals)
      : Built(IntervalTableBuilder<Key>(std::move(intervals))) {}
  const IntervalTable<Key>* operator->() const { return &table_; }

 private:
  struct alignas(kTableAlignment) Line {
    std::array<uint8_t, kTableAlignment> bytes;
  };
  explicit Built(const IntervalTableBuilder<Key>& builder)
      : lines_(IntervalTable<Key>::bytes_for(builder.segments()) / sizeof(Line)),
        table_(written(builder), builder.segments()) {}
  std::span<const uint8_t> written(const IntervalTableBuilder<Key>& builder) {
    const std::span<uint8_t> bytes(lines_.data()->bytes.data(), lines_.size() * sizeof(Line));
    builder.write(bytes);
    return bytes;
  }

  std::vector<Line> lines_;
  IntervalTable<Key> table_;
};

TEST(IntervalTable, FindsTheFirstInOrder) {
  struct Probe {
    const char* what;
    std::vector<Interval<Key32>> intervals;
    Key32 key;
    uint32_t want;
  };
  const Key32 top = ~Key32{0};
  const Probe probes[] = {
      {"empty: 0", {}, 0, 0},
      {"empty: 0 at the largest key", {}, top, 0},
      {"before an interval", {{10, 20, rank(0, 1)}}, 9, 0},
      {"its first key", {{10, 20, rank(0, 1)}}, 10, 1},
      {"its last key", {{10, 20, rank(0, 1)}}, 20, 1},
      {"after it", {{10, 20, rank(0, 1)}}, 21, 0},
      {"the largest key alone", {{top, top, rank(0, 2)}}, top, 2},
      {"just below the largest key", {{top, top, rank(0, 2)}}, top - 1, 0},
      {"everything", {{0, top, rank(0, 2)}}, top, 2},
      {"inner first wins inside", {{10, 20, rank(0, 1)}, {0, top, rank(1, 2)}}, 15, 1},
      {"inner first: outer on its right", {{10, 20, rank(0, 1)}, {0, top, rank(1, 2)}}, 21, 2},
      {"outer first hides the inner", {{0, top, rank(0, 2)}, {10, 20, rank(1, 1)}}, 15, 2},
      {"an earlier 0 hides a later 1", {{10, 20, rank(0, 0)}, {0, 30, rank(1, 1)}}, 15, 0},
      {"and the later 1 resumes", {{10, 20, rank(0, 0)}, {0, 30, rank(1, 1)}}, 25, 1},
      {"crossing: the earlier in order", {{10, 20, rank(1, 1)}, {15, 30, rank(0, 2)}}, 15, 2},
      {"neighbours do not leak", {{10, 14, rank(0, 1)}, {15, 20, rank(1, 2)}}, 15, 2},
  };
  for (const Probe& probe : probes) {
    EXPECT_EQ(Built<Key32>(probe.intervals)->find(probe.key), probe.want) << probe.what;
  }
}

TEST(IntervalTable, JoinsNeighboursOfOneValue) {
  std::vector<Interval<Key32>> intervals;
  for (uint32_t i = 0; i < 1000; ++i) intervals.push_back({i * 4, i * 4 + 3, rank(i, 1)});
  EXPECT_EQ(Built<Key32>(std::move(intervals))->segments(), 2U);
}

// Every size from one block to three levels, so that full, half-full and just-begun blocks of
// each level occur; the last interval ends at the largest key, where the padding lives.
template <typename Key>
void check_all_sizes() {
  for (uint32_t count = 1; count <= 300; ++count) {
    std::vector<Interval<Key>> intervals;
    for (uint32_t i = 0; i < count; ++i) {
      const Key first = ~Key{0} - Key{2 * (count - i) - 1};
      intervals.push_back({first + 1, first + 1, rank(i, i % 3 + 1)});
    }
    const Built<Key> table(intervals);
    for (const auto& interval : intervals) {
      ASSERT_EQ(table->find(interval.first), interval.rank & 3) << "of " << count;
      ASSERT_EQ(table->find(interval.first - 1), 0U) << "of " << count;
    }
    ASSERT_EQ(table->find(0), 0U) << "of " << count;
  }
}

TEST(IntervalTable, TakesAsManyBytesAsItsSegmentsNeed) {
  const struct {
    const char* what;
    size_t segments;
    size_t bytes32;
    size_t bytes128;
  } rows[] = {
      {"one block, one line of values", 1, 64 + 64, 256 + 64},
      {"a full block", 16, 64 + 64, 256 + 64},
      {"two blocks and their fences", 17, 3 * 64 + 64, 3 * 256 + 64},
      {"two full levels, a full line of values", 256, 17 * 64 + 64, 17 * 256 + 64},
      {"three levels, a second line", 257, 20 * 64 + 128, 20 * 256 + 128},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(IntervalTable<Key32>::bytes_for(row.segments), row.bytes32) << row.what;
    EXPECT_EQ(IntervalTable<Key128>::bytes_for(row.segments), row.bytes128) << row.what;
  }
  EXPECT_GT(IntervalTable<Key32>::bytes_for(IntervalTable<Key32>::kSegmentsMax), size_t{1} << 34)
      << "the largest has levels enough";
}

TEST(IntervalTable, WorksAtEverySizeOf32Bits) {
  check_all_sizes<Key32>();
}
TEST(IntervalTable, WorksAtEverySizeOf128Bits) {
  check_all_sizes<Key128>();
}

}  // namespace
}  // namespace lychgate::admission
