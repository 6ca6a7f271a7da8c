// What a shard has learned of its clients, on its way to the steward: gathers visits and sends them
// as kVisits messages over the shard's line, without ever waiting. What finds no room, here or in
// the socket, is lost and counted: the client will be tested again.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/counters.h"
#include "core/base/time.h"
#include "core/daemon/steward_line.h"
#include "ring/reactor.h"

namespace lychgate::daemon {

class Outbox {
 public:
  // line_fd: the shard's end, which stays the caller's.
  Outbox(int line_fd, ring::Reactor& reactor, ShardCounters& counters);

  void add(const Visit& visit);
  // Once a turn: sends a full message at once, less of one not sooner than kVisitRestMs after the
  // last.
  void flush(Tick now);
  // Rests no more: the shard is about to end.
  void hurry() { hurried_ = true; }
  bool hurried() const { return hurried_; }
  // When flush should be called though nothing completes.
  std::optional<Tick> next_wake() const;
  // Op::kVisits: the socket took no message.
  void failed(const ring::Completion& completion);
  // Nothing waits, and the turn that takes it to the kernel is over.
  bool idle() const { return visits_ == 0 && !sent_; }

 private:
  using Message = std::array<char, kLineMessageMax>;
  using Lot = std::vector<Message>;

  int line_fd_;
  ring::Reactor& reactor_;
  ShardCounters& counters_;
  Lot filling_;
  Lot leaving_;          // the kernel may read it until the next turn has returned
  uint32_t visits_ = 0;  // in filling_
  bool sent_ = false;    // by the last flush
  bool hurried_ = false;
  std::optional<Tick> rest_until_;
};

}  // namespace lychgate::daemon
