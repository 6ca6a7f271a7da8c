// Counts against limits: a limit of N admits exactly N, and 0 is no limit.

#include "core/admission/limits.h"

#include <gtest/gtest.h>

#include "core/base/slots.h"

namespace lychgate::admission {
namespace {

TEST(Limits, BecomeEvidence) {
  struct Row {
    const char* what;
    LimitCounts counts;
    config::Limits limits;
    int want;
  };
  const config::Limits some{.per_address = 2, .per_shard = 10, .held = 30};
  const config::Limits none{.per_address = 0, .per_shard = 0, .held = 0};
  const Row rows[] = {
      {"the first client is within all limits", {1, 1, 1}, some, 0},
      {"the last one that each limit admits", {2, 10, 30}, some, 0},
      {"one more of the same address", {3, 10, 30}, some, kAddressFull},
      {"one more in the shard", {2, 11, 30}, some, kShardFull},
      {"one more on the host", {2, 10, 31}, some, kHostFull},
      {"all at once", {3, 11, 31}, some, kAddressFull | kShardFull | kHostFull},
      {"no limits, however many", {60000, 1000000, 4000000}, none, 0},
  };
  for (const Row& row : rows)
    EXPECT_EQ(limit_evidence(row.counts, row.limits), row.want) << row.what;
}

}  // namespace
}  // namespace lychgate::admission
