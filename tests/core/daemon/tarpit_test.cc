// The tarpit over a simulated kernel: pace, order, bounds, and clients that go in every way.

#include "core/daemon/tarpit.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using ring::Op;
using smtp::ReplyId;

constexpr ReplyId kReply = ReplyId::kRefuseProtocol;
constexpr uint32_t kSlots = 1024;

class TarpitTest : public testing::Test {
 protected:
  struct Client {
    uint32_t slot = kNoSlot;
    sim::SocketPtr socket;
  };

  TarpitTest() { turn(); }
  Client accept() {
    Client client;
    client.socket = world_.arrive();
    ring::PeerAddress peer;
    world_.reactor.accept_direct(world_.listener, 0, peer, ring::OpTag::of(Op::kAccept));
    for (const ring::Completion& completion : world_.turn()) {
      if (completion.tag.operation() != Op::kAccept) {
        take(completion);
        continue;
      }
      client.slot = static_cast<uint32_t>(completion.result);
      world_.connections.open_client({.slot = client.slot, .peer = client.socket->remote}, now_);
    }
    return client;
  }
  Client admit() {
    const Client client = accept();
    tarpit_.admit(client.slot, kReply, now_);
    return client;
  }
  void take(const ring::Completion& completion) {
    if (world_.connections.take(completion) == nullptr) return;
    const auto slot = static_cast<uint32_t>(completion.tag.slot);
    const Op op = completion.tag.operation();
    if (op != Op::kDrip && op != Op::kShrink) return;
    if (tarpit_.complete(slot, completion)) return;
    gone_.push_back(slot);
    world_.connections.retire(slot);
  }
  // One turn at the time it is: what came, then what is due. Who is let go is closed.
  void turn() {
    for (const ring::Completion& completion : world_.turn()) take(completion);
    tarpit_.advance(rules_, now_);
    while (const auto slot = tarpit_.next_released()) {
      released_.push_back(*slot);
      const auto words = Tarpit::last_words(world_.slots[*slot]);
      last_words_.emplace_back(words.begin(), words.end());
      world_.connections.retire(*slot);
    }
  }
  // Turns as often as the tarpit asks for it, and once at the end.
  void pass(Tick ms) {
    const Tick end = now_ + ms;
    turn();
    turn();
    while (true) {
      const auto wake = tarpit_.next_wake(now_);
      if (!wake || !tick_reached(end, *wake)) break;
      now_ = tick_reached(*wake, now_) ? *wake : now_;
      ++turns_;
      turn();
      turn();  // what the first one asked is answered by the next
    }
    now_ = end;
    turn();
    turn();
  }
  static std::string heard(const Client& client) { return std::string(client.socket->tx.front()); }
  std::vector<Client> admit_many(uint32_t count) {
    std::vector<Client> out;
    for (uint32_t i = 0; i < count; ++i) out.push_back(admit());
    return out;
  }
  uint64_t count(Counter counter) { return world_.counters.shards()[0].get(counter); }

  sim::SmallWorld world_{{.slots = kSlots, .faults = {}}};
  Tick now_ = 1000;
  config::Tarpit rules_{.interval = milliseconds{1000}};
  Tarpit tarpit_{world_.connections, kSlots};
  std::vector<uint32_t> released_;
  std::vector<std::string> last_words_;
  std::vector<uint32_t> gone_;
  uint32_t turns_ = 0;
};

// What a client hears that is never let go.
std::string endless(size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += "550-5.5.1 Protocol error\r\n";
  return out.substr(0, bytes);
}

TEST_F(TarpitTest, AClientHearsAByteAnInterval) {
  const Client client = admit();
  EXPECT_EQ(world_.slots[client.slot].phase, Phase::kTarpit);
  for (size_t bytes = 0; bytes < 60; ++bytes) {
    EXPECT_EQ(heard(client), endless(bytes));
    pass(1000);
  }
  EXPECT_EQ(count(Counter::kTarpitted), 1U);
  EXPECT_EQ(count(Counter::kTarpitBytes), 60U);
  EXPECT_LE(turns_, 61U) << "it is looked at when its byte is due";
  EXPECT_EQ(world_.timers.armed(), 0U);
  EXPECT_TRUE(world_.reactor.violations().empty());
}

TEST_F(TarpitTest, ManyAreServedEvenly) {
  const auto clients = admit_many(1000);
  pass(11 * 1000);
  size_t ahead = 0;
  for (const Client& client : clients) {
    const size_t bytes = heard(client).size();
    EXPECT_EQ(heard(client), endless(bytes));
    EXPECT_GE(bytes, 10U);
    ahead += bytes - 10;
  }
  EXPECT_LE(ahead, 1U) << "the eleventh round has just begun";
  turns_ = 0;
  uint64_t before = count(Counter::kTarpitBytes);
  for (int i = 0; i < 100; ++i) {
    pass(kTimerGrainMs);
    const uint64_t bytes = count(Counter::kTarpitBytes);
    EXPECT_LE(bytes - before, 11U) << "no burst";
    EXPECT_GE(bytes - before, 9U);
    before = bytes;
  }
  EXPECT_LE(turns_, 101U) << "no more than one turn a grain";
}

TEST_F(TarpitTest, ThoseWhoComeAndGoHurryAndDelayNobody) {
  const auto clients = admit_many(100);
  pass(1500);
  const auto more = admit_many(300);
  pass(400);
  for (const Client& client : clients) EXPECT_LE(heard(client).size(), 1U);
  for (const Client& client : more) tarpit_.remove(client.slot);
  for (const Client& client : more) world_.connections.retire(client.slot);
  pass(20 * 1000);
  for (const Client& client : clients) {
    EXPECT_GE(heard(client).size(), 20U);
    EXPECT_LE(heard(client).size(), 21U);
  }
}

// As many as are left used to set the pace, and the last of a crowd was noticed after ten rounds.
TEST_F(TarpitTest, ACrowdThatLeavesIsNoticedInOneRound) {
  for (const Client& client : admit_many(1000)) client.socket->far_gone = true;
  pass(1999);
  EXPECT_EQ(tarpit_.clients(), 1000U) << "the first byte is only answered by a reset";
  pass(1000 + kTimerGrainMs);
  EXPECT_EQ(tarpit_.clients(), 0U);
  EXPECT_EQ(world_.slots.used(), 0U);
}

TEST_F(TarpitTest, WhoIsLetGoHasHeardAWholeReply) {
  const size_t line = smtp::reply_bytes(kReply).size();
  for (size_t bytes = 0; bytes < 2 * line; ++bytes) {
    const Client client = admit();
    pass(static_cast<Tick>(bytes) * 1000);
    ASSERT_EQ(heard(client), endless(bytes));
    tarpit_.set_clients_max(0);
    turn();
    tarpit_.set_clients_max(kSlots);
    ASSERT_EQ(released_, std::vector<uint32_t>{client.slot});
    std::string all = endless(bytes) + last_words_.front();
    std::string text(smtp::reply_bytes(kReply));
    EXPECT_TRUE(all.ends_with(text)) << all;
    all.resize(all.size() - text.size());
    EXPECT_EQ(all, endless(all.size())) << "lines that go on";
    EXPECT_EQ(all.size() % line, 0U) << "whole ones: " << all;
    EXPECT_LE(last_words_.front().size(), 2 * line - 4) << "no more than needed";
    released_.clear();
    last_words_.clear();
    turn();
  }
}

TEST_F(TarpitTest, TheOldestMakesRoom) {
  tarpit_.set_clients_max(3);
  std::vector<Client> clients = admit_many(3);
  pass(5000);
  EXPECT_TRUE(released_.empty());
  for (int i = 0; i < 2; ++i) clients.push_back(admit());
  turn();
  EXPECT_EQ(released_, (std::vector{clients[0].slot, clients[1].slot}));
  EXPECT_EQ(tarpit_.clients(), 3U);
  EXPECT_EQ(count(Counter::kTarpitPressed), 2U);
  EXPECT_EQ(count(Counter::kTarpitSeconds), 10U);
  pass(5000);
  for (size_t i = 2; i < clients.size(); ++i) EXPECT_GE(heard(clients[i]).size(), 5U);
  EXPECT_EQ(released_.size(), 2U);
}

// Pressure may meet a client whose byte is on its way: what it has heard is not known.
TEST_F(TarpitTest, NobodyIsLetGoWhileAByteIsOnItsWay) {
  const Client first = admit();
  pass(900);
  now_ += 100;
  tarpit_.advance(rules_, now_);
  ASSERT_EQ(world_.slots[first.slot].in_flight, 1U);
  tarpit_.set_clients_max(0);
  EXPECT_EQ(tarpit_.next_released(), std::nullopt);
  turn();
  EXPECT_EQ(released_, std::vector<uint32_t>{first.slot});
  EXPECT_EQ(last_words_.front(), std::string(smtp::reply_bytes(kReply)).substr(1));
}

TEST_F(TarpitTest, AClientsTimeMayEnd) {
  rules_.time = milliseconds{2500};
  const Client first = admit();
  pass(1000);
  const Client second = admit();
  pass(1490);
  EXPECT_TRUE(released_.empty());
  pass(10);
  EXPECT_EQ(released_, std::vector<uint32_t>{first.slot});
  pass(1000);
  EXPECT_EQ(released_, (std::vector{first.slot, second.slot}));
  EXPECT_EQ(count(Counter::kTarpitPressed), 0U);
  EXPECT_EQ(count(Counter::kTarpitSeconds), 4U) << "whole ones, of each";
  EXPECT_EQ(tarpit_.next_wake(now_), std::nullopt);
}

TEST_F(TarpitTest, AClosedOneLetsAllGoALittleAtATime) {
  const auto clients = admit_many(600);
  turn();
  EXPECT_TRUE(tarpit_.is_open());
  tarpit_.set_clients_max(0);
  EXPECT_FALSE(tarpit_.is_open());
  EXPECT_EQ(tarpit_.next_wake(now_), now_);
  turn();
  EXPECT_EQ(released_.size(), 256U);
  EXPECT_EQ(tarpit_.next_wake(now_), now_) << "the rest without delay";
  turn();
  turn();
  ASSERT_EQ(released_.size(), 600U);
  for (size_t i = 0; i < clients.size(); ++i) EXPECT_EQ(released_[i], clients[i].slot);
  EXPECT_EQ(tarpit_.next_wake(now_), std::nullopt);
}

TEST_F(TarpitTest, BytesOfAGrainHaveABound) {
  rules_.interval = milliseconds{10};
  admit_many(1000);
  turn();
  now_ += 5000;
  turn();
  turn();
  uint64_t most = 0;
  const uint64_t first = count(Counter::kTarpitBytes);
  for (int i = 0; i < 50; ++i) {
    const uint64_t before = count(Counter::kTarpitBytes);
    now_ += kTimerGrainMs;
    turn();
    turn();
    most = std::max(most, count(Counter::kTarpitBytes) - before);
  }
  EXPECT_LE(most, 256U);
  EXPECT_GE(count(Counter::kTarpitBytes) - first, 9000U) << "and they are nearly always reached";
  EXPECT_EQ(tarpit_.next_wake(now_), now_ + kTimerGrainMs);
}

TEST_F(TarpitTest, ALongTurnMeansOneByte) {
  const auto clients = admit_many(3);
  turn();
  now_ += 60 * 1000;
  pass(999);
  for (const Client& client : clients) EXPECT_EQ(heard(client).size(), 1U);
}

TEST_F(TarpitTest, WhoDoesNotReadIsNotTold) {
  const Client client = admit();
  client.socket->tx_max = 2;
  pass(5000);
  EXPECT_EQ(heard(client), "55");
  client.socket->tx_max = 100;
  pass(2000);
  EXPECT_EQ(heard(client), "550-") << "it goes on where it stopped";
  EXPECT_EQ(count(Counter::kTarpitBytes), 4U);
  EXPECT_TRUE(gone_.empty());
}

TEST_F(TarpitTest, WhoHasGoneIsNoLongerThere) {
  const auto clients = admit_many(3);
  clients[1].socket->far_gone = true;
  pass(3000);
  EXPECT_EQ(gone_, std::vector<uint32_t>{clients[1].slot});
  EXPECT_EQ(tarpit_.clients(), 2U);
  pass(3000);
  EXPECT_GE(heard(clients[0]).size(), 5U);
  EXPECT_GE(heard(clients[2]).size(), 5U);
}

TEST_F(TarpitTest, AnybodyMayBeTakenOut) {
  struct Row {
    const char* what;
    std::vector<size_t> taken;
    Tick when;
  };
  const Row rows[] = {
      {"the first", {0}, 0},
      {"the last", {3}, 0},
      {"from the middle", {1, 2}, 0},
      {"all, forwards", {0, 1, 2, 3}, 0},
      {"all, backwards", {3, 2, 1, 0}, 0},
      {"the first, when the second's turn has come", {0}, 300},
      {"whose turn it is", {1}, 300},
      {"the rest of the round", {2, 3}, 500},
      {"the last, when all have had their turn", {3}, 1000},
  };
  for (const Row& row : rows) {
    const auto clients = admit_many(4);
    pass(row.when);
    for (const size_t i : row.taken) {
      tarpit_.remove(clients[i].slot);
      tarpit_.remove(clients[i].slot);
      EXPECT_EQ(world_.slots[clients[i].slot].timer_home, TimerHome::kNone) << row.what;
      world_.connections.retire(clients[i].slot);
    }
    EXPECT_EQ(tarpit_.clients(), 4U - row.taken.size()) << row.what;
    pass(4999);
    for (size_t i = 0; i < clients.size(); ++i) {
      if (std::count(row.taken.begin(), row.taken.end(), i) != 0) continue;
      EXPECT_GE(heard(clients[i]).size(), 4U) << row.what;
      tarpit_.remove(clients[i].slot);
      world_.connections.retire(clients[i].slot);
    }
    turn();
    turn();
    EXPECT_EQ(world_.slots.used(), 0U) << row.what;
  }
}

TEST_F(TarpitTest, WhatWasSaidBeforeIsThrownAwayOnce) {
  const Client client = accept();
  client.socket->rx.push(std::string_view("EHLO x\r\n"));
  tarpit_.admit(client.slot, kReply, now_);
  turn();
  turn();
  EXPECT_TRUE(client.socket->rx.empty());
  client.socket->rx.push(std::string_view("QUIT\r\n"));
  pass(5000);
  EXPECT_EQ(client.socket->rx.size(), 6U) << "it stays in the small window";
}

TEST_F(TarpitTest, TheTickMayWrap) {
  now_ = 0U - 2500;
  rules_.time = milliseconds{5000};
  const Client client = admit();
  pass(4990);
  EXPECT_EQ(heard(client), endless(4));
  EXPECT_TRUE(released_.empty());
  pass(10);
  EXPECT_EQ(released_, std::vector<uint32_t>{client.slot});
  EXPECT_EQ(count(Counter::kTarpitSeconds), 5U);
}

// The tables that hold know few verbs, and only there 100,000 clients fit.
TEST(TarpitTables, WorksInTablesThatHold) {
  sim::SmallWorld world{{.slots = 64, .tables = 2, .faults = {}}};
  Tarpit tarpit(world.connections, 10);
  const config::Tarpit rules{.interval = milliseconds{1000}};
  const sim::SocketPtr socket = world.arrive();
  ring::PeerAddress peer;
  world.connections.expect_slot(1);
  world.reactor.accept_direct(world.listener, 1, peer, ring::OpTag::of(Op::kAccept));
  const auto slot = static_cast<uint32_t>(world.turn().front().result);
  world.connections.slot_came(1);
  world.connections.open_client({.slot = slot, .peer = socket->remote}, 0);
  tarpit.admit(slot, kReply, 0);
  for (Tick now = 0; now <= 3000; now += 500) {
    tarpit.advance(rules, now);
    for (const ring::Completion& completion : world.turn()) {
      world.connections.take(completion);
      EXPECT_TRUE(tarpit.complete(slot, completion));
    }
  }
  EXPECT_EQ(socket->tx.front(), "550");
  EXPECT_TRUE(world.reactor.violations().empty());
}

}  // namespace
}  // namespace lychgate::daemon
