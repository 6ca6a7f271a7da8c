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

// Bytes on the control socket between supervisor and shard.
inline constexpr char kShardReady = 'R';
inline constexpr char kShardStop = 'S';

struct ShardSeat {
  const Plan& plan;
  const LogSink& sink;
  std::span<ShardCounters> counters;
  SharedLists& lists;
  uint32_t index = 0;
  std::vector<int> listeners;
  SynFeedDoor syn_feed;
  int control_fd = -1;
  int steward_fd = -1;  // our end of the line to the steward
};

// Runs to the end of the process. Exit codes are sysexits; 0 after an ordered stop.
[[noreturn]] void run_shard(const ShardSeat& seat);

}  // namespace lychgate::daemon
