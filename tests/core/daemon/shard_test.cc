// A whole shard over a simulated kernel, for what no part of it shows alone: whom lists are told of
// when a SYN comes, what a shard leaves to its successor, and what becomes of both at a stop.

#include "core/daemon/shard.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/dns_server.h"
#include "tests/sim/small_world.h"
#include "tests/sim/syn_tap.h"

namespace lychgate::daemon {
namespace {

constexpr Seconds kWall = 1'800'000'000;
constexpr uint8_t kAllTests = 0x1f;

// Lists nobody but its test point, and takes note of every question.
class Zone : public sim::DnsBook {
 public:
  std::optional<sim::DnsAnswer> answer(const sim::DnsQuestion& question, sim::Time) override {
    asked.push_back(question.name);
    if (question.name == "2.0.0.127.one.test") return sim::DnsAnswer{.codes = {0x7f000002}};
    return sim::DnsAnswer{.rcode = sim::Rcode::kNxDomain, .ttl = 60, .soa_ttl = 60};
  }
  sim::DnsAnswer lie(const sim::DnsQuestion&) override { return {}; }

  std::vector<std::string> asked;
};

class Steward : public sim::PacketFar {
 public:
  void packet_came(int, std::span<const char>) override { ++messages; }

  uint32_t messages = 0;
};

class Memory : public VisitorBook {
 public:
  std::optional<ClientRecord> find(const ClientKey& key) override {
    const auto found = records.find(key.address().text());
    return found == records.end() ? std::nullopt : std::optional(found->second);
  }
  void end_turn() override {}

  std::map<std::string, ClientRecord> records;
};

config::Config make_config(config::Hold hold) {
  config::Config config;
  config.listens = {{.name = "mx", .address = {IpAddress::from_v4(0xc0000201), 25}}};
  config.greet.hold = hold;
  config.greet.syn_feed = 1000;
  config.dnsl.sites.resize(1);
  config.dnsl.threshold = 8;
  config.dns.sockets = 1;
  return config;
}

config::List make_list() {
  config::List list;
  list.name = "one.test";
  list.lines = {{.pattern = config::parse_site("one.test=127.0.0.2")->pattern, .weight = 8}};
  list.gain_max = 8;
  list.test4 = {.listed = IpAddress::from_v4(0x7f000002), .unlisted = std::nullopt};
  return list;
}

class ShardTest : public testing::Test {
 protected:
  void begin(config::Hold hold) {
    make(hold);
    shard_->open_doors();
  }
  // Ready, with its doors closed. predecessor: a shard before it may carry clients here.
  void make(config::Hold hold, bool predecessor = false) {
    if (predecessor) carry_end_ = world_.reactor.make_carry_end();
    config_ = make_config(hold);
    zone_.resize(*dns::write_zone("one.test", zone_));
    plan_.lists.push_back(make_list());
    plan_.zones = {{zone_}};
    plan_.servers = {{IpAddress::from_v4(0xc6336401), 53}};
    shared_.lists.boards[0].state = static_cast<uint8_t>(ListState::kUp);
    sockets_ = {world_.reactor.make_packet_socket(server_, 4096)};
    feed_.emplace(SynFeedParts{.ring = tap_.reader(),
                               .ring_fd = tap_.fd(),
                               .reactor = world_.reactor,
                               .counters = world_.counters.shards()[0],
                               .config = config_},
                  world_.now());
    log_.set_time(WallTime(std::chrono::seconds(kWall)));
    shard_ = std::make_unique<Shard>(ShardParts{.config = config_,
                                                .access = nullptr,
                                                .counters = world_.counters.shards(),
                                                .reactor = world_.reactor,
                                                .log = log_,
                                                .listeners = {world_.listener},
                                                .teaser = "",
                                                .lists = &plan_,
                                                .boards = &shared_,
                                                .dns_sockets = sockets_,
                                                .dns_key = {5, 6},
                                                .syn_feed = &*feed_,
                                                .book = &book_,
                                                .steward_fd = line_,
                                                .carry_fd = carry_end_},
                                     world_.slots, world_.now());
    ASSERT_TRUE(shard_->start(world_.now()));
  }
  // Held clients of the shard before, in one lot.
  std::vector<sim::SocketPtr> carry_here(uint32_t count) {
    std::vector<sim::SocketPtr> sockets;
    std::vector<uint8_t> lot;
    begin_lot(lot);
    for (uint32_t i = 0; i < count; ++i) {
      sockets.push_back(std::make_shared<sim::Socket>());
      sockets.back()->far = &stranger_;
      add_to_lot({.address = client(i + 1),
                  .started = world_.now(),
                  .deadline = world_.now() + 6000,
                  .port = 40000},
                 lot);
    }
    world_.reactor.carry_here(carry_end_, lot, sockets);
    return sockets;
  }
  std::string heard(sim::Socket& socket) {
    std::array<char, 256> room;
    return {room.data(), world_.reactor.take(socket, room)};
  }
  uint64_t count(Counter counter) const { return world_.counters.shards()[0].get(counter); }
  void run_for(sim::Time span) {
    const sim::Time end = world_.agenda.now() + span;
    while (world_.agenda.now() < end) {
      const auto left = milliseconds(static_cast<int64_t>(end - world_.agenda.now()));
      const auto wait = shard_->wait(world_.now());
      const auto completions = world_.reactor.turn(wait ? std::min(*wait, left) : left);
      shard_->handle(completions, world_.now());
    }
  }
  // Everybody is sent away, since a shard does not like clients to be there at its end.
  void TearDown() override {
    shard_->stop(world_.now());
    run_for(60'000);
    EXPECT_EQ(world_.reactor.violations(), std::vector<std::string>{});
  }
  static IpAddress client(uint32_t number) { return IpAddress::from_v4(0x0a000000 + number); }
  bool was_asked(uint32_t number) const {
    const std::string name = std::to_string(number) + ".0.0.10.one.test";
    return std::count(zone_book_.asked.begin(), zone_book_.asked.end(), name) > 0;
  }

  sim::Stranger stranger_;
  int carry_end_ = -1;
  sim::SmallWorld world_{{.slots = 1024, .faults = {}}};
  Zone zone_book_;
  Memory book_;
  Steward steward_;
  config::Config config_;
  std::unique_ptr<Shard> shard_;

 private:
  std::string zone_ = std::string(dns::kNameBytesMax, '\0');
  ListsPlan plan_;
  SharedBoards shared_;
  sim::Stage stage_{world_.agenda, world_.random, world_.reactor};
  sim::DnsServer server_{stage_, zone_book_, sim::DnsManners{}};
  std::vector<int> sockets_;
  int line_ = world_.reactor.make_packet_socket(steward_, 0);
  LogSink sink_{config::LogTarget::kFile, world_.reactor.make_log(), "gate", "mail"};
  Log log_{sink_, world_.reactor, world_.counters.shards()[0], 1};
  std::optional<SynFeed> feed_;

 protected:
  sim::SynTap tap_{world_.agenda, world_.reactor, 4096};
};

TEST_F(ShardTest, ListsAreNotToldOfRememberedClientsWhenTheirSynComes) {
  struct Row {
    const char* what;
    uint8_t passed = 0;  // tests that are good for another hour
    uint8_t failed = 0;
    Seconds until = kWall + 3600;
    bool stranger = false;
    bool want = false;
  };
  const Row rows[] = {
      {.what = "a stranger", .stranger = true, .want = true},
      {.what = "passed every test", .passed = kAllTests},
      {.what = "passed the lists, though not the wait", .passed = bit_of(ScreenTest::kLists)},
      {.what = "passed the wait, not the lists",
       .passed = bit_of(ScreenTest::kPregreet),
       .want = true},
      {.what = "passed every test, long ago",
       .passed = kAllTests,
       .until = kWall - 1,
       .want = true},
      {.what = "was listed a moment ago", .failed = bit_of(ScreenTest::kLists)},
      {.what = "spoke early a moment ago", .failed = bit_of(ScreenTest::kPregreet)},
  };
  uint32_t number = 0;
  for (const Row& row : rows) {
    ++number;
    if (row.stranger) continue;
    ClientRecord record;
    record.first_seen = record.last_seen = kWall - 7200;
    for (size_t test = 0; test < kScreenTestCount; ++test) {
      if ((row.passed >> test & 1) != 0) record.passed_until[test] = row.until;
    }
    record.failed = row.failed;
    if (row.failed != 0) record.failed_until = row.until;
    book_.records[client(number).text()] = record;
  }
  begin(config::Hold::kKernel);
  for (uint32_t i = 1; i <= number; ++i) tap_.tell(client(i));
  run_for(2000);
  uint64_t asked = 0;
  number = 0;
  for (const Row& row : rows) {
    EXPECT_EQ(was_asked(++number), row.want) << row.what;
    asked += row.want ? 1 : 0;
  }
  EXPECT_EQ(world_.counters.shards()[0].get(Counter::kSynPrefetched), asked);
}

// Both shards of a reload used to probe, and to write the boards one after the other.
TEST_F(ShardTest, ARetiredShardLeavesTheWatchOverListsToItsSuccessor) {
  begin(config::Hold::kGate);
  run_for(200'000);
  const size_t probes = zone_book_.asked.size();
  EXPECT_GE(probes, 3U);
  ASSERT_NE(shard_->lookups()->watch(), nullptr);
  shard_->retire({}, world_.now());
  EXPECT_EQ(shard_->lookups()->watch(), nullptr);
  run_for(200'000);
  EXPECT_EQ(zone_book_.asked.size(), probes);
}

TEST_F(ShardTest, ARetiredShardTellsItsSessionsByTheNextConfigurationsListeners) {
  begin(config::Hold::kGate);
  world_.arrive();
  run_for(100);
  const Order everybody{.rows_max = 10};
  const Report before = shard_->obey(everybody, world_.now());
  ASSERT_EQ(before.rows.size(), 1U);
  EXPECT_EQ(before.rows[0].listener, 0);
  CarryOrder order;
  order.listeners[0] = 3;
  shard_->retire(order, world_.now());
  run_for(100);
  const Report after = shard_->obey(everybody, world_.now());
  ASSERT_EQ(after.rows.size(), 1U);
  EXPECT_EQ(after.rows[0].listener, 3);
}

// It used to end with them unread: it had nobody, and was between two lots.
TEST_F(ShardTest, AStoppingShardSendsAwayWhoIsStillBeingCarriedToIt) {
  make(config::Hold::kGate, true);
  run_for(100);
  shard_->stop(world_.now());
  run_for(100);
  EXPECT_FALSE(shard_->finished(world_.now())) << "the shard before may have sent somebody";
  std::vector<sim::SocketPtr> carried = carry_here(3);
  for (const sim::SocketPtr& socket : carry_here(2)) carried.push_back(socket);
  world_.reactor.end_carry(carry_end_);
  EXPECT_FALSE(shard_->finished(world_.now()));
  run_for(1000);
  for (const sim::SocketPtr& socket : carried) EXPECT_EQ(heard(*socket).substr(0, 4), "421 ");
  EXPECT_EQ(count(Counter::kCarried), carried.size());
  EXPECT_EQ(count(Counter::kDropShutdown), carried.size());
  EXPECT_EQ(count(Counter::kCarryLost), 0U);
  for (const sim::SocketPtr& socket : carried) world_.reactor.leave(*socket);
  run_for(1000);
  EXPECT_TRUE(shard_->finished(world_.now()));
}

TEST_F(ShardTest, AStoppingShardWaitsForTheOneBeforeNoLongerThanItsDrain) {
  make(config::Hold::kGate, true);
  const Tick drain = to_ticks(config::Config().drain);
  shard_->stop(world_.now());
  run_for(drain - 1000);
  EXPECT_FALSE(shard_->finished(world_.now()));
  run_for(1000);
  EXPECT_TRUE(shard_->finished(world_.now()));
}

// It slept on until something else happened, if that visit had been resting.
TEST_F(ShardTest, ARetiredShardOverItsDrainEndsWithItsLastVisit) {
  make(config::Hold::kGate, true);  // the shard before may still send somebody
  config_.drain = milliseconds(0);
  ClientRecord& record = book_.records[client(1).text()];  // has only its wait to serve
  record.passed_until.fill(kWall + 3600);
  record.passed_until[static_cast<size_t>(ScreenTest::kPregreet)] = 0;
  shard_->open_doors();
  world_.arrive();
  run_for(20);
  world_.arrive();
  run_for(20);
  shard_->retire({}, world_.now());
  const Tick until = world_.now() + to_ticks(config_.greet.wait);
  run_for(until - world_.now());
  EXPECT_EQ(steward_.messages, 1U) << "the second visit rests";
  while (!shard_->finished(world_.now()) && world_.reactor.violations().empty()) {
    shard_->handle(world_.reactor.turn(shard_->wait(world_.now())), world_.now());
  }
  EXPECT_EQ(steward_.messages, 2U);
  EXPECT_LE(world_.now(), until + kVisitRestMs);
}

TEST_F(ShardTest, WhoWasAboutToBeCarriedHearsThatTheGateStops) {
  begin(config::Hold::kGate);
  const sim::SocketPtr socket = world_.arrive();
  run_for(500);
  CarryOrder order;
  order.listeners[0] = 0;
  order.fd = world_.reactor.make_carry_start([](auto, auto) { FAIL() << "nobody is to go now"; });
  shard_->retire(order, world_.now());
  shard_->handle({}, world_.now());  // its install is asked for
  ASSERT_EQ(world_.counters.shards()[0].phases[static_cast<size_t>(Phase::kMoving)], 1U);
  shard_->stop(world_.now());
  run_for(1000);
  EXPECT_NE(heard(*socket).find("421 "), std::string::npos);
  EXPECT_EQ(count(Counter::kDropShutdown), 1U);
}

TEST_F(ShardTest, SynsAreReadByOneShardAtATime) {
  make(config::Hold::kKernel, true);
  tap_.tell(client(1));
  run_for(200);
  EXPECT_EQ(tap_.read(), 0U) << "the shard before does not know yet that it is to retire";
  shard_->open_doors();
  run_for(200);
  EXPECT_EQ(tap_.read(), 0U) << "it may still not know";
  world_.reactor.end_carry(carry_end_);
  run_for(200);
  EXPECT_EQ(tap_.read(), 1U);
  EXPECT_TRUE(was_asked(1));
  shard_->retire({}, world_.now());
  tap_.tell(client(2));
  run_for(200);
  EXPECT_EQ(tap_.read(), 1U) << "it is the next one's";
}

}  // namespace
}  // namespace lychgate::daemon
