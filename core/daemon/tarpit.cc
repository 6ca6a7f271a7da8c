// The list and its cursor. A round over the whole list takes one interval, a little of it at each
// grain of time: many clients are many small steps, never one large.

#include "core/daemon/tarpit.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "core/base/check.h"
#include "core/base/limits.h"

namespace lychgate::daemon {
namespace {

using ring::Op;

// Bytes of one grain of time: 25,600 a second at most. More clients than can be served so wait
// longer between two bytes.
constexpr uint64_t kDripsMax = 256;
// Clients let go in one turn: an overload may close a full tarpit.
constexpr uint32_t kReleasesMax = 256;

// "550-": up to here a line may still become the last one of its reply.
constexpr uint32_t kCodeSize = 3;

// Slot::transfer: reply, and which byte of its line is the next.
constexpr uint32_t kReplyShift = 16;
static_assert(smtp::kReplyLineMax < (1U << kReplyShift));

smtp::ReplyId reply_of(const Slot& slot) {
  return static_cast<smtp::ReplyId>(slot.transfer >> kReplyShift);
}
uint32_t position_of(const Slot& slot) {
  return slot.transfer & ((1U << kReplyShift) - 1);
}

// A line that goes on and the one that ends the reply, one behind the other.
const std::string& whole_reply(smtp::ReplyId id) {
  static const auto kWhole = [] {
    std::array<std::string, smtp::kReplyCount> out;
    for (size_t i = 0; i < out.size(); ++i) {
      const auto reply = static_cast<smtp::ReplyId>(i);
      out[i] = std::string(smtp::continued_reply(reply));
      out[i] += smtp::reply_bytes(reply);
    }
    return out;
  }();
  return kWhole[static_cast<size_t>(id)];
}

}  // namespace

Tarpit::Tarpit(ring::Connections& connections, uint32_t clients_max)
    : connections_(connections), clients_max_(clients_max) {}

void Tarpit::admit(uint32_t index, smtp::ReplyId reply, Tick now) {
  Slot& slot = connections_.slots[index];
  LYCH_CHECK(is_open() && slot.in_flight == 0 && slot.timer_home == TimerHome::kNone);
  connections_.set_phase(index, Phase::kTarpit);
  slot.transfer = static_cast<uint32_t>(reply) << kReplyShift;
  slot.timer_home = TimerHome::kTarpit;
  slot.timer = {.next = kNoSlot, .prev = tail_, .deadline = now};  // since when it is here
  if (tail_ != kNoSlot) connections_.slots[tail_].timer.next = index;
  if (head_ == kNoSlot) head_ = index;
  tail_ = index;
  if (clients_++ == 0) {
    last_ = now;
    next_round_ = now + to_ticks(interval_);
  }
  now_ = now;
  connections_.counters.add(Counter::kTarpitted);
  // What it says from now on is not heard: it fills the small window and then has to wait.
  connections_.reactor.shrink(index, kTarpitReceiveBuffer, connections_.begin(Op::kShrink, index));
  connections_.reactor.discard(index, connections_.begin(Op::kDiscard, index));
}

void Tarpit::advance(const config::Tarpit& rules, Tick now) {
  interval_ = rules.interval;
  time_ = rules.time;
  now_ = now;
  releases_ = 0;
  const Tick passed = now - last_;
  if (clients_ == 0 || passed < kTimerGrainMs) return;
  const auto interval = static_cast<uint64_t>(interval_.count());
  if (cursor_ == kNoSlot) {
    if (!tick_reached(now, next_round_)) return;
    due_ = interval;  // the first of a round at once
  } else {
    // Who goes does not slow the round down, or the last of many would be noticed much later.
    pace_ = std::max(pace_, clients_);
    due_ += uint64_t{passed} * pace_;
  }
  last_ = now;
  const uint64_t drips = std::min(due_ / interval, kDripsMax);
  due_ %= interval;
  for (uint64_t i = 0; i < drips; ++i) {
    if (cursor_ == kNoSlot && !begin_round()) return;
    drip(cursor_);
    cursor_ = connections_.slots[cursor_].timer.next;
  }
}

// False: it is too early.
bool Tarpit::begin_round() {
  if (!tick_reached(now_, next_round_)) return false;
  // After a long turn, or where there are too many for an interval, nothing is made up for.
  next_round_ += to_ticks(interval_);
  if (tick_reached(now_, next_round_)) next_round_ = now_ + to_ticks(interval_);
  cursor_ = head_;
  pace_ = clients_;
  return true;
}

void Tarpit::drip(uint32_t index) {
  const Slot& slot = connections_.slots[index];
  // Its last byte is still on its way, or it has only just come: it hears one the next time.
  if (slot.in_flight > 0) return;
  const std::string_view line = smtp::continued_reply(reply_of(slot));
  connections_.reactor.send(index, line.substr(position_of(slot), 1), ring::SendMode::kNow,
                            connections_.begin(Op::kDrip, index));
}

bool Tarpit::complete(uint32_t index, const ring::Completion& completion) {
  Slot& slot = connections_.slots[index];
  if (slot.timer_home != TimerHome::kTarpit) return true;
  if (completion.tag.operation() == Op::kShrink) return true;
  if (completion.result == -EAGAIN) return true;
  if (completion.result <= 0) {
    slot.evidence |= kHungUp;
    remove(index);
    return false;
  }
  connections_.counters.add(Counter::kTarpitBytes);
  ++slot.transfer;
  if (position_of(slot) == smtp::continued_reply(reply_of(slot)).size()) {
    slot.transfer -= position_of(slot);
  }
  return true;
}

bool Tarpit::is_time_over() const {
  return time_ != milliseconds{0} && tick_reached(now_, since(head_) + to_ticks(time_));
}

// How much the oldest has heard is known once its last byte is answered, which is the next turn.
bool Tarpit::can_release() const {
  return clients_ > 0 && (is_pressed() || is_time_over()) &&
         connections_.slots[head_].in_flight == 0;
}

std::optional<uint32_t> Tarpit::next_released() {
  if (!can_release() || releases_ == kReleasesMax) return std::nullopt;
  ++releases_;
  const uint32_t oldest = head_;
  // As in admit(): closing with something unread would reset its last words.
  connections_.reactor.discard(oldest, connections_.begin(Op::kDiscard, oldest));
  if (is_pressed()) connections_.counters.add(Counter::kTarpitPressed);
  remove(oldest);
  return oldest;
}

void Tarpit::remove(uint32_t index) {
  Slot& slot = connections_.slots[index];
  if (slot.timer_home != TimerHome::kTarpit) return;
  const TimerLink link = slot.timer;
  if (link.prev != kNoSlot) connections_.slots[link.prev].timer.next = link.next;
  if (link.next != kNoSlot) connections_.slots[link.next].timer.prev = link.prev;
  if (head_ == index) head_ = link.next;
  if (tail_ == index) tail_ = link.prev;
  if (cursor_ == index) cursor_ = link.next;
  slot.timer_home = TimerHome::kNone;
  --clients_;
  connections_.counters.add(Counter::kTarpitSeconds, (now_ - link.deadline) / 1000);
}

std::optional<Tick> Tarpit::next_wake(Tick now) const {
  if (clients_ == 0) return std::nullopt;
  if (can_release()) return now;
  Tick drip_at = next_round_;
  if (cursor_ != kNoSlot) {
    const uint64_t missing = static_cast<uint64_t>(interval_.count()) - due_;
    drip_at = last_ + static_cast<Tick>((missing + pace_ - 1) / pace_);
  }
  const Tick grain_over = last_ + kTimerGrainMs;
  if (tick_reached(grain_over, drip_at)) drip_at = grain_over;
  if (time_ == milliseconds{0} || is_time_over()) return drip_at;
  const Tick end_at = since(head_) + to_ticks(time_);
  return tick_reached(drip_at, end_at) ? end_at : drip_at;
}

std::span<const char> Tarpit::last_words(const Slot& slot) {
  const uint32_t position = position_of(slot);
  const smtp::ReplyId reply = reply_of(slot);
  const bool may_be_last = position <= kCodeSize;
  const std::string_view words = may_be_last ? smtp::reply_bytes(reply) : whole_reply(reply);
  return words.substr(position);
}

}  // namespace lychgate::daemon
