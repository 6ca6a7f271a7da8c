// What counts as load, and what the first shard says of it.

#include "core/daemon/load.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using config::OverloadLevel;

struct Numbers {
  uint64_t held = 0;
  uint64_t queued = 0;
  uint64_t moving = 0;
  uint32_t friendly = 0;  // connections of a backend of the first pool, and of one of the second
  uint32_t hostile = 0;
};

// Two pools: two backends of 100 connections, and one of 10 in a cell of its own.
config::Config example() {
  config::Config config;
  config.pools.resize(2);
  config.pools[0].backends.resize(2);
  config.pools[1].backends.resize(1);
  config.pools[1].connections = 10;
  config.cells.pools[1] = 5;
  config.cells.backends[1][0] = 7;
  config.limits.per_shard = 500;
  config.shards = 2;
  return config;
}

void set(ShardCounters& block, const Numbers& numbers) {
  block.held = numbers.held;
  block.phases[static_cast<size_t>(Phase::kQueued)] = numbers.queued;
  block.phases[static_cast<size_t>(Phase::kMoving)] = numbers.moving;
  block.backend_open[0][1] = numbers.friendly;
  block.backend_open[5][7] = numbers.hostile;
}

TEST(Load, IsMeasuredOverAllShards) {
  struct Row {
    const char* what;
    Numbers first;
    Numbers second;
    uint32_t held_limit;
    admission::Load want;
  };
  const Row rows[] = {
      {"nobody", {}, {}, 0, {}},
      {"clients of all that fit", {.held = 400}, {.held = 350}, 0, {.clients = 75}},
      {"clients of limits.held", {.held = 40}, {.held = 5}, 50, {.clients = 90}},
      {"a limits.held beyond what fits is none", {.held = 500}, {}, 5000, {.clients = 50}},
      {"a part of a percent does not count", {.held = 699}, {}, 0, {.clients = 69}},
      {"backends of all pools",
       {.friendly = 60},
       {.friendly = 40, .hostile = 5},
       0,
       {.backends = 50}},
      {"a small pool that is full", {.hostile = 10}, {}, 0, {.backends = 4}},
      {"who waits for a backend, and who waits for room to be handed to one",
       {.held = 100, .queued = 20},
       {.held = 100, .moving = 30},
       0,
       {.clients = 20, .waiting = 25}},
      {"of one client that waits", {.held = 1, .queued = 1}, {}, 0, {.waiting = 2}},
  };
  for (const Row& row : rows) {
    config::Config config = example();
    config.limits.held = row.held_limit;
    std::vector<ShardCounters> blocks(2);
    set(blocks[0], row.first);
    set(blocks[1], row.second);
    const auto got = measure(config, blocks, 1000, 3);
    EXPECT_EQ(got.clients, row.want.clients) << row.what;
    EXPECT_EQ(got.backends, row.want.backends) << row.what;
    EXPECT_EQ(got.waiting, row.want.waiting) << row.what;
    EXPECT_EQ(got.memory, 3U) << row.what;
  }
}

TEST(Load, BackendsTakenOutByCommandAreNoRoom) {
  config::Config config = example();
  std::vector<ShardCounters> blocks(1);
  set(blocks[0], {.friendly = 50});
  blocks[0].backend_use[0][0] = static_cast<uint8_t>(BackendUse::kDrain);
  blocks[0].backend_use[5][7] = static_cast<uint8_t>(BackendUse::kDown);
  EXPECT_EQ(measure(config, blocks, 1000, 0).backends, 50U);
  blocks[0].backend_use[0][1] = static_cast<uint8_t>(BackendUse::kDown);
  EXPECT_EQ(measure(config, blocks, 1000, 0).backends, 0U) << "none at all: others tell of that";
  config.pools.clear();
  EXPECT_EQ(measure(config, blocks, 1000, 0).backends, 0U);
}

TEST(Load, MemoryIsWhatIsNotAvailable) {
  struct Row {
    const char* what;
    const char* meminfo;
    uint32_t want;
  };
  const Row rows[] = {
      {"as Linux writes it",
       "MemTotal:       16000000 kB\nMemFree:          500000 kB\nMemAvailable:    4000000 kB\n",
       75},
      {"all of it", "MemTotal: 1000 kB\nMemAvailable: 0 kB\n", 100},
      {"more available than there is", "MemTotal: 1000 kB\nMemAvailable: 2000 kB\n", 0},
      {"an old kernel does not say what is available", "MemTotal: 1000 kB\nMemFree: 10 kB\n", 0},
      {"nothing", "", 0},
      {"cut short", "MemTotal:", 0},
      {"no number", "MemTotal: many kB\nMemAvailable: some kB\n", 0},
  };
  for (const Row& row : rows) EXPECT_EQ(memory_percent(row.meminfo), row.want) << row.what;
}

TEST(Load, ABoardOfAnotherVersionSaysAKnownLevel) {
  SharedLoad board;
  EXPECT_EQ(level_of(board), OverloadLevel::kNormal);
  board.level = 200;
  EXPECT_EQ(level_of(board), OverloadLevel::kEmergency);
}

// A kernel that notes log lines.
class Writes : public sim::SimReactor {
 public:
  using SimReactor::SimReactor;
  void send_fd(int, std::span<const char> bytes, ring::OpTag) override {
    const std::string line(bytes.begin(), bytes.end());
    lines.push_back(line.substr(line.find("]: ") + 3));
  }
  std::vector<std::string> lines;
};

class LoadWatchTest : public testing::Test {
 protected:
  LoadWatchTest() {
    config_.limits.per_shard = 100;
    config_.shards = 1;
    config_.overload.calm = milliseconds{1000};
    log_.set_time(WallTime(std::chrono::seconds(1767225600)));
  }
  LoadWatch watch() {
    return LoadWatch({.config = config_,
                      .counters = world_.counters.shards(),
                      .index = 0,
                      .board = board_,
                      .log = log_},
                     now_);
  }
  // Clients of the generation before, since all count.
  void hold(uint64_t clients) { world_.counters.shards()[1].held = clients; }
  void pass(LoadWatch& watch, Tick ms) {
    for (const Tick end = now_ + ms; now_ != end;) watch.advance(++now_);
  }
  std::vector<std::string> told() {
    log_.flush(now_);
    for (size_t i = 0; i < writes_.lines.size(); ++i) {
      log_.complete({ring::OpTag::of(ring::Op::kLogWrite), 1, false, std::nullopt});
    }
    return std::exchange(writes_.lines, {});
  }
  OverloadLevel level() const { return level_of(board_); }

  using Lines = std::vector<std::string>;
  sim::SmallWorld world_;
  Writes writes_{world_.agenda, world_.random, sim::KernelOptions{}};
  config::Config config_;
  SharedBoards boards_;
  SharedLoad& board_ = boards_.load;
  LogSink sink_{config::LogTarget::kSyslog, -1, "gate", "mail"};
  Log log_{sink_, writes_, world_.counters.shards()[0], 1};
  Tick now_ = 50000;
};

TEST_F(LoadWatchTest, TellsOfEachLevelThatIsPassed) {
  LoadWatch watch = this->watch();
  pass(watch, 1000);
  EXPECT_EQ(level(), OverloadLevel::kNormal);
  EXPECT_EQ(board_.level_since.load(), 0);
  EXPECT_EQ(told(), Lines{});
  hold(92);
  pass(watch, kOverloadPeriodMs);
  EXPECT_EQ(level(), OverloadLevel::kStress);
  EXPECT_EQ(board_.level_since.load(), 1767225600);
  EXPECT_EQ(told(), (Lines{"entering BUSY mode with 92 connections",
                           "entering STRESS mode with 92 connections"}));
  EXPECT_EQ(world_.counters.shards()[0].get(Counter::kOverloads), 2U);
}

TEST_F(LoadWatchTest, LeavesOneLevelAtATime) {
  LoadWatch watch = this->watch();
  hold(99);
  pass(watch, kOverloadPeriodMs);
  EXPECT_EQ(level(), OverloadLevel::kEmergency);
  hold(7);
  pass(watch, 3 * (1000 + kOverloadPeriodMs));
  EXPECT_EQ(level(), OverloadLevel::kNormal);
  EXPECT_EQ(
      told(),
      (Lines{"entering BUSY mode with 99 connections", "entering STRESS mode with 99 connections",
             "entering EMERGENCY mode with 99 connections",
             "leaving EMERGENCY mode with 7 connections", "leaving STRESS mode with 7 connections",
             "leaving BUSY mode with 7 connections"}));
}

TEST_F(LoadWatchTest, IsConsideredOnceAPeriod) {
  LoadWatch watch = this->watch();
  watch.advance(now_);
  EXPECT_EQ(watch.next_wake(), now_ + kOverloadPeriodMs);
  hold(92);
  pass(watch, kOverloadPeriodMs - 1);
  EXPECT_EQ(level(), OverloadLevel::kNormal);
  pass(watch, 1);
  EXPECT_EQ(level(), OverloadLevel::kStress);
}

TEST_F(LoadWatchTest, TheHostsMemoryIsALoad) {
  LoadWatch watch = this->watch();
  board_.memory_percent = 91;
  pass(watch, kOverloadPeriodMs);
  EXPECT_EQ(told(), (Lines{"entering BUSY mode with 0 connections",
                           "entering STRESS mode with 0 connections"}));
}

// While a generation begins the one before is still there.
TEST_F(LoadWatchTest, OfTwoOnlyOneTells) {
  LoadWatch before = this->watch();
  LoadWatch after = this->watch();
  hold(92);
  for (const Tick end = now_ + 1000; now_ != end; ++now_) {
    before.advance(now_);
    after.advance(now_);
  }
  EXPECT_EQ(told().size(), 2U);
  hold(0);
  for (const Tick end = now_ + 3000; now_ != end; ++now_) {
    before.advance(now_);
    after.advance(now_);
  }
  EXPECT_EQ(told().size(), 2U);
  EXPECT_EQ(level(), OverloadLevel::kNormal);
}

// A reload in the middle of a flood: the new generation does not begin in peace.
TEST_F(LoadWatchTest, ANewOneTakesUpWhatTheBoardSays) {
  board_.level = static_cast<uint8_t>(OverloadLevel::kStress);
  board_.level_since = 5;
  LoadWatch watch = this->watch();
  pass(watch, 1000 - 1);
  EXPECT_EQ(level(), OverloadLevel::kStress);
  EXPECT_EQ(board_.level_since.load(), 5);
  EXPECT_EQ(told(), Lines{});
  pass(watch, kOverloadPeriodMs);
  EXPECT_EQ(told(), Lines{"leaving STRESS mode with 0 connections"});
  EXPECT_EQ(level(), OverloadLevel::kBusy);
}

}  // namespace
}  // namespace lychgate::daemon
