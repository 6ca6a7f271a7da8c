// Which server is asked next, how wide its window is, and whose an id is. No packets.

#include "dns/servers.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::dns {
namespace {

constexpr uint32_t kPlenty = 100000;

class ServersTest : public testing::Test {
 protected:
  Servers make(uint32_t count, uint32_t per_server = 1, uint32_t questions = kPlenty) {
    std::vector<Endpoint> endpoints;
    std::vector<int> sockets;
    for (uint32_t i = 0; i < count; ++i) {
      endpoints.push_back({IpAddress::from_v4(0xc6336400 + i), 53});
      for (uint32_t n = 0; n < per_server; ++n) sockets.push_back(static_cast<int>(10 + i));
    }
    return Servers(endpoints, sockets, questions, counters_);
  }
  void serve(Servers& servers, uint32_t rounds, uint32_t took_ms);
  Seat seat(Servers& servers, uint32_t server) {
    const uint32_t query = next_query_++;
    return *servers.take_seat(server, query, query * 0x9e3779b97f4a7c15);
  }
  // Attempts that nobody answers, each a while after the other.
  void fall_silent(Servers& servers, uint32_t server, uint32_t attempts) {
    for (uint32_t i = 0; i < attempts; ++i) servers.lost(seat(servers, server), now_);
  }

  ShardCounters counters_;
  uint32_t next_query_ = 0;
  Tick now_ = 0xfffffff0;  // the tick wraps in the middle of some tests
};

TEST_F(ServersTest, ServersTakeTurnsByChance) {
  Servers servers = make(3);
  std::set<uint32_t> picked;
  for (uint64_t random = 0; random < 3; ++random) picked.insert(*servers.pick(0, random, now_));
  EXPECT_EQ(picked.size(), 3u);
}

TEST_F(ServersTest, OneThatWasNotTriedComesBeforeOneThatWas) {
  Servers servers = make(3);
  for (uint64_t random = 0; random < 9; ++random) {
    EXPECT_EQ(servers.pick(0b101, random, now_), 1u);
    EXPECT_TRUE(servers.pick(0b111, random, now_)) << "tried all: any will do";
  }
}

TEST_F(ServersTest, AFullWindowIsPassedOver) {
  Servers servers = make(2);
  for (uint32_t i = 0; i < kDnsWindowFirst; ++i) seat(servers, 0);
  for (uint64_t random = 0; random < 9; ++random) EXPECT_EQ(servers.pick(0, random, now_), 1u);
  for (uint32_t i = 0; i < kDnsWindowFirst; ++i) seat(servers, 1);
  EXPECT_EQ(servers.pick(0, 7, now_), std::nullopt);
}

// Fills the window and answers it, each answer after took_ms, `rounds` times.
void ServersTest::serve(Servers& servers, uint32_t rounds, uint32_t took_ms) {
  for (uint32_t round = 0; round < rounds; ++round) {
    std::vector<Seat> seats;
    while (servers.open(0) < servers.window(0)) seats.push_back(seat(servers, 0));
    now_ += took_ms;
    for (const Seat& each : seats) servers.answered(each, took_ms, now_);
  }
}

TEST_F(ServersTest, OnlyAWindowThatIsUsedGrows) {
  Servers servers = make(1);
  for (uint32_t i = 0; i < 100; ++i) servers.answered(seat(servers, 0), 50, now_ += 50);
  EXPECT_EQ(servers.window(0), kDnsWindowFirst) << "one at a time proves nothing";
  serve(servers, 40, 50);  // 2 s
  EXPECT_GT(servers.window(0), 2 * kDnsWindowFirst);
}

// A window used to grow with each answer: by the time that the first loss was known a burst to a
// local server had lost a third of its questions.
TEST_F(ServersTest, AQuarterAPeriodAtTheMost) {
  Servers servers = make(1);
  serve(servers, 1, kWindowPeriodMs);
  const uint32_t before = servers.window(0);
  serve(servers, kWindowPeriodMs / 20 - 1, 20);
  EXPECT_LE(servers.window(0), before + before / 4);
}

TEST_F(ServersTest, AServerNearbyKeepsItsFirstWindow) {
  Servers servers = make(1);
  serve(servers, 1000, kNearMs);
  EXPECT_EQ(servers.window(0), kDnsWindowFirst);
}

TEST_F(ServersTest, AfterALossAWindowGrowsCarefully) {
  Servers servers = make(1);
  serve(servers, 40, 50);
  const uint32_t widest = servers.window(0);
  fall_silent(servers, 0, 1);
  ASSERT_EQ(servers.window(0), widest / 2);
  serve(servers, kWindowPeriodMs / 50 - 1, 50);
  EXPECT_EQ(servers.window(0), widest / 2) << "not within a period of the loss";
  serve(servers, 2, 50);
  EXPECT_EQ(servers.window(0), widest / 2 + widest / 32);
}

TEST_F(ServersTest, AServerThatWasSilentForAWhileIsSoonAskedAsMuchAsBefore) {
  Servers servers = make(1);
  for (int round = 0; round < 10; ++round) {
    now_ += 100;
    fall_silent(servers, 0, 1);
  }
  ASSERT_EQ(servers.window(0), kDnsWindowMin);
  std::vector<Seat> seats;
  for (uint32_t i = 0; i < kDnsWindowMin; ++i) seats.push_back(seat(servers, 0));
  for (const Seat& each : seats) {
    servers.answered(each, 1, now_);
    seat(servers, 0);
  }
  EXPECT_EQ(servers.window(0), 2 * kDnsWindowMin);
}

TEST_F(ServersTest, AWindowIsNeverWiderThanWhatMayBeInFlight) {
  Servers servers = make(1, 1, 40);
  EXPECT_EQ(servers.window(0), 40u);
  serve(servers, 40, 50);
  EXPECT_EQ(servers.window(0), 40u);
}

TEST_F(ServersTest, LossesOfOneBurstHalveItOnceAndNeverBelowItsLeast) {
  Servers servers = make(1);
  fall_silent(servers, 0, 5);
  EXPECT_EQ(servers.window(0), kDnsWindowFirst / 2);
  for (int round = 0; round < 10; ++round) {
    now_ += 100;
    fall_silent(servers, 0, 1);
  }
  EXPECT_EQ(servers.window(0), kDnsWindowMin);
}

TEST_F(ServersTest, TheFirstLossHalvesWhateverTheClockSays) {
  for (const Tick start :
       {Tick{0x00000400}, Tick{0x7fffff00}, Tick{0x80000100}, Tick{0xffffff00}}) {
    Servers servers = make(1);
    now_ = start;
    fall_silent(servers, 0, 1);
    EXPECT_EQ(servers.window(0), kDnsWindowFirst / 2) << start;
  }
}

TEST_F(ServersTest, ASilentServerIsAskedLastAndTriedNowAndThen) {
  Servers servers = make(2);
  fall_silent(servers, 0, kServerSilentMax - 1);
  EXPECT_FALSE(servers.is_down(0));
  fall_silent(servers, 0, 1);
  EXPECT_TRUE(servers.is_down(0));
  EXPECT_EQ(counters_.get(Counter::kDnsServerDown), 1u);
  // Tried after 1, 2, 4, 8, 16, 16 seconds.
  for (const Tick pause : {1000u, 2000u, 4000u, 8000u, 16000u, 16000u}) {
    EXPECT_EQ(servers.pick(0, 0, now_ + pause - 1), 1u);
    now_ += pause;
    EXPECT_EQ(servers.pick(0b01, 0, now_), 1u) << "not by a question that it has lost before";
    EXPECT_EQ(servers.pick(0, 0, now_), 0u) << "after " << pause;
    EXPECT_EQ(servers.pick(0, 0, now_), 1u) << "one question is enough";
  }
  servers.answered(seat(servers, 0), 1, now_);
  EXPECT_FALSE(servers.is_down(0));
  EXPECT_EQ(servers.pick(0, 0, now_), 0u);
}

TEST_F(ServersTest, WhenAllAreDownAllAreAsked) {
  Servers servers = make(2);
  for (uint32_t i = 0; i < 2; ++i) fall_silent(servers, i, kServerSilentMax);
  EXPECT_EQ(servers.pick(0, 0, now_), 0u);
  EXPECT_EQ(servers.pick(0, 1, now_), 1u);
  EXPECT_EQ(servers.pick(0b01, 0, now_), 1u);
}

TEST_F(ServersTest, AnIcmpMessageTakesItDownAtOnce) {
  Servers servers = make(2, 4);
  servers.refused(5, now_);
  EXPECT_FALSE(servers.is_down(0));
  EXPECT_TRUE(servers.is_down(1)) << "sockets 4 to 7 are the second server's";
}

TEST_F(ServersTest, AnOverdueSeatLeavesTheWindowButKeepsItsId) {
  Servers servers = make(1);
  const Seat slow = seat(servers, 0);
  servers.overdue(slow, now_);
  EXPECT_EQ(servers.open(0), 0u);
  EXPECT_EQ(servers.query_of(slow), 0u) << "its answer is still welcome";
  servers.answered(slow, 1, now_);
  EXPECT_EQ(servers.open(0), 0u);
  EXPECT_EQ(servers.query_of(slow), kNoQuery);
}

TEST_F(ServersTest, AnIdIsGivenOnceAndAllOfThemAre) {
  Servers servers = make(1, 2);
  std::set<std::pair<uint16_t, uint16_t>> seats;
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto got = servers.take_seat(0, i, uint64_t{i} * 512 * 2);  // the first socket's
    ASSERT_TRUE(got && seats.emplace(got->socket, got->id).second) << i;
    ASSERT_EQ(servers.query_of(*got), i);
  }
  EXPECT_EQ(servers.take_seat(0, 1, 0), std::nullopt);
  EXPECT_TRUE(servers.take_seat(0, 1, 1)) << "the other socket has some";
  servers.let_go({0, 4711});
  const auto last = servers.take_seat(0, 1, 0);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->id, 4711);
}

}  // namespace
}  // namespace lychgate::dns
