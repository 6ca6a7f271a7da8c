// How full the host is, from the shared counters, and the level of overload that follows. The first
// shard considers it and tells the others over the board; they only read it.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/admission/overload.h"
#include "core/base/boards.h"
#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/daemon/log.h"

namespace lychgate::daemon {

// counters: of all generations. clients_max: of all shards together.
admission::Load measure(const config::Config& config, std::span<const ShardCounters> counters,
                        uint64_t clients_max, uint32_t memory_percent);

// From the text of /proc/meminfo: what is not available, in percent; 0 when it cannot be told.
uint32_t memory_percent(std::string_view meminfo);

// What the board says now.
config::OverloadLevel level_of(const SharedLoad& board);

struct LoadWatchParts {
  const config::Config& config;       // limits and shards filled in
  std::span<ShardCounters> counters;  // of all generations
  uint32_t index = 0;                 // of the block that counts
  SharedLoad& board;
  Log& log;
};

class LoadWatch {
 public:
  // Takes up the level that the board says: of the generation before, or of a shard that died.
  LoadWatch(const LoadWatchParts& parts, Tick now);

  // Once a turn, of the shard whose number is 0 in the generation that takes clients; considers the
  // load every kOverloadPeriodMs.
  void advance(Tick now);
  Tick next_wake() const { return next_; }

 private:
  void tell(config::OverloadLevel from, config::OverloadLevel to);

  LoadWatchParts parts_;
  admission::OverloadState state_;
  Tick next_;
};

}  // namespace lychgate::daemon
