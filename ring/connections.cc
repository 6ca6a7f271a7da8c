// Opening and closing of slots, with the counts that go with it.

#include "ring/connections.h"

#include "core/base/check.h"

namespace lychgate::ring {

uint32_t Connections::open_client(const Arrival& arrival, Tick now) {
  Slot& slot = slots.open(arrival.slot, Phase::kSilentWait);
  counters.enter_phase(Phase::kSilentWait);
  slot.address = arrival.peer.address;
  slot.port = arrival.peer.port;
  slot.listener = arrival.listener;
  slot.started = now;
  ShardCounters::shift(counters.held, 1);
  return slots.address_add(slot.address);
}

void Connections::open_backend(uint32_t index, uint32_t transfer) {
  Slot& slot = slots.open(index, Phase::kBackend);
  counters.enter_phase(Phase::kBackend);
  slot.evidence = kOurSocket;
  slot.transfer = transfer;
}

void Connections::set_phase(uint32_t index, Phase phase) {
  Slot& slot = slots[index];
  if (slot.phase == phase) return;
  LYCH_CHECK(slot.phase != Phase::kFree && phase != Phase::kFree);
  counters.leave_phase(slot.phase);
  counters.enter_phase(phase);
  slot.phase = phase;
}

void Connections::retire(uint32_t index) {
  const Phase phase = slots[index].phase;
  if (phase == Phase::kRetiring || phase == Phase::kClosing) return;
  timers.cancel(index);
  const bool armed = slots[index].in_flight > 0;
  set_phase(index, Phase::kRetiring);
  if (armed) reactor.cancel(index, begin(Op::kCancel, index));
  close_if_idle(index);
}

void Connections::close_if_idle(uint32_t index) {
  if (slots[index].in_flight > 0) return;
  set_phase(index, Phase::kClosing);
  reactor.close(index, begin(Op::kClose, index));
}

Slot* Connections::take(const Completion& completion) {
  Slot* slot = settle(slots, completion);
  if (slot == nullptr) counters.add(Counter::kStaleCompletions);
  const bool closing =
      slot != nullptr && (slot->phase == Phase::kRetiring || slot->phase == Phase::kClosing);
  if (slot != nullptr && !closing) return slot;
  if (completion.buffer) reactor.give_back(*completion.buffer);
  if (!closing) return nullptr;
  const auto index = static_cast<uint32_t>(completion.tag.slot);
  if (slot->phase == Phase::kRetiring) {
    close_if_idle(index);
  } else if (slot->in_flight == 0) {
    release(index);
  }
  return nullptr;
}

void Connections::release(uint32_t index) {
  const Slot& slot = slots[index];
  if ((slot.evidence & kOurSocket) == 0) {
    slots.address_drop(slot.address);
    ShardCounters::shift(counters.held, -1);
  }
  counters.leave_phase(slot.phase);
  slots.release(index);
}

}  // namespace lychgate::ring
