// Slots with what is in flight for them: opening, phases with their gauges, and the one right way
// to close (cancel what is armed, wait, then close: a close with something armed sends no FIN).
// Clients that have hung up are reset.
// Knows nothing of sessions; both clients and our sockets to backends end here.

#pragma once

#include <cstdint>
#include <vector>

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
  Connections(SlotTable& table, Reactor& kernel, Timers& waits, ShardCounters& shared);

  // A client that the kernel has put into the slot; counted for its address and as held.
  // The address count with the new client is returned.
  uint32_t open_client(const Arrival& arrival, Tick now);
  // The client's second slot (Reactor::move_to_main) becomes its only one: its place in the table
  // and what is known of it move, the first slot is closed. The client's id changes.
  // REQUIRES: nothing in flight and no timer.
  void move_client(uint32_t from, uint32_t to);
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

  // Requests in flight that will fill a slot of the table which is still free.
  void expect_slot(uint32_t table = 0) { ++taken_[table]; }
  void slot_came(uint32_t table = 0) { --taken_[table]; }
  // Of one table (0: the main one, where sockets of ours live). 0 when more are expected than there
  // are: the kernel refuses those (-ENFILE).
  uint32_t free_slots(uint32_t table = 0) const;
  uint32_t tables() const { return static_cast<uint32_t>(taken_.size()); }
  uint32_t table_of(uint32_t slot) const { return slot / table_size_; }

  SlotTable& slots;
  Reactor& reactor;
  Timers& timers;
  ShardCounters& counters;

 private:
  void close_if_idle(uint32_t slot);
  void release(uint32_t slot);

  uint32_t table_size_;
  std::vector<uint32_t> taken_;  // of each table: slots in use or expected
};

}  // namespace lychgate::ring
