// Visits on their way: what a message holds, when it leaves, and what is lost.

#include "core/daemon/outbox.h"

#include <cerrno>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

constexpr int kLine = 7;

// Notes what is sent and leaves the answers to the test.
class Line : public sim::SimReactor {
 public:
  using SimReactor::SimReactor;
  void send_packet(int fd, std::span<const char> packet, ring::OpTag tag) override {
    EXPECT_EQ(fd, kLine);
    EXPECT_EQ(tag.operation(), ring::Op::kVisits);
    sent.emplace_back(packet.begin(), packet.end());
    tags.push_back(tag);
  }
  std::vector<std::string> sent;
  std::vector<ring::OpTag> tags;
};

class OutboxTest : public testing::Test {
 protected:
  static Visit visit(uint32_t client) {
    ClientRecord record;
    record.passes = 1;
    record.last_seen = client;
    return {ClientKey::of(IpAddress::from_v4(client), {}), record};
  }
  void add(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) outbox_.add(visit(next_++));
  }
  // The clients that a message tells of.
  static std::vector<uint32_t> clients(const std::string& message) {
    EXPECT_EQ(message.front(), static_cast<char>(LineMessage::kVisits));
    EXPECT_EQ((message.size() - 1) % kVisitBytes, 0U);
    std::vector<uint32_t> out;
    const std::span bytes(reinterpret_cast<const uint8_t*>(message.data()), message.size());
    for (size_t at = 1; at < message.size(); at += kVisitBytes) {
      const auto told = decode_visit(bytes.subspan(at).first<kVisitBytes>());
      EXPECT_TRUE(told.has_value());
      if (told) out.push_back(told->record.last_seen);
    }
    return out;
  }
  uint64_t count(Counter counter) const { return counters_.get(counter); }

  sim::Agenda agenda_;
  sim::Random random_{1};
  Line line_{agenda_, random_, {}};
  ShardCounters counters_;
  Outbox outbox_{kLine, line_, counters_};
  uint32_t next_ = 1;
};

TEST_F(OutboxTest, SendsAtOnceWhenCalmAndGathersWhenBusy) {
  outbox_.flush(1000);
  EXPECT_TRUE(line_.sent.empty()) << "nothing to tell";
  EXPECT_EQ(outbox_.next_wake(), std::nullopt);
  add(1);
  outbox_.flush(1000);
  ASSERT_EQ(line_.sent.size(), 1U) << "the first goes at once";
  add(2);
  outbox_.flush(1001);
  EXPECT_EQ(line_.sent.size(), 1U) << "the next ones wait";
  EXPECT_EQ(outbox_.next_wake(), 1000 + kVisitRestMs);
  outbox_.flush(1000 + kVisitRestMs);
  ASSERT_EQ(line_.sent.size(), 2U);
  EXPECT_EQ(clients(line_.sent[1]), (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(count(Counter::kVisitsTold), 3U);
}

TEST_F(OutboxTest, AFullMessageDoesNotWait) {
  add(1);
  outbox_.flush(0);
  add(kVisitsPerMessage + 1);
  outbox_.flush(1);
  ASSERT_EQ(line_.sent.size(), 3U) << "and takes the rest with it";
  EXPECT_EQ(line_.sent[1].size(), kLineMessageMax);
  EXPECT_EQ(clients(line_.sent[1]).size(), kVisitsPerMessage);
  EXPECT_EQ(clients(line_.sent[2]).size(), 1U);
}

TEST_F(OutboxTest, WhatFindsNoRoomIsLostAndCounted) {
  add(kVisitsPerTurnMax + 5);
  EXPECT_EQ(count(Counter::kVisitsLost), 5U);
  outbox_.flush(0);
  std::set<uint32_t> told;
  for (const std::string& message : line_.sent) {
    for (const uint32_t client : clients(message)) told.insert(client);
  }
  EXPECT_EQ(told.size(), kVisitsPerTurnMax) << "each once";
  add(1);
  outbox_.flush(kVisitRestMs);
  EXPECT_EQ(count(Counter::kVisitsLost), 5U) << "and there is room again";
}

TEST_F(OutboxTest, AMessageThatTheSocketRefusesIsLostWhole) {
  add(3);
  outbox_.flush(0);
  outbox_.failed({line_.tags[0], -EAGAIN, false, std::nullopt});
  EXPECT_EQ(count(Counter::kVisitsLost), 3U);
}

// The kernel reads a message until the next turn has returned.
TEST_F(OutboxTest, DoesNotTouchWhatIsBeingSent) {
  class Slow : public Line {
   public:
    using Line::Line;
    void send_packet(int fd, std::span<const char> packet, ring::OpTag tag) override {
      Line::send_packet(fd, packet, tag);
      last = packet;
    }
    std::span<const char> last;
  };
  Slow slow{agenda_, random_, {}};
  Outbox outbox(kLine, slow, counters_);
  outbox.add(visit(1));
  outbox.flush(0);
  const std::string before(slow.last.begin(), slow.last.end());
  for (uint32_t i = 0; i < kVisitsPerTurnMax; ++i) outbox.add(visit(100 + i));
  EXPECT_EQ(std::string(slow.last.begin(), slow.last.end()), before);
}

TEST_F(OutboxTest, IsIdleOnlyAfterTheTurnThatSends) {
  EXPECT_TRUE(outbox_.idle());
  add(1);
  outbox_.flush(0);
  EXPECT_FALSE(outbox_.idle()) << "the kernel has not seen it";
  outbox_.flush(1);
  EXPECT_TRUE(outbox_.idle());
  add(1);
  outbox_.hurry();
  outbox_.flush(2);
  EXPECT_EQ(line_.sent.size(), 2U) << "in a hurry it does not rest";
}

TEST_F(OutboxTest, RestsAreForgottenBeforeTheTickComesRound) {
  add(1);
  outbox_.flush(0);
  outbox_.flush(kVisitRestMs);
  add(1);
  outbox_.flush(uint32_t{1} << 31);
  EXPECT_EQ(line_.sent.size(), 2U);
}

}  // namespace
}  // namespace lychgate::daemon
