// Takes clients off the listeners: a poll says when, batches of single-shot DONTWAIT accepts into
// direct descriptors take them, never more than there are free slots (a full table would kill a
// connection, io_uring/net.c). Knows addresses, not sessions.
//
// No accept is left waiting in the kernel, though that would save the poll: the ring of a shard
// that is killed still completes it, and the client is lost (2 of 1,500 new clients over 15 kills;
// with the poll none).

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/limits.h"
#include "ring/connections.h"

namespace lychgate::daemon {

class Acceptor {
 public:
  // reserve: slots of the main table kept free for sockets to backends and clients on their way
  // to one. Clients go to the main table first, then to those that hold.
  Acceptor(ring::Connections& connections, const std::vector<int>& listeners, uint32_t reserve);

  void start();
  // Stops polling; accepts in flight still come in.
  void stop();
  void poll_completed(const ring::Completion& completion);
  // The client of a successful accept.
  std::optional<ring::Arrival> accepted(const ring::Completion& completion, Tick now);
  // Once a turn: the next batch where a listener may have more.
  void submit(Tick now);
  // When submit should be called though nothing completes; only after a failed accept.
  std::optional<Tick> next_wake() const;
  // No accept is in flight.
  bool idle() const { return free_entries_.size() == kAcceptBatchMax; }

  // For clients however they come: how many more a table takes, and the table for so many: one with
  // room for all of them, else the one with most.
  uint32_t room_in(uint32_t table) const;
  uint32_t choose_table(uint32_t batch);

 private:
  struct Listener {
    int fd = -1;
    bool polled = false;     // a poll is armed
    bool ready = false;      // there are clients in its queue
    bool drained = false;    // an accept of the last batch found none
    uint32_t in_flight = 0;  // accepts of this batch
    uint32_t batch = 0;      // size of the last one; 0: there was a pause
    std::optional<Tick> retry_at;
  };
  struct Entry {
    ring::PeerAddress peer;
    uint8_t listener = 0;
    uint8_t table = 0;
  };
  void poll(uint32_t listener);
  void submit_batch(uint32_t listener);

  ring::Connections& connections_;
  std::vector<Listener> listeners_;
  std::array<Entry, kAcceptBatchMax> entries_;
  std::vector<uint8_t> free_entries_;
  uint32_t reserve_;
  uint32_t table_ = 0;  // of the last batch
  bool stopping_ = false;
  bool paused_ = false;
};
static_assert(kAcceptBatchMax <= 256 && kListenersMax <= 256 && kTablesMax <= 256);

}  // namespace lychgate::daemon
