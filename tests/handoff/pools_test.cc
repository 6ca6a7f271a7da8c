// Choice of a backend and the rest after failures, as tables.

#include "handoff/pools.h"

#include <array>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::handoff {
namespace {

constexpr size_t kBackends = 3;

struct Row {
  const char* what;
  std::array<uint32_t, kBackends> weights = {1, 1, 1};
  std::array<uint32_t, kBackends> here = {};       // open connections of this shard
  std::array<uint32_t, kBackends> elsewhere = {};  // and of another
  TriedSet tried = 0;
  std::vector<uint32_t> failed = {};
  std::array<BackendUse, kBackends> use = {};
  std::optional<uint32_t> want = {};
  bool want_full = false;
  uint32_t limit = 10;
};

const Row kRows[] = {
    {.what = "all equal: the first", .want = 0},
    {.what = "the least connections", .here = {3, 1, 2}, .want = 1},
    {.what = "connections of other shards count the same",
     .here = {0, 1, 1},
     .elsewhere = {3, 1, 0},
     .want = 2},
    {.what = "a weight of three bears three times as much: 5 of 3 is less than 2 of 1",
     .weights = {3, 1, 1},
     .here = {5, 2, 2},
     .want = 0},
    {.what = "and no more: with 9 it is as loaded as one with 3 would be",
     .weights = {3, 1, 1},
     .here = {9, 2, 2},
     .want = 1},
    {.what = "equal loads after this client: the earlier one",
     .weights = {1, 2, 1},
     .here = {0, 1, 0},
     .want = 0},
    {.what = "the limit is for the whole host",
     .here = {5, 9, 9},
     .elsewhere = {5, 0, 0},
     .want = 1,
     .want_full = true},
    {.what = "one below the limit takes one more",
     .here = {10, 9, 10},
     .want = 1,
     .want_full = true},
    {.what = "all full", .here = {10, 10, 10}, .want = std::nullopt, .want_full = true},
    {.what = "over the limit, as after a reload with a lower one",
     .here = {12, 11, 10},
     .want = std::nullopt,
     .want_full = true},
    {.what = "tried ones are left out", .tried = 0b011, .want = 2},
    {.what = "all tried: nobody, and nobody is called full", .tried = 0b111, .want = std::nullopt},
    {.what = "one at rest is left out", .failed = {0}, .want = 1},
    {.what = "one that is drained or down is left out, and is not called full",
     .here = {10, 10, 1},
     .use = {BackendUse::kDrain, BackendUse::kDown, BackendUse::kUp},
     .want = 2},
    {.what = "all are out: nobody",
     .use = {BackendUse::kDown, BackendUse::kDrain, BackendUse::kDown},
     .want = std::nullopt},
    {.what = "all at rest", .failed = {0, 1, 2}, .want = std::nullopt},
    {.what = "a tried one that is full says nothing about the rest",
     .here = {10, 0, 0},
     .tried = 0b001,
     .want = 1},
};

config::Config config_of(const Row& row) {
  config::Config config;
  config.pools.emplace_back();
  config.pools[0].connections = row.limit;
  for (const uint32_t weight : row.weights) {
    config.pools[0].backends.emplace_back();
    config.pools[0].backends.back().weight = weight;
  }
  return config;
}

TEST(Pools, ChooseTheLeastLoadedThatMayTakeOneMore) {
  for (const Row& row : kRows) {
    const config::Config config = config_of(row);
    std::array<ShardCounters, 2> counters;
    Pools pools(config, counters, 0);
    for (uint32_t i = 0; i < kBackends; ++i) {
      for (uint32_t n = 0; n < row.here[i]; ++n) pools.opened(0, i);
      counters[1].backend_open[0][i] = row.elsewhere[i];
      counters[0].backend_use[0][i] = static_cast<uint8_t>(row.use[i]);
    }
    for (const uint32_t backend : row.failed) pools.failed(0, backend, 1000);
    const Pools::Choice choice = pools.choose(0, row.tried, 1000);
    EXPECT_EQ(choice.backend, row.want) << row.what;
    EXPECT_EQ(choice.any_full, row.want_full) << row.what;
  }
}

TEST(Pools, FillByWeight) {
  const config::Config config = config_of({.what = "", .weights = {1, 2, 5}, .limit = 1000});
  std::array<ShardCounters, 1> counters;
  Pools pools(config, counters, 0);
  for (int i = 0; i < 80; ++i) pools.opened(0, *pools.choose(0, 0, 0).backend);
  EXPECT_EQ(counters[0].backend_open[0][0], 10U);
  EXPECT_EQ(counters[0].backend_open[0][1], 20U);
  EXPECT_EQ(counters[0].backend_open[0][2], 50U);
  EXPECT_EQ(counters[0].pool_open[0], 80U);
  pools.closed(0, 2);
  EXPECT_EQ(counters[0].pool_open[0], 79U);
  EXPECT_EQ(pools.choose(0, 0, 0).backend, 2U) << "the seat that became free";
}

// The generation before has the same backends under other numbers: a limit holds for both.
TEST(Pools, CountInTheCellsThatTheyWereGiven) {
  config::Config before = config_of({.what = "", .limit = 2});
  config::Config now = config_of({.what = "", .limit = 2});
  before.cells.pools[0] = now.cells.pools[0] = 7;
  for (const uint32_t i : {0U, 1U, 2U}) {
    before.cells.backends[0][i] = static_cast<uint8_t>(20 + i);
    now.cells.backends[0][i] = static_cast<uint8_t>(22 - i);
  }
  std::array<ShardCounters, 2> counters;
  Pools old_pools(before, counters, 0);
  Pools pools(now, counters, 1);
  for (int n = 0; n < 2; ++n) old_pools.opened(0, 0);
  EXPECT_EQ(counters[0].backend_open[7][20], 2U);
  EXPECT_EQ(counters[0].pool_open[7], 2U);
  counters[1].backend_use[7][22] = static_cast<uint8_t>(BackendUse::kDown);
  const Pools::Choice choice = pools.choose(0, 0, 0);
  EXPECT_EQ(choice.backend, 1U) << "the first is down, the third full with the other's clients";
  EXPECT_TRUE(choice.any_full);
  pools.opened(0, 1);
  EXPECT_EQ(counters[1].backend_open[7][21], 1U);
  pools.closed(0, 1);
  EXPECT_EQ(counters[1].pool_open[7], 0U);
}

TEST(Pools, SayOnceThatABackendTurnedBad) {
  const config::Config config = config_of({.what = ""});
  std::array<ShardCounters, 1> counters;
  Pools pools(config, counters, 0);
  EXPECT_TRUE(pools.failed(0, 1, 0));
  EXPECT_FALSE(pools.failed(0, 1, 200)) << "still bad";
  EXPECT_TRUE(pools.failed(0, 2, 200)) << "another one";
  pools.succeeded(0, 1);
  EXPECT_TRUE(pools.failed(0, 1, 400)) << "bad again";
}

struct RestRow {
  const char* what;
  uint32_t failures;
  Tick want_ms;
};

const RestRow kRests[] = {
    {"the first failure", 1, 100},
    {"the second", 2, 200},
    {"the third", 3, 400},
    {"the seventh", 7, 6400},
    {"the eighth reaches the longest rest", 8, 10000},
    {"and there it stays", 9, 10000},
    {"for ever", 1000, 10000},
};

TEST(Backoff, DoublesFromATenthOfASecondToTen) {
  for (const RestRow& row : kRests) {
    // Close to the wrap of the tick, which must not matter.
    const Tick now = 0xffffff00;
    Backoff rest;
    for (uint32_t i = 0; i < row.failures; ++i) rest.failed(now);
    EXPECT_EQ(rest.failures(), row.failures) << row.what;
    EXPECT_TRUE(rest.resting(now)) << row.what;
    EXPECT_TRUE(rest.resting(now + row.want_ms - 1)) << row.what;
    EXPECT_FALSE(rest.resting(now + row.want_ms)) << row.what;
    rest.succeeded();
    EXPECT_FALSE(rest.resting(now)) << row.what;
    rest.failed(now);
    EXPECT_FALSE(rest.resting(now + 100)) << row.what << ": begins anew after a success";
  }
}

// A rest that was over 25 days ago used to look like one to come, since ticks wrap in 49 days.
TEST(Backoff, IsOverForeverUntilTheNextFailure) {
  for (const Tick later : {Tick{10000}, Tick{1} << 31, (Tick{1} << 31) + 5000, Tick{0} - 10101}) {
    Backoff rest;
    rest.failed(1000);
    EXPECT_FALSE(rest.resting(1000 + later)) << later;
  }
}

// Descriptors passed to a service are gone at once, so that counts are always equal: the first
// backend used to get every client.
TEST(Pools, TakeTurnsByWeightWhenLoadsAreEqual) {
  config::Config config;
  config::Pool& pool = config.pools.emplace_back();
  for (const uint32_t weight : {3u, 1u, 2u}) pool.backends.emplace_back().weight = weight;
  std::vector<ShardCounters> counters(1);
  Pools pools(config, counters, 0);
  std::array<uint32_t, kBackends> got{};
  for (int i = 0; i < 600; ++i) ++got.at(pools.choose(0, 0, 0).backend.value());
  EXPECT_EQ(got, (std::array<uint32_t, kBackends>{300, 100, 200}));
}

}  // namespace
}  // namespace lychgate::handoff
