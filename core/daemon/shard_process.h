// A shard as a process: makes the ring, the slots and the log, runs the loop until it is told to
// stop or the supervisor is gone. Reads the clock; the Shard inside does not.

#pragma once

#include <span>
#include <vector>

#include "core/base/counters.h"
#include "core/daemon/log.h"
#include "core/daemon/plan.h"
#include "core/daemon/syn_feed.h"

namespace lychgate::daemon {

struct ShardSeat {
  const Plan& plan;
  const LogSink& sink;
  std::span<ShardCounters> counters;  // of all generations
  SharedBoards& boards;
  uint32_t shard = 0;  // its number in its generation
  uint32_t block = 0;  // of the counters; core/daemon/generation.h
  std::vector<int> listeners;
  SynFeedDoor syn_feed;
  int control_fd = -1;
  int steward_fd = -1;  // our end of the line to the steward
  int carry_fd = -1;    // clients of the generation before come over it; -1: none
};

// Runs to the end of the process. Exit codes are sysexits; 0 after an ordered stop.
[[noreturn]] void run_shard(const ShardSeat& seat);

}  // namespace lychgate::daemon
