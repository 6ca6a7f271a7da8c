// Slots with what is in flight for them: opening, phases with their gauges, and the one right way
// to close (cancel what is armed, wait, then close: a close with something armed sends no FIN).
// Knows nothing of sessions; both clients and our sockets to backends end here.

#pragma once

#include "core/base/counters.h"
#include "core/base/slots.h"
#include "ring/reactor.h"
#include "ring/timers.h"

namespace lychgate::ring {

struct Arrival {
  uint32_t slot = kNoSlot;
  Endpoint peer;
  uint8_t listener = 0;
};

class Connections {
 public:
  Connections(SlotTable& table, Reactor& kernel, Timers& waits, ShardCounters& shared)
      : slots(table), reactor(kernel), timers(waits), counters(shared) {}

  // A client that the kernel has put into the slot; counted for its address and as held.
  // The address count with the new client is returned.
  uint32_t open_client(const Arrival& arrival, Tick now);
  // A socket of ours.
  void open_backend(uint32_t slot, uint32_t transfer);

  void set_phase(uint32_t slot, Phase phase);
  // Counts a request for the slot and makes its tag.
  OpTag begin(Op op, uint32_t slot) { return ring::begin(slots, op, slot); }
  // Cancels what is armed, closes, frees the slot. The slot's timer is cancelled at once.
  // No effect on a slot that is closing already: a second close could hit the next client in it.
  void retire(uint32_t slot);
  // Takes a completion out of the in-flight count. Returns the slot when its owner should look at
  // it, nullptr when it was part of closing or the connection is gone.
  Slot* take(const Completion& completion);

  // Requests in flight that will fill a slot which is still free.
  void expect_slot() { ++expected_; }
  void slot_came() { --expected_; }
  // 0 when more are expected than there are: the kernel refuses those (-ENFILE).
  uint32_t free_slots() const {
    const uint32_t taken = slots.used() + expected_;
    return taken < slots.size() ? slots.size() - taken : 0;
  }

  SlotTable& slots;
  Reactor& reactor;
  Timers& timers;
  ShardCounters& counters;

 private:
  void close_if_idle(uint32_t slot);
  void release(uint32_t slot);

  uint32_t expected_ = 0;
};

}  // namespace lychgate::ring
