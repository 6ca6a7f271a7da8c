// The queue of clients on their way to the main table.

#include "core/daemon/mover.h"

#include "core/base/check.h"
#include "core/base/limits.h"

namespace lychgate::daemon {

using ring::Op;

Mover::Mover(ring::Connections& connections, uint32_t kept)
    : connections_(connections),
      kept_(kept),
      waiting_(connections.tables() > 1 ? kMovesWaitingMax : 0) {}

bool Mover::begin(uint32_t slot, Tick now) {
  LYCH_CHECK(needs_moving(slot));
  if (count_ == waiting_.size()) return false;
  waiting_[(first_ + count_) % waiting_.size()] = connections_.slots.id(slot);
  ++count_;
  connections_.set_phase(slot, Phase::kMoving);
  connections_.timers.arm(slot, TimerHome::kWheel, now + kMoveWaitMs);
  return true;
}

void Mover::advance() {
  while (count_ > 0) {
    const ConnId id = waiting_[first_];
    const Slot* slot = connections_.slots.find(id);
    // Who has waited too long leaves its place at once, or the queue would be full of such.
    const bool waits = slot != nullptr && slot->phase == Phase::kMoving;
    if (waits && connections_.free_slots() <= kept_) return;
    first_ = (first_ + 1) % static_cast<uint32_t>(waiting_.size());
    --count_;
    if (!waits) continue;
    connections_.timers.cancel(id.slot);
    connections_.expect_slot();
    connections_.reactor.move_to_main(id.slot, connections_.begin(Op::kMove, id.slot));
  }
}

std::optional<uint32_t> Mover::moved(const ring::Completion& completion) {
  connections_.slot_came();
  if (completion.result < 0) return std::nullopt;
  const auto from = static_cast<uint32_t>(completion.tag.slot);
  const auto to = static_cast<uint32_t>(completion.result);
  LYCH_CHECK(connections_.slots[from].phase == Phase::kMoving);
  connections_.counters.add(Counter::kMoved);
  connections_.move_client(from, to);
  connections_.set_phase(to, Phase::kHandoff);
  return to;
}

}  // namespace lychgate::daemon
