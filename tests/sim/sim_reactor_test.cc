// The judge judged: what the simulated kernel must notice, and the semantics of its requests that
// the code under test relies on.

#include "tests/sim/sim_reactor.h"

#include <cerrno>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::sim {
namespace {

using ring::Op;
using ring::OpTag;

OpTag tag(SmallWorld& world, Op op, uint32_t slot) {
  return OpTag::of(op, world.slots.id(slot));
}

struct Crime {
  const char* what;
  std::function<void(SmallWorld&, uint32_t slot, const SocketPtr&)> commit;
  const char* want;  // in the violation
};

const Crime kCrimes[] = {
    {"a close with a receive armed",
     [](SmallWorld& world, uint32_t slot, const SocketPtr&) {
       world.reactor.receive_multishot(slot, tag(world, Op::kRelayReceive, slot));
       world.reactor.close(slot, tag(world, Op::kClose, slot));
     },
     "in flight: the peer sees nothing"},
    {"a verb on a slot that is empty",
     [](SmallWorld& world, uint32_t slot, const SocketPtr&) {
       world.reactor.close(slot, tag(world, Op::kClose, slot));
       world.reactor.discard(slot, tag(world, Op::kDiscard, slot));
     },
     "which is empty"},
    {"a second send while the first waits for room",
     [](SmallWorld& world, uint32_t slot, const SocketPtr& socket) {
       socket->tx_max = 1;
       world.reactor.send(slot, std::string_view("ab"), ring::SendMode::kWhole,
                          tag(world, Op::kRelaySend, slot));
       world.reactor.send(slot, std::string_view("cd"), ring::SendMode::kWhole,
                          tag(world, Op::kRelaySend, slot));
     },
     "two sends"},
    {"a look at a client that was handed over",
     [](SmallWorld& world, uint32_t slot, const SocketPtr& socket) {
       static char bytes[8];
       socket->claims = 1;
       world.reactor.peek(slot, bytes, tag(world, Op::kLook, slot));
     },
     "after its hand-over"},
    {"a buffer given back that was never out",
     [](SmallWorld& world, uint32_t, const SocketPtr&) { world.reactor.give_back(0); },
     "given back twice"},
    {"a descriptor closed twice",
     [](SmallWorld& world, uint32_t, const SocketPtr&) { world.reactor.close_fd(999); },
     "closed twice"},
};

TEST(SimReactor, NoticesWhatAGateMustNotDo) {
  for (const Crime& crime : kCrimes) {
    SmallWorld world;
    uint32_t slot = kNoSlot;
    const SocketPtr socket = world.accept(slot);
    crime.commit(world, slot, socket);
    world.turn();
    ASSERT_FALSE(world.reactor.violations().empty()) << crime.what;
    EXPECT_NE(world.reactor.violations().front().find(crime.want), std::string::npos)
        << crime.what << ": " << world.reactor.violations().front();
  }
}

// What only the main table knows, asked of a slot of another.
const Crime kCrimesOfHolders[] = {
    {"a receive",
     [](SmallWorld& world, uint32_t slot, const SocketPtr&) {
       world.reactor.receive_multishot(slot, tag(world, Op::kRelayReceive, slot));
     },
     "of tables of 64"},
    {"a poll",
     [](SmallWorld& world, uint32_t slot, const SocketPtr&) {
       world.reactor.poll(slot, ring::Readiness::kInput, tag(world, Op::kRelayReadable, slot));
     },
     "of tables of 64"},
    {"a request cancelled alone",
     [](SmallWorld& world, uint32_t slot, const SocketPtr&) {
       world.reactor.cancel_request(tag(world, Op::kLook, slot), tag(world, Op::kCancel, slot));
     },
     "of tables of 64"},
};

TEST(SimReactor, NoticesWhatATableThatHoldsDoesNotKnow) {
  for (const Crime& crime : kCrimesOfHolders) {
    SmallWorld world({.slots = 64, .tables = 2, .faults = {}});
    const SocketPtr socket = world.arrive();
    ring::PeerAddress peer;
    world.reactor.accept_direct(world.listener, 1, peer, OpTag::of(Op::kAccept));
    const auto slot = static_cast<uint32_t>(world.turn().front().result);
    world.connections.open_client({.slot = slot, .peer = socket->remote}, world.now());
    crime.commit(world, slot, socket);
    world.turn();
    ASSERT_FALSE(world.reactor.violations().empty()) << crime.what;
    EXPECT_NE(world.reactor.violations().front().find(crime.want), std::string::npos)
        << crime.what << ": " << world.reactor.violations().front();
  }
}

TEST(SimReactor, NoticesABufferGivenBackWhileItIsSent) {
  SmallWorld world;
  uint32_t slot = kNoSlot;
  const SocketPtr socket = world.accept(slot);
  world.reactor.deliver(*socket, std::string_view("hello"));
  world.reactor.receive_multishot(slot, tag(world, Op::kRelayReceive, slot));
  const ring::Completion got = world.turn().front();
  ASSERT_TRUE(got.buffer && got.result == 5 && got.more);
  socket->tx_max = 1;
  world.reactor.send(slot, world.reactor.buffer(*got.buffer).first(5), ring::SendMode::kWhole,
                     tag(world, Op::kRelaySend, slot));
  EXPECT_TRUE(world.turn().empty()) << "one byte of five fits";
  world.reactor.give_back(*got.buffer);
  EXPECT_EQ(world.reactor.violations().size(), 1U);
}

TEST(SimReactor, AnswersACancelledRequestOnceAndTheCancelToo) {
  SmallWorld world;
  uint32_t slot = kNoSlot;
  world.accept(slot);
  const OpTag receive = tag(world, Op::kRelayReceive, slot);
  world.reactor.receive_multishot(slot, receive);
  EXPECT_TRUE(world.turn().empty());
  world.reactor.cancel_request(receive, tag(world, Op::kCancel, slot));
  world.reactor.cancel_request(receive, tag(world, Op::kCancel, slot));
  const auto got = world.turn();
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].result, -ECANCELED);
  EXPECT_FALSE(got[0].more);
  EXPECT_EQ(got[1].result, 0);
  EXPECT_EQ(got[2].result, -ENOENT) << "nothing was left for the second";
}

TEST(SimReactor, RunsOutOfBuffersAndGoesOnWhenOneIsBack) {
  SmallWorld world({.slots = 64, .buffers = 1, .faults = {}});
  uint32_t slot = kNoSlot;
  const SocketPtr socket = world.accept(slot);
  world.reactor.deliver(*socket, std::string_view("a"));
  world.reactor.receive_multishot(slot, tag(world, Op::kRelayReceive, slot));
  const auto got = world.turn();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].result, 1);
  EXPECT_EQ(got[1].result, -ENOBUFS);
  world.reactor.give_back(*got[0].buffer);
  EXPECT_TRUE(world.reactor.all_buffers_back());
}

TEST(SimReactor, ResetsAPeerWhoseBytesWereNotRead) {
  SmallWorld world;
  uint32_t slot = kNoSlot;
  const SocketPtr socket = world.accept(slot);
  world.reactor.deliver(*socket, std::string_view("unread"));
  world.reactor.send(slot, std::string_view("421 "), ring::SendMode::kNow,
                     tag(world, Op::kReply, slot));
  world.reactor.close(slot, tag(world, Op::kClose, slot));
  world.turn();
  EXPECT_TRUE(socket->near_reset);
  EXPECT_TRUE(socket->tx.empty()) << "the reply is destroyed on its way";
}

// A listener of TCP_DEFER_ACCEPT with a wait of 2 s, which the kernel makes 3.
struct Newcomer {
  const char* what;
  std::function<void(SimReactor&, Socket&)> does;  // 100 ms after its SYN
  uint64_t lost_ack_percent;
  std::optional<Time> comes;  // ready for accept
};

const Newcomer kNewcomers[] = {
    {"a silent one comes when its wait is over", [](SimReactor&, Socket&) {}, 0, 3000},
    {"one that speaks comes at once",
     [](SimReactor& reactor, Socket& socket) { reactor.deliver(socket, std::string_view("x")); }, 0,
     100},
    {"one that ends comes at once",
     [](SimReactor& reactor, Socket& socket) { reactor.leave(socket); }, 0, 100},
    {"one that resets is never heard of",
     [](SimReactor& reactor, Socket& socket) { reactor.reset(socket, ECONNRESET); }, 0,
     std::nullopt},
    {"one whose answers are lost is forgotten", [](SimReactor&, Socket&) {}, 100, std::nullopt},
};

TEST(SimReactor, KeepsTheSilentInItsWaitingRoom) {
  for (const Newcomer& row : kNewcomers) {
    SmallWorld world({.slots = 64, .faults = {.lost_ack_percent = row.lost_ack_percent}});
    const int listener = world.reactor.listen(64, 2000);
    const SocketPtr socket = world.arrive(listener);
    world.agenda.after(100, [&] { row.does(world.reactor, *socket); });
    world.reactor.poll_fd(listener, OpTag::of(Op::kListenerPoll));
    EXPECT_EQ(world.reactor.waiting_clients(), 1U) << row.what;
    const auto got = world.turn(milliseconds(100000));
    EXPECT_EQ(got.empty(), !row.comes) << row.what;
    EXPECT_EQ(world.agenda.now(), row.comes.value_or(world.agenda.now())) << row.what;
    EXPECT_EQ(world.reactor.waiting_clients(), row.comes ? 1U : 0U) << row.what;
  }
}

TEST(SimReactor, LetsThoseInAtOnceForWhomItsWaitingRoomIsTooSmall) {
  SmallWorld world;
  const int listener = world.reactor.listen(1, 1000);
  world.arrive(listener);
  world.reactor.poll_fd(listener, OpTag::of(Op::kListenerPoll));
  EXPECT_TRUE(world.turn().empty());
  world.arrive(listener);
  EXPECT_EQ(world.turn().size(), 1U);
  EXPECT_EQ(world.agenda.now(), 0U);
}

}  // namespace
}  // namespace lychgate::sim
