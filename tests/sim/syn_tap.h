// The kernel's side of a SYN feed over plain memory: the ring buffer of linux/bpf.h that the filter
// on the listeners writes to, and the descriptor that is polled. Knows nobody's clients.

#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "core/daemon/syn_feed.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

class SynTap {
 public:
  // bytes: of the ring, a power of two.
  SynTap(Agenda& agenda, SimReactor& reactor, uint32_t bytes);
  SynTap(const SynTap&) = delete;
  SynTap& operator=(const SynTap&) = delete;

  daemon::SynRing reader() {
    return daemon::SynRing({.consumed = &consumed_,
                            .produced = &produced_,
                            .data = data_.data(),
                            .bytes = bytes_,
                            .lost = &lost_});
  }
  int fd() const { return fd_; }
  // A SYN from this address has come. False, and counted, when the ring is full.
  bool tell(const IpAddress& address);

  uint64_t lost() const { return lost_; }
  uint64_t read() const;
  bool all_read() const { return consumed_ == produced_; }
  // The longest that one lay there, of those read since the last call and those unread; what lay
  // there before `from` does not count.
  Time lag(Time from);

 private:
  Agenda& agenda_;
  SimReactor& reactor_;
  std::vector<uint8_t> data_;
  uint32_t bytes_;
  uint64_t consumed_ = 0;
  uint64_t produced_ = 0;
  uint64_t lost_ = 0;
  int fd_;
  std::deque<std::pair<uint64_t, Time>> unread_;  // where each record begins, and when it came
};

}  // namespace lychgate::sim
