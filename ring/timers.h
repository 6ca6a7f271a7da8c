// Timers of connections: a FIFO for each constant wait (2 ns a timer) and a hashed wheel for the
// rest. Links live in the slots; owns no connections, reads no clock, makes no system call.
// A connection has at most one timer; a cancelled one never fires; none fires early.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/limits.h"
#include "core/base/slots.h"
#include "core/base/time.h"

namespace lychgate::ring {

class Timers {
 public:
  Timers(SlotTable& slots, Tick now);

  // Arms in the list named by home. FIFO deadlines come in order; one that does not, since its
  // client came from another shard with another configuration, goes to the wheel. REQUIRES: the
  // slot has no timer; home is not kNone or kDue.
  void arm(uint32_t slot, TimerHome home, Tick deadline);
  // No effect without a timer.
  void cancel(uint32_t slot);
  // Moves what is due at now into the due list. Call once a turn, then drain with pop_due.
  void advance(Tick now);
  // The next due connection, its timer gone; nullopt when there is none.
  std::optional<uint32_t> pop_due();
  // When advance should be called again, rounded up to the grain; nullopt when nothing is armed.
  // May be earlier than the first deadline for timers more than one wheel round away.
  std::optional<Tick> next_wake() const;
  uint32_t armed() const { return armed_; }

 private:
  struct List {
    uint32_t head = kNoSlot;
    uint32_t tail = kNoSlot;
  };
  List& list_of(const Slot& slot);
  bool is_in_order(TimerHome fifo, Tick deadline) const;
  void append(List& list, uint32_t slot);
  void unlink(List& list, uint32_t slot);
  void make_due(List& from, uint32_t slot);
  void advance_wheel(Tick now);
  // Grains from the last visited bucket to the one a deadline belongs to; 0 when it is past.
  uint32_t grains_ahead(Tick deadline) const;
  uint32_t bucket_of(Tick deadline) const;
  void forget_if_empty(uint32_t bucket);
  std::optional<uint32_t> next_occupied() const;

  SlotTable& slots_;
  std::array<List, 3> fifos_;  // kEarlyLook, kGreetWait, kLinger
  List due_;
  std::vector<List> wheel_;
  std::array<uint64_t, kWheelBuckets / 64> occupied_{};
  // The bucket visited last and the tick at which its turn came. Kept as a pair because the wrap of
  // the tick (49 days) is no multiple of the grain: a bucket number taken from the tick would jump.
  uint32_t cursor_ = 0;
  Tick visited_;
  uint32_t armed_ = 0;
};

}  // namespace lychgate::ring
