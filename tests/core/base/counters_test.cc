// The shared counters: named rows, blocks that other processes see, and gauges a dead shard loses.

#include "core/base/counters.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

TEST(Counters, HaveNamesFitForMetrics) {
  std::set<std::string> seen;
  for (const CounterInfo& info : kCounterInfo) {
    const std::string_view name = info.name;
    EXPECT_FALSE(name.empty());
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos)
        << name;
    EXPECT_TRUE(seen.insert(info.name).second) << name << " twice";
    EXPECT_GT(std::string_view(info.sentence).size(), 10U) << name << " needs its sentence";
  }
  for (const char* name : kHandoffOutcomeNames) EXPECT_NE(name, nullptr);
}

TEST(Counters, StartAtZeroAndAdd) {
  auto counters = SharedCounters::create(2);
  ASSERT_TRUE(counters.has_value());
  ASSERT_EQ(counters->shards().size(), 2U);
  ShardCounters& shard = counters->shards()[1];
  EXPECT_EQ(shard.get(Counter::kAccepted), 0U);
  shard.add(Counter::kAccepted);
  shard.add(Counter::kAccepted, 41);
  EXPECT_EQ(shard.get(Counter::kAccepted), 42U);
  EXPECT_EQ(counters->shards()[0].get(Counter::kAccepted), 0U) << "shards are apart";
  shard.add_outcome(kPoolsMax - 1, HandoffOutcome::kGaveUp);
  EXPECT_EQ(shard.outcomes[kPoolsMax - 1][static_cast<size_t>(HandoffOutcome::kGaveUp)].load(), 1U);
}

TEST(Counters, AreSeenByOtherProcessesAndOutliveThem) {
  auto counters = SharedCounters::create(1);
  ASSERT_TRUE(counters.has_value());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    counters->shards()[0].add(Counter::kRefused, 7);
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(counters->shards()[0].get(Counter::kRefused), 7U);
}

TEST(Counters, LoseTheirGaugesWithTheShardAndNothingElse) {
  auto counters = SharedCounters::create(1);
  ASSERT_TRUE(counters.has_value());
  ShardCounters& shard = counters->shards()[0];
  shard.enter_phase(Phase::kRelay);
  shard.enter_phase(Phase::kRelay);
  shard.leave_phase(Phase::kRelay);
  EXPECT_EQ(shard.phases[static_cast<size_t>(Phase::kRelay)].load(), 1U);
  ShardCounters::shift(shard.held, 3);
  ShardCounters::shift(shard.pool_open[0], 2);
  shard.add(Counter::kHandedOff, 5);
  shard.reset_gauges();
  EXPECT_EQ(shard.phases[static_cast<size_t>(Phase::kRelay)].load(), 0U);
  EXPECT_EQ(shard.held.load(), 0U);
  EXPECT_EQ(shard.pool_open[0].load(), 0U);
  EXPECT_EQ(shard.get(Counter::kHandedOff), 5U) << "counters only grow";
}

TEST(Counters, MoveWithTheirMapping) {
  auto first = SharedCounters::create(1);
  ASSERT_TRUE(first.has_value());
  first->shards()[0].add(Counter::kHangup);
  first->lists().version.store(9);
  SharedCounters second = std::move(*first);
  EXPECT_EQ(second.shards()[0].get(Counter::kHangup), 1U);
  EXPECT_EQ(second.lists().version.load(), 9U);
}

TEST(SharedLists, BeginUnprovenAndEmpty) {
  const auto counters = SharedCounters::create(2);
  ASSERT_TRUE(counters.has_value());
  const SharedLists& lists = counters->lists();
  EXPECT_EQ(lists.version.load(), 0U);
  EXPECT_EQ(lists.day.load(), 0);
  for (const ListBoard& board : lists.boards) {
    EXPECT_EQ(ListState{board.state.load()}, ListState::kUnproven);
    EXPECT_EQ(ListFault{board.fault.load()}, ListFault::kNone);
    EXPECT_EQ(board.epoch.load(), 0);
    EXPECT_EQ(board.day_base.load(), 0U);
  }
}

TEST(SharedLists, LieBesideTheShardsAndNotInThem) {
  auto counters = SharedCounters::create(kShardsMax);
  ASSERT_TRUE(counters.has_value());
  const auto at = [](const void* place) { return reinterpret_cast<uintptr_t>(place); };
  const auto shards = counters->shards();
  EXPECT_EQ(at(shards.data()) % alignof(ShardCounters), 0U) << "no line is shared by two writers";
  EXPECT_GE(at(shards.data()), at(&counters->lists()) + sizeof(SharedLists));
  for (ListBoard& board : counters->lists().boards) {
    board.epoch.store(UINT8_MAX);
    board.since.store(-1);
    board.day_base.store(UINT64_MAX);
  }
  counters->lists().day.store(-1);
  for (const ShardCounters& shard : shards) {
    EXPECT_EQ(shard.get(Counter::kAccepted), 0U);
    EXPECT_EQ(shard.lists[0].queries.load(), 0U);
    EXPECT_EQ(shard.pid.load(), 0);
  }
}

TEST(SharedLists, AreSeenByOtherProcessesAndOutliveThem) {
  auto counters = SharedCounters::create(2);
  ASSERT_TRUE(counters.has_value());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ListBoard& board = counters->lists().boards[kListsMax - 1];
    board.state.store(static_cast<uint8_t>(ListState::kDisabled));
    board.fault.store(static_cast<uint8_t>(ListFault::kErrorCodes));
    counters->lists().version.store(1);
    ListCounters::add(counters->shards()[1].lists[kListsMax - 1].errors, 3);
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const ListBoard& board = counters->lists().boards[kListsMax - 1];
  EXPECT_EQ(ListState{board.state.load()}, ListState::kDisabled);
  EXPECT_EQ(ListFault{board.fault.load()}, ListFault::kErrorCodes);
  EXPECT_EQ(counters->lists().version.load(), 1U);
  EXPECT_EQ(counters->shards()[1].lists[kListsMax - 1].errors.load(), 3U);
  counters->shards()[1].reset_gauges();
  EXPECT_EQ(counters->shards()[1].lists[kListsMax - 1].errors.load(), 3U) << "no gauge";
}

}  // namespace
}  // namespace lychgate
