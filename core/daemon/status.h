// What `lychgate status` prints, made from the shared counters: text for people, JSON for programs.
// Pure: reads counters, returns text.

#pragma once

#include <span>
#include <string>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/daemon/generation.h"

namespace lychgate::daemon {

struct StatusParts {
  std::span<const ShardCounters> blocks;  // of all generations
  const config::Config& config;
  const SharedLoad& load;
  uint64_t deferred_acks = 0;  // since the start of the gate; told where the kernel holds
  StewardGeneration generation = {};
};

std::string status_text(const StatusParts& parts);
// One object: version, generation, overload (level and since), shards (a list) and total, each with
// held, phases, counters and pools; where the kernel holds also tcp_defer_accept_drop, of the whole
// host. A shard's numbers
// are those of both generations, its pid is that of the one that takes clients.
std::string status_json(const StatusParts& parts);

}  // namespace lychgate::daemon
