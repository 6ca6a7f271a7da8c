// Clients that wait equally long, in the order in which their time is up: a list through the
// clients themselves, so that a million waits cost eight bytes each and no work until they end.

#pragma once

#include <span>

#include "bench/flood/client.h"
#include "core/base/check.h"

namespace lychgate::flood {

class TimedList {
 public:
  TimedList() = default;
  explicit TimedList(milliseconds length) : length_(to_ticks(length)) {}

  // REQUIRES: the client is in no list, and `now` never goes back.
  void add(std::span<Client> clients, uint32_t index, Tick now) {
    Client& client = clients[index];
    // One more, so that a wait is never cut short by the part of a millisecond already gone.
    client.deadline = now + length_ + 1;
    client.next = kNobody;
    client.previous = last_;
    (last_ == kNobody ? first_ : clients[last_].next) = index;
    last_ = index;
  }

  // REQUIRES: the client is in this list.
  void remove(std::span<Client> clients, uint32_t index) {
    const Client& client = clients[index];
    LYCH_CHECK(client.previous != kNobody || first_ == index);
    (client.previous == kNobody ? first_ : clients[client.previous].next) = client.next;
    (client.next == kNobody ? last_ : clients[client.next].previous) = client.previous;
  }

  // The client whose time is up next, or kNobody.
  uint32_t first() const { return first_; }

 private:
  uint32_t first_ = kNobody;
  uint32_t last_ = kNobody;
  Tick length_ = 0;
};

}  // namespace lychgate::flood
