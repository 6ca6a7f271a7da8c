// Opening and closing of slots, with the counts that go with it.

#include "ring/connections.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::ring {

Connections::Connections(SlotTable& table, Reactor& kernel, Timers& waits, ShardCounters& shared)
    : slots(table),
      reactor(kernel),
      timers(waits),
      counters(shared),
      table_size_(kernel.table_size()),
      taken_((table.size() + table_size_ - 1) / table_size_) {}

uint32_t Connections::free_slots(uint32_t table) const {
  const uint32_t size = std::min(table_size_, slots.size() - table * table_size_);
  return taken_[table] < size ? size - taken_[table] : 0;
}

uint32_t Connections::open_client(const Arrival& arrival, Tick now) {
  Slot& slot = slots.open(arrival.slot, Phase::kSilentWait);
  ++taken_[table_of(arrival.slot)];
  counters.enter_phase(Phase::kSilentWait);
  slot.address = arrival.peer.address;
  slot.port = arrival.peer.port;
  slot.listener = arrival.listener & (kListenersMax - 1);
  slot.started = now;
  ShardCounters::shift(counters.held, 1);
  return slots.address_add(slot.address);
}

void Connections::move_client(uint32_t from, uint32_t to) {
  Slot& old = slots[from];
  LYCH_CHECK(old.in_flight == 0 && old.timer_home == TimerHome::kNone);
  Slot& slot = slots.open(to, old.phase);
  ++taken_[table_of(to)];
  slot.address = old.address;
  slot.port = old.port;
  slot.listener = old.listener;
  slot.started = old.started;
  slot.evidence = old.evidence;
  slot.score = old.score;
  slot.misconduct = old.misconduct;
  slot.past = old.past;
  counters.enter_phase(slot.phase);
  // What stays behind is no client: neither its address nor its place among the held is given up.
  old.evidence = kOurSocket;
  retire(from);
}

void Connections::open_backend(uint32_t index, uint32_t transfer) {
  Slot& slot = slots.open(index, Phase::kBackend);
  ++taken_[table_of(index)];
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
  const OpTag tag = begin(Op::kClose, index);
  if ((slots[index].evidence & kHungUp) != 0) return reactor.close_by_reset(index, tag);
  reactor.close(index, tag);
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
  --taken_[table_of(index)];
}

}  // namespace lychgate::ring
