// FIFO and wheel over links in the slots. A deadline belongs to the bucket whose turn comes at or
// after it, so that a bucket is only visited when its deadlines of this round are past.

#include "ring/timers.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"

namespace lychgate::ring {

Timers::Timers(SlotTable& slots, Tick now)
    : slots_(slots), wheel_(kWheelBuckets), visited_(now - now % kTimerGrainMs) {}

uint32_t Timers::grains_ahead(Tick deadline) const {
  if (tick_reached(visited_, deadline)) return 0;
  return (deadline - visited_ + kTimerGrainMs - 1) / kTimerGrainMs;
}

uint32_t Timers::bucket_of(Tick deadline) const {
  return (cursor_ + grains_ahead(deadline)) % kWheelBuckets;
}

Timers::List& Timers::list_of(const Slot& slot) {
  switch (slot.timer_home) {
    case TimerHome::kEarlyLook:
      return fifos_[0];
    case TimerHome::kGreetWait:
      return fifos_[1];
    case TimerHome::kLinger:
      return fifos_[2];
    case TimerHome::kWheel:
      return wheel_[bucket_of(slot.timer.deadline)];
    case TimerHome::kDue:
      return due_;
    case TimerHome::kTarpit:  // core/daemon/tarpit.h keeps that list
    case TimerHome::kNone:
      break;
  }
  LYCH_CHECK(false);
  return due_;
}

void Timers::append(List& list, uint32_t index) {
  TimerLink& link = slots_[index].timer;
  link.prev = list.tail;
  link.next = kNoSlot;
  if (list.tail != kNoSlot) slots_[list.tail].timer.next = index;
  if (list.head == kNoSlot) list.head = index;
  list.tail = index;
}

void Timers::unlink(List& list, uint32_t index) {
  TimerLink& link = slots_[index].timer;
  if (link.prev != kNoSlot) slots_[link.prev].timer.next = link.next;
  if (link.next != kNoSlot) slots_[link.next].timer.prev = link.prev;
  if (list.head == index) list.head = link.next;
  if (list.tail == index) list.tail = link.prev;
}

bool Timers::is_in_order(TimerHome fifo, Tick deadline) const {
  const List& list = fifos_[static_cast<size_t>(fifo) - static_cast<size_t>(TimerHome::kEarlyLook)];
  return list.tail == kNoSlot || tick_reached(deadline, slots_[list.tail].timer.deadline);
}

void Timers::arm(uint32_t index, TimerHome home, Tick deadline) {
  Slot& slot = slots_[index];
  LYCH_CHECK(slot.timer_home == TimerHome::kNone);
  LYCH_CHECK(home != TimerHome::kNone && home != TimerHome::kDue);
  if (home != TimerHome::kWheel && !is_in_order(home, deadline)) home = TimerHome::kWheel;
  // A wheel deadline in a bucket already visited would wait a whole round.
  if (home == TimerHome::kWheel && tick_reached(visited_, deadline)) deadline = visited_ + 1;
  slot.timer_home = home;
  slot.timer.deadline = deadline;
  append(list_of(slot), index);
  if (home == TimerHome::kWheel) {
    const uint32_t bucket = bucket_of(deadline);
    occupied_[bucket / 64] |= uint64_t{1} << (bucket % 64);
  }
  ++armed_;
}

void Timers::cancel(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.timer_home == TimerHome::kNone) return;
  unlink(list_of(slot), index);
  if (slot.timer_home == TimerHome::kWheel) forget_if_empty(bucket_of(slot.timer.deadline));
  slot.timer_home = TimerHome::kNone;
  --armed_;
}

void Timers::forget_if_empty(uint32_t bucket) {
  if (wheel_[bucket].head == kNoSlot) occupied_[bucket / 64] &= ~(uint64_t{1} << (bucket % 64));
}

void Timers::make_due(List& from, uint32_t index) {
  unlink(from, index);
  slots_[index].timer_home = TimerHome::kDue;
  append(due_, index);
}

void Timers::advance(Tick now) {
  for (List& fifo : fifos_) {
    while (fifo.head != kNoSlot && tick_reached(now, slots_[fifo.head].timer.deadline)) {
      make_due(fifo, fifo.head);
    }
  }
  advance_wheel(now);
}

void Timers::advance_wheel(Tick now) {
  if (!tick_reached(now, visited_)) return;
  const uint32_t grains = (now - visited_) / kTimerGrainMs;
  // After a long sleep one round visits every bucket; more would visit them again.
  for (uint32_t step = 1; step <= std::min(grains, kWheelBuckets); ++step) {
    const uint32_t bucket = (cursor_ + step) % kWheelBuckets;
    if ((occupied_[bucket / 64] >> (bucket % 64) & 1) == 0) continue;
    List& list = wheel_[bucket];
    for (uint32_t index = list.head; index != kNoSlot;) {
      const uint32_t next = slots_[index].timer.next;
      if (tick_reached(now, slots_[index].timer.deadline)) make_due(list, index);
      index = next;
    }
    forget_if_empty(bucket);
  }
  cursor_ = (cursor_ + grains) % kWheelBuckets;
  visited_ += grains * kTimerGrainMs;
}

std::optional<uint32_t> Timers::pop_due() {
  if (due_.head == kNoSlot) return std::nullopt;
  const uint32_t index = due_.head;
  cancel(index);
  return index;
}

std::optional<uint32_t> Timers::next_occupied() const {
  // Bits are scanned a word at a time from the bucket after the cursor, once around.
  const uint32_t start = (cursor_ + 1) % kWheelBuckets;
  for (uint32_t step = 0; step <= kWheelBuckets / 64; ++step) {
    const uint32_t word = (start / 64 + step) % (kWheelBuckets / 64);
    uint64_t bits = occupied_[word];
    if (step == 0) bits &= ~uint64_t{0} << (start % 64);
    if (step == kWheelBuckets / 64) bits &= (uint64_t{1} << (start % 64)) - 1;
    if (bits == 0) continue;
    const uint32_t bucket = word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
    return (bucket - start) % kWheelBuckets + 1;
  }
  return std::nullopt;
}

std::optional<Tick> Timers::next_wake() const {
  if (due_.head != kNoSlot) return visited_;
  std::optional<uint32_t> grains = next_occupied();
  for (const List& fifo : fifos_) {
    if (fifo.head == kNoSlot) continue;
    const uint32_t ahead = grains_ahead(slots_[fifo.head].timer.deadline);
    grains = std::min(grains.value_or(ahead), ahead);
  }
  if (!grains) return std::nullopt;
  return visited_ + *grains * kTimerGrainMs;
}

}  // namespace lychgate::ring
