// Clients that are told a reply one byte at a time, so that they waste their time and not ours: in
// the order of their coming in a list through their slots, each with about one byte an interval,
// the oldest let go first. Borrows nothing: what a client has been told is a number in its slot.
// Closes nobody: who has gone or is let go is its owner's again.

#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/config/config.h"
#include "core/smtp/replies.h"
#include "ring/connections.h"

namespace lychgate::daemon {

class Tarpit {
 public:
  // clients_max: of this shard (admission::tarpit_clients()); 0: closed.
  Tarpit(ring::Connections& connections, uint32_t clients_max);

  // The client enters phase kTarpit and hears `reply`, line after line of it, until it is let go.
  // One too many, and the oldest is due to be let go.
  // REQUIRES: is_open(); nothing in flight and no timer; its phase is a client's.
  void admit(uint32_t slot, smtp::ReplyId reply, Tick now);
  // Once a turn: bytes that are due, and whose time is over. Does little more than look at the time
  // where nothing is due.
  void advance(const config::Tarpit& rules, Tick now);
  // A completion of Op::kDrip or Op::kShrink. False: the client has gone and is no longer here; its
  // owner closes it.
  bool complete(uint32_t slot, const ring::Completion& completion);
  // Who has to be let go, by what advance() was told last: its time is over or others need its
  // place. It is no longer in the list; its owner sends it what is left of the reply (last_words())
  // and closes it. Ask until there is none, behind advance().
  std::optional<uint32_t> next_released();
  // Takes a client out, whatever the reason: before it is closed or moves to another phase. No
  // effect on who is not here.
  void remove(uint32_t slot);
  // Another bound than at the start (overload); 0: all are let go, nobody is admitted.
  void set_clients_max(uint32_t clients_max) { clients_max_ = clients_max; }
  bool is_open() const { return clients_max_ > 0; }
  uint32_t clients() const { return clients_; }
  std::optional<Tick> next_wake(Tick now) const;

  // What is still to be said so that what was said is a whole reply. Lives as long as the program.
  static std::span<const char> last_words(const Slot& slot);

 private:
  bool is_pressed() const { return clients_ > clients_max_; }
  bool is_time_over() const;
  bool can_release() const;
  // Since when a client is here.
  Tick since(uint32_t slot) const { return connections_.slots[slot].timer.deadline; }
  bool begin_round();
  void drip(uint32_t slot);

  ring::Connections& connections_;
  uint32_t clients_max_;
  uint32_t clients_ = 0;
  // The list, through Slot::timer: head and tail, and whose turn it is; kNoSlot: nobody's until the
  // next round.
  uint32_t head_ = kNoSlot;
  uint32_t tail_ = kNoSlot;
  uint32_t cursor_ = kNoSlot;
  // What advance() was told.
  milliseconds interval_{1};
  milliseconds time_{0};
  Tick now_ = 0;
  Tick last_ = 0;  // when bytes were sent last
  Tick next_round_ = 0;
  uint32_t pace_ = 1;  // clients of a round: the most that there were
  // What part of a byte is due, times the interval: grows by the pace each ms.
  uint64_t due_ = 0;
  uint32_t releases_ = 0;  // of this turn
};

}  // namespace lychgate::daemon
