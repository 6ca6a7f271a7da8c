// Pools and their backends: what `lychgate pools` prints, and the change of a backend's use. Reads
// the boards of health checks, reads and writes the shared counters; text for people, JSON for
// programs.

#pragma once

#include <span>
#include <string>

#include "core/base/boards.h"
#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/values.h"
#include "core/daemon/control_request.h"

namespace lychgate::daemon {

// boards: nullptr: nobody checks.
std::string pools_text(const config::Config& config, std::span<const ShardCounters> shards,
                       const SharedPools* boards = nullptr);
// One object: pools, each with open, fallback, outcomes and backends.
std::string pools_json(const config::Config& config, std::span<const ShardCounters> shards,
                       const SharedPools* boards = nullptr);

// The backends that a request names.
struct PoolChoice {
  uint32_t pool = 0;
  std::optional<uint32_t> backend;  // none: all of the pool
};
// The error is a sentence. REQUIRES: request.use is given.
config::Parsed<PoolChoice> choose_backends(const config::Config& config,
                                           const ControlRequest& request);
// Tells every shard; it counts from its next choice of a backend on.
void use_backends(const config::Config& config, std::span<ShardCounters> shards,
                  const PoolChoice& choice, BackendUse use);
// "pool friendly: backend tcp:192.0.2.1:25 is down"
std::string change_text(const config::Config& config, const PoolChoice& choice, BackendUse use);

}  // namespace lychgate::daemon
