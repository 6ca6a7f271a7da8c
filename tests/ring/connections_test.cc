// Opening and closing of slots on the real kernel: what is armed is cancelled before the close, the
// client sees the end, counts and buffers return to where they were.

#include "ring/connections.h"

#include <memory>
#include <string>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class ConnectionsTest : public RingTest {
 protected:
  // A table, a ring and the connections between them, with turns that take() what comes.
  struct Gate {
    Driver driver;
    Listener listener = listen_tcp();
    SlotTable slots = std::move(*SlotTable::create(kSlotsMin, SipKey{}));
    Timers timers{slots, 0};
    std::unique_ptr<ShardCounters> counters = std::make_unique<ShardCounters>();
    Connections connections{slots, driver.ring(), timers, *counters};

    Driver::Pair client() {
      Driver::Pair pair = driver.pair(listener);
      const Endpoint peer = local_endpoint_of(pair.client);
      connections.open_client({.slot = pair.slot, .peer = peer, .listener = 1}, 7);
      return pair;
    }
    Slot* take(Op op) { return connections.take(driver.next(op)); }
    uint64_t in_phase(Phase phase) { return counters->phases[static_cast<size_t>(phase)]; }
    uint64_t stale() { return counters->get(Counter::kStaleCompletions); }
    void expect_empty() {
      EXPECT_EQ(slots.used(), 0u);
      EXPECT_EQ(counters->held, 0u);
      for (size_t phase = 0; phase < kPhaseCount; ++phase) EXPECT_EQ(counters->phases[phase], 0u);
      EXPECT_EQ(timers.armed(), 0u);
      EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers);
      EXPECT_EQ(connections.free_slots(), kSlotsMin);
    }
  };
};

TEST_F(ConnectionsTest, AnIdleClientIsClosedAtOnce) {
  Gate gate;
  const Driver::Pair pair = gate.client();
  const Slot& slot = gate.slots[pair.slot];
  EXPECT_EQ(slot.address, IpAddress::from_v4(INADDR_LOOPBACK));
  EXPECT_EQ(slot.port, local_endpoint_of(pair.client).port);
  EXPECT_EQ(slot.started, 7u);
  EXPECT_EQ(gate.slots.address_count(slot.address), 1u);
  EXPECT_EQ(gate.in_phase(Phase::kSilentWait), 1u);
  EXPECT_EQ(gate.counters->held, 1u);
  gate.timers.arm(pair.slot, TimerHome::kGreetWait, 6000);
  gate.connections.retire(pair.slot);
  EXPECT_EQ(gate.timers.armed(), 0u);
  EXPECT_EQ(gate.in_phase(Phase::kClosing), 1u);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  EXPECT_EQ(read_some(pair.client, 1), "");
  gate.expect_empty();
}

// A half-closed peer is the one that can still tell an end from a reset.
TEST_F(ConnectionsTest, AClientThatHasHungUpIsReset) {
  Gate gate;
  const Driver::Pair pair = gate.client();
  shutdown(pair.client.get(), SHUT_WR);
  gate.slots[pair.slot].evidence = kHungUp;
  gate.connections.retire(pair.slot);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kReset);
  gate.expect_empty();
}

TEST_F(ConnectionsTest, WhatIsArmedIsCancelledBeforeTheClose) {
  Gate gate;
  const Driver::Pair pair = gate.client();
  const uint32_t slot = pair.slot;
  gate.driver->receive_multishot(slot, gate.connections.begin(Op::kRelayReceive, slot));
  gate.driver->poll(slot, Readiness::kInput, gate.connections.begin(Op::kRelayReadable, slot));
  gate.connections.retire(slot);
  EXPECT_EQ(gate.in_phase(Phase::kRetiring), 1u);
  EXPECT_EQ(gate.take(Op::kRelayReceive), nullptr);
  EXPECT_EQ(gate.take(Op::kRelayReadable), nullptr);
  EXPECT_EQ(gate.take(Op::kCancel), nullptr);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  EXPECT_EQ(read_some(pair.client, 1), "");
  gate.expect_empty();
}

// Bytes that arrived between the decision to close and the cancel have a buffer, and it goes back.
TEST_F(ConnectionsTest, BytesThatComeTooLateGiveTheirBufferBack) {
  Gate gate;
  const Driver::Pair pair = gate.client();
  const uint32_t slot = pair.slot;
  gate.driver->receive_multishot(slot, gate.connections.begin(Op::kRelayReceive, slot));
  EXPECT_TRUE(gate.driver.silent(Op::kRelayReceive));
  write_all(pair.client, "late");
  gate.connections.retire(slot);
  const Completion done = gate.driver.next(Op::kRelayReceive);
  EXPECT_EQ(gate.connections.take(done), nullptr);
  if (done.more) {
    EXPECT_EQ(gate.take(Op::kRelayReceive), nullptr);
  }
  EXPECT_EQ(gate.take(Op::kCancel), nullptr);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  EXPECT_EQ(read_some(pair.client, 1), "");
  gate.expect_empty();
}

TEST_F(ConnectionsTest, ALiveConnectionsCompletionGoesToItsOwner) {
  Gate gate;
  const Driver::Pair pair = gate.client();
  char look[16];
  gate.driver->peek(pair.slot, look, gate.connections.begin(Op::kLook, pair.slot));
  EXPECT_EQ(gate.take(Op::kLook), &gate.slots[pair.slot]);
  EXPECT_EQ(gate.slots[pair.slot].in_flight, 0);
}

// A slot that is closing already may be retired again (a timeout and a hang-up in one turn). It
// used to go back to retiring and be closed a second time, when the kernel might have given its
// number to the next client.
TEST_F(ConnectionsTest, RetiringTwiceClosesOnce) {
  for (const bool armed : {false, true}) {
    SCOPED_TRACE(armed ? "while its request is cancelled" : "while it is closed");
    Gate gate;
    const Driver::Pair pair = gate.client();
    const uint32_t slot = pair.slot;
    if (armed) {
      gate.driver->poll(slot, Readiness::kInput, gate.connections.begin(Op::kRelayReadable, slot));
    }
    gate.connections.retire(slot);
    gate.connections.retire(slot);
    for (const Op op : {Op::kRelayReadable, Op::kCancel}) {
      if (!armed) continue;
      EXPECT_EQ(gate.take(op), nullptr);
    }
    EXPECT_EQ(gate.take(Op::kClose), nullptr);
    EXPECT_TRUE(gate.driver.silent(Op::kClose));
    EXPECT_TRUE(gate.driver.silent(Op::kCancel));
    gate.expect_empty();
  }
}

TEST_F(ConnectionsTest, ASocketOfOursIsNoClient) {
  Gate gate;
  gate.driver->open_socket(AF_INET, OpTag::of(Op::kBackendSocket));
  gate.connections.expect_slot();
  EXPECT_EQ(gate.connections.free_slots(), kSlotsMin - 1);
  const auto slot = static_cast<uint32_t>(gate.driver.next(Op::kBackendSocket).result);
  gate.connections.slot_came();
  gate.connections.open_backend(slot, 3);
  EXPECT_EQ(gate.slots[slot].transfer, 3u);
  EXPECT_EQ(gate.in_phase(Phase::kBackend), 1u);
  EXPECT_EQ(gate.counters->held, 0u);
  gate.connections.retire(slot);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  gate.expect_empty();
}

TEST_F(ConnectionsTest, ACompletionForAnEarlierClientIsStale) {
  Gate gate;
  const Driver::Pair first = gate.client();
  char look[16];
  const OpTag tag = gate.connections.begin(Op::kLook, first.slot);
  gate.driver->peek(first.slot, look, tag);
  EXPECT_NE(gate.take(Op::kLook), nullptr);
  gate.connections.retire(first.slot);
  EXPECT_EQ(gate.take(Op::kClose), nullptr);
  const Driver::Pair second = gate.client();
  ASSERT_EQ(second.slot, first.slot);
  EXPECT_EQ(gate.connections.take({tag, 0, false, std::nullopt}), nullptr);
  EXPECT_EQ(gate.stale(), 1u);
  EXPECT_EQ(gate.slots[second.slot].in_flight, 0);
}

}  // namespace
}  // namespace lychgate::ring
