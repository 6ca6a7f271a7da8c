// What shards say of lists: words for every state and fault, latency in cells, percentiles of them.

#include "core/base/lists_shared.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

TEST(ListsShared, EveryStateAndFaultHasWordsOfItsOwn) {
  std::set<std::string> seen;
  for (const char* name : kListStateNames) EXPECT_TRUE(seen.insert(name).second) << name;
  for (const char* words : kListFaultWords) EXPECT_TRUE(seen.insert(words).second) << words;
  EXPECT_FALSE(seen.contains(""));
}

TEST(ListsShared, ALookupIsCountedInTheCellOfItsTime) {
  struct Row {
    uint32_t ms;
    size_t cell;
  };
  constexpr std::array<Row, 9> kRows = {{
      {0, 0},
      {1, 1},
      {2, 2},
      {3, 2},
      {4, 3},
      {2000, 11},
      {4095, 12},
      {4096, 13},
      {UINT32_MAX, 13},
  }};
  for (const Row& row : kRows) {
    ListCounters counters;
    counters.took(row.ms);
    for (size_t cell = 0; cell < kLatencyCells; ++cell) {
      EXPECT_EQ(counters.latency[cell].load(), cell == row.cell ? 1U : 0U) << row.ms << " ms";
    }
  }
}

TEST(ListsShared, APercentileIsTheBoundOfItsCell) {
  struct Row {
    const char* what;
    std::vector<uint64_t> cells;
    double share;
    uint32_t want;
  };
  const std::vector<Row> rows = {
      {"nothing counted", {0, 0, 0}, 0.5, 0},
      {"no cells at all", {}, 0.5, 0},
      {"all under a millisecond", {10}, 0.99, 1},
      {"one lookup is its own median", {0, 0, 0, 1}, 0.5, 8},
      {"half of two is the faster one", {1, 0, 1}, 0.5, 1},
      {"a hair over half is the slower one", {1, 0, 1}, 0.51, 4},
      {"99 of 100 are fast: p99 is fast", {99, 0, 0, 1}, 0.99, 1},
      {"98 of 100 are fast: p99 is slow", {98, 0, 0, 2}, 0.99, 8},
      {"the slowest of all", {98, 0, 0, 2}, 1.0, 8},
      {"empty cells at the end are not reached", {1, 1, 0, 0}, 1.0, 2},
      {"the last cell has no bound but its number", std::vector<uint64_t>(kLatencyCells, 1), 1.0,
       8192},
      {"counts of years", {uint64_t{1} << 40, 0, uint64_t{1} << 40}, 0.5, 1},
  };
  for (const Row& row : rows) EXPECT_EQ(percentile_ms(row.cells, row.share), row.want) << row.what;
}

}  // namespace
}  // namespace lychgate
