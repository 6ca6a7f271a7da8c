// The steward: the process that may block. It answers the control socket, writes what the shards
// have learned of clients, and serves metrics; it never touches a client connection, and the gate
// goes on when it dies.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/lists.h"
#include "core/daemon/generation.h"
#include "core/daemon/log.h"

namespace lychgate::daemon {

struct StewardSeat {
  const config::Config& config;
  const LogSink& sink;
  std::span<ShardCounters> counters;  // of all generations
  StewardGeneration generation = {};
  std::span<const config::List> lists;
  SharedBoards& boards;
  uint64_t deferred_before = 0;  // deferred_acks() when the gate started
  int64_t config_read_at = 0;    // seconds since 1970
  int listen_fd = -1;            // control socket; -1: none
  std::vector<int> shard_lines;  // the steward's end of each shard's line
  int control_fd = -1;           // to the supervisor; end of file: it is gone or wants us to end
};
// Runs to the end of the process.
[[noreturn]] void run_steward(const StewardSeat& seat);

}  // namespace lychgate::daemon
