// Questions about sessions: asked of every shard order by order, over real sockets whose other end
// the test holds; a shard that is silent is left out.

#include "core/daemon/control_sessions.h"

#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

class SessionJobsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto lines = make_steward_lines(2);
    ASSERT_TRUE(lines);
    lines_ = std::move(*lines);
    for (ShardCounters& block : blocks_) block.pid = 1;
    jobs_.emplace(std::vector<int>{lines_[0].steward_end, lines_[1].steward_end}, blocks_);
  }
  void TearDown() override {
    for (const StewardLine& line : lines_) {
      close(line.shard_end);
      close(line.steward_end);
    }
  }
  std::optional<Order> ordered(size_t shard) {
    uint8_t bytes[kLineMessageMax];
    const ssize_t got = recv(lines_[shard].shard_end, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got <= 0) return std::nullopt;
    return decode_order(std::span(bytes, static_cast<size_t>(got)));
  }
  void report(const Order& order, uint32_t next, uint32_t rows, bool killed = false) {
    Report report{.order = order.id, .next_slot = next, .matched = rows, .rows = {}};
    if (order.rows_max > 0) {
      report.rows.resize(rows);
      for (SessionRow& row : report.rows) row.killed = killed;
    }
    jobs_->take_report(encode(report), now_);
  }

  std::vector<StewardLine> lines_;
  std::vector<ShardCounters> blocks_{2};
  std::optional<SessionJobs> jobs_;
  Tick now_ = 5;
};

TEST_F(SessionJobsTest, EveryShardIsAskedToTheEndOfItsTable) {
  ControlRequest request{.verb = ControlVerb::kSessions, .limit = 3};
  ASSERT_TRUE(jobs_->begin({}, request, now_));
  const auto first = ordered(0);
  const auto other = ordered(1);
  ASSERT_TRUE(first && other);
  EXPECT_EQ(first->from_slot, 0U);
  EXPECT_EQ(first->rows_max, 3U);
  report(*first, 4096, 2);
  report(*other, kNoSlot, 2);
  EXPECT_TRUE(jobs_->turn(now_).empty()) << "the first has more";
  const auto second = ordered(0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->from_slot, 4096U);
  EXPECT_EQ(second->rows_max, 1U) << "one row is left of three";
  report(*second, kNoSlot, 5);
  const auto done = jobs_->turn(now_);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].matched, 9U);
  EXPECT_EQ(done[0].sessions.size(), 3U);
  EXPECT_TRUE(done[0].silent.empty());
  EXPECT_FALSE(jobs_->next_wake());
}

TEST_F(SessionJobsTest, ASilentShardIsLeftOutAndItsLateReportMeansNothing) {
  ASSERT_TRUE(jobs_->begin({}, {.verb = ControlVerb::kSessions, .limit = 10}, now_));
  report(*ordered(0), kNoSlot, 1);
  const auto late = ordered(1);
  now_ += 2000;
  const auto done = jobs_->turn(now_);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].silent, std::vector<uint32_t>{1});
  report(*late, kNoSlot, 1);
  EXPECT_TRUE(jobs_->turn(now_).empty());
}

TEST_F(SessionJobsTest, WhereNobodyLivesNobodyIsAsked) {
  blocks_[1].pid = 0;
  ASSERT_TRUE(jobs_->begin({}, {.verb = ControlVerb::kSessions, .limit = 10}, now_));
  EXPECT_FALSE(ordered(1));
  report(*ordered(0), kNoSlot, 1);
  const auto done = jobs_->turn(now_);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_TRUE(done[0].silent.empty());
  ASSERT_TRUE(jobs_->begin({}, {.verb = ControlVerb::kSessions, .shard = 1}, now_));
  EXPECT_EQ(jobs_->turn(now_).size(), 1U) << "answered at once";
}

TEST_F(SessionJobsTest, OneSessionIsOneOrderToItsShard) {
  ControlRequest request{
      .verb = ControlVerb::kSessions, .shard = 1, .slot = 77, .limit = 10, .kill = true};
  request.filter.generation = 4;
  ASSERT_TRUE(jobs_->begin({}, request, now_));
  EXPECT_FALSE(ordered(0));
  const auto order = ordered(1);
  ASSERT_TRUE(order);
  EXPECT_EQ(order->from_slot, 77U);
  EXPECT_EQ(order->slots_max, 1U);
  EXPECT_TRUE(order->kill);
  report(*order, 78, 1, true);
  const auto done = jobs_->turn(now_);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].killed, 1U);
}

TEST_F(SessionJobsTest, OnlySoManyAreUnderWay) {
  for (size_t i = 0; i < kSessionJobsMax; ++i) {
    EXPECT_TRUE(jobs_->begin({}, {.verb = ControlVerb::kSessions}, now_));
  }
  EXPECT_FALSE(jobs_->begin({}, {.verb = ControlVerb::kSessions}, now_));
}

TEST_F(SessionJobsTest, AReportThatDoesNotGetOnEndsTheQuestion) {
  ASSERT_TRUE(jobs_->begin({}, {.verb = ControlVerb::kSessions, .shard = 0}, now_));
  report(*ordered(0), 0, 0);
  EXPECT_EQ(jobs_->turn(now_).size(), 1U);
}

TEST(SessionsReport, NamesWhatItShows) {
  config::Config config;
  config.listens.push_back({});
  config.listens[0].name = "door";
  config.pools.push_back({});
  config.pools[0].name = "friendly";
  config.pools[0].backends.push_back({});
  config.pools[0].backends[0].text = "unix:/a\"b";
  SessionsFound found;
  found.matched = 2;
  found.silent = {1};
  found.sessions.push_back({0,
                            {.id = {17, 4},
                             .address = IpAddress::from_v4(0x7f010005),
                             .age = 1250,
                             .port = 4711,
                             .evidence = kTeased | kWaited,
                             .score = 2,
                             .phase = Phase::kRelay,
                             .listener = 0,
                             .pool = 0,
                             .backend = 0,
                             .killed = false}});
  EXPECT_EQ(sessions_json(found, {config}),
            "{\"sessions\":[{\"id\":\"0:17:4\",\"shard\":0,\"address\":\"127.1.0.5\",\"port\":4711,"
            "\"state\":\"relay\",\"age_ms\":1250,\"score\":2,\"listener\":\"door\","
            "\"pool\":\"friendly\",\"backend\":\"unix:/a\\\"b\",\"evidence\":[\"waited\","
            "\"teased\"],\"killed\":false}],\"matched\":2,\"shown\":1,\"killed\":0,"
            "\"silent_shards\":[1]}\n");
  const std::string text = sessions_text(found, {config});
  for (const char* words : {"0:17:4", "[127.1.0.5]:4711", "relay", "1.2", "friendly",
                            "2 sessions match, 1 shown", "did not answer in time: 1"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
}

// What a shard of another configuration tells is named by its cells.
TEST(SessionsReport, NamesPlacesByTheirCells) {
  config::Config config;
  for (const char* name : {"first", "second"}) {
    config.pools.emplace_back().name = name;
    config.pools.back().backends.emplace_back().text = std::string("unix:/") + name;
  }
  config.cells.pools[0] = 1;
  config.cells.pools[1] = 5;
  config.cells.backends[1][0] = 7;
  const struct {
    const char* sentence;
    uint8_t pool;
    uint8_t backend;
    const char* words;
  } rows[] = {
      {"a cell is not a number", 5, 7, "\"pool\":\"second\",\"backend\":\"unix:/second\""},
      {"a pool that is no more", 0, 0, "\"pool\":\"(gone)\",\"backend\":\"(gone)\""},
      {"a backend that is no more", 5, 0, "\"pool\":\"second\",\"backend\":\"(gone)\""},
      {"none yet", kNoPlace, kNoPlace, "\"pool\":\"\",\"backend\":\"\""},
      {"no backend yet", 1, kNoPlace, "\"pool\":\"first\",\"backend\":\"\""},
  };
  for (const auto& row : rows) {
    SessionsFound found;
    found.sessions.push_back({3, {.pool = row.pool, .backend = row.backend}});
    const std::string text = sessions_json(found, {config});
    EXPECT_NE(text.find(row.words), std::string::npos) << row.sentence << "\n" << text;
  }
}

}  // namespace
}  // namespace lychgate::daemon
