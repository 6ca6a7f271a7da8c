// The way to the main table: order, bounds, refusals, and clients that leave the queue.

#include "core/daemon/mover.h"

#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using ring::Op;

constexpr uint32_t kKept = 3;

class MoverTest : public testing::Test {
 protected:
  // A client held in table 1, approved.
  uint32_t approved() {
    world_.arrive();
    ring::PeerAddress peer;
    world_.connections.expect_slot(1);
    world_.reactor.accept_direct(world_.listener, 1, peer, ring::OpTag::of(Op::kAccept));
    const auto slot = static_cast<uint32_t>(world_.turn().front().result);
    world_.connections.slot_came(1);
    world_.connections.open_client(
        {.slot = slot, .peer = Endpoint::from_sockaddr(&peer.any), .listener = 7}, world_.now());
    world_.slots[slot].evidence = kWaited;
    world_.slots[slot].score = -3;
    world_.connections.set_phase(slot, Phase::kHandoff);
    return slot;
  }
  // Advances until nothing moves; the new slots in order.
  std::vector<uint32_t> move() {
    std::vector<uint32_t> out;
    while (true) {
      mover_.advance();
      const auto came = world_.turn();
      for (const ring::Completion& completion : came) {
        if (world_.connections.take(completion) == nullptr) continue;
        const auto to = mover_.moved(completion);
        EXPECT_TRUE(to.has_value());
        if (to) out.push_back(*to);
      }
      if (came.empty()) return out;
    }
  }
  uint64_t count(Counter counter) { return world_.counters.shards()[0].get(counter); }
  uint64_t held() { return world_.counters.shards()[0].held.load(); }

  sim::SmallWorld world_{{.slots = 64, .tables = 3, .faults = {}}};
  Mover mover_{world_.connections, kKept};
};

TEST_F(MoverTest, AClientKeepsEverythingButItsSlot) {
  const uint32_t from = approved();
  const Slot before = world_.slots[from];
  EXPECT_TRUE(mover_.needs_moving(from));
  ASSERT_TRUE(mover_.begin(from, world_.now()));
  EXPECT_EQ(world_.slots[from].phase, Phase::kMoving);
  const auto to = move();
  ASSERT_EQ(to.size(), 1U);
  const Slot& after = world_.slots[to.front()];
  EXPECT_FALSE(mover_.needs_moving(to.front()));
  EXPECT_EQ(after.phase, Phase::kHandoff);
  EXPECT_EQ(after.address, before.address);
  EXPECT_EQ(after.port, before.port);
  EXPECT_EQ(after.listener, before.listener);
  EXPECT_EQ(after.evidence, before.evidence);
  EXPECT_EQ(after.score, before.score);
  EXPECT_EQ(after.started, before.started);
  EXPECT_EQ(world_.slots[from].phase, Phase::kFree);
  EXPECT_EQ(held(), 1U) << "one client, not two and not none";
  EXPECT_EQ(world_.slots.address_count(after.address), 1U);
  EXPECT_EQ(world_.timers.armed(), 0U);
  EXPECT_EQ(world_.connections.free_slots(1), 64U);
  EXPECT_EQ(world_.connections.free_slots(0), 63U);
  EXPECT_EQ(count(Counter::kMoved), 1U);
  EXPECT_TRUE(world_.reactor.violations().empty());
}

TEST_F(MoverTest, ClientsWaitForRoomInOrder) {
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < 64; ++i) slots.push_back(approved());
  for (const uint32_t slot : slots) ASSERT_TRUE(mover_.begin(slot, world_.now()));
  const auto first = move();
  EXPECT_EQ(first.size(), 64U - kKept) << "some room is left to sockets of ours";
  EXPECT_EQ(world_.slots[slots[60]].phase, Phase::kFree);
  EXPECT_EQ(world_.slots[slots[61]].phase, Phase::kMoving) << "the last to come still wait";
  world_.connections.retire(first.front());
  EXPECT_EQ(move().size(), 1U);
  EXPECT_EQ(world_.slots[slots[61]].phase, Phase::kFree);
}

TEST_F(MoverTest, WhoHasWaitedTooLongIsPassedOver) {
  for (uint32_t i = 0; i < 61; ++i) ASSERT_TRUE(mover_.begin(approved(), world_.now()));
  const auto first = move();
  const uint32_t late = approved();
  ASSERT_TRUE(mover_.begin(late, world_.now()));
  EXPECT_TRUE(move().empty());
  world_.timers.advance(world_.now() + kMoveWaitMs + 20);
  EXPECT_EQ(world_.timers.pop_due(), std::optional(late)) << "its timer tells";
  world_.connections.set_phase(late, Phase::kReplying);
  world_.connections.retire(first.front());
  EXPECT_TRUE(move().empty());
  EXPECT_EQ(count(Counter::kMoved), 61U);
}

TEST_F(MoverTest, TheQueueHasABound) {
  const uint32_t slot = approved();
  for (uint32_t i = 0; i < kMovesWaitingMax; ++i) {
    ASSERT_TRUE(mover_.begin(slot, world_.now()));
    world_.timers.cancel(slot);
    world_.connections.set_phase(slot, Phase::kHandoff);
  }
  EXPECT_FALSE(mover_.begin(slot, world_.now()));
  EXPECT_EQ(world_.slots[slot].phase, Phase::kHandoff) << "nothing has changed";
}

}  // namespace
}  // namespace lychgate::daemon
