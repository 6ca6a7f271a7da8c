// Clients that are told a reply one byte at a time, so that they waste their time and not ours: in
// the order of their coming in a list through their slots, each with one byte an interval, the
// oldest let go first. Borrows nothing: what a client has been told is a number in its slot.

#pragma once

#include <cstdint>
#include <optional>

#include "core/config/config.h"
#include "core/smtp/replies.h"
#include "ring/connections.h"

namespace lychgate::daemon {

class Tarpit {
 public:
  // clients_max: of this shard.
  Tarpit(ring::Connections& connections, uint32_t clients_max);

  // The client enters phase kTarpit and hears `reply`, line after line of it, until it is let go.
  // REQUIRES: nothing in flight and no timer; its phase is a client's.
  void admit(uint32_t slot, smtp::ReplyId reply, Tick now);
  // Once a turn: bytes that are due, and whose time is over.
  void advance(const config::Tarpit& rules, Tick now);
  // A completion of Op::kDrip or Op::kShrink. False: the client has gone and is no longer here; its
  // owner closes it.
  bool complete(uint32_t slot, const ring::Completion& completion);
  // Who has to be let go: its time is over or others need its place. It is no longer in the list;
  // its owner sends it what is left of the reply (last_words()) and closes it.
  std::optional<uint32_t> next_released();
  // Takes a client out, whatever the reason. No effect on who is not here.
  void remove(uint32_t slot);
  // Another bound than at the start (overload); 0: all are let go, nobody is admitted.
  void set_clients_max(uint32_t clients_max);
  bool is_open() const;
  uint32_t clients() const;
  std::optional<Tick> next_wake(Tick now) const;

  // What is still to be said so that what was said is a whole reply.
  static std::span<const char> last_words(const Slot& slot);
};

}  // namespace lychgate::daemon
