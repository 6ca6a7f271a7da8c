// Levels of overload as a pure function of load and time: up at once, down one level at a time when
// it has been calm. Measures nothing; what changes at a level is applied by level_configs().

#pragma once

#include <array>
#include <cstdint>

#include "core/base/time.h"
#include "core/config/config.h"

namespace lychgate::admission {

// How full the host is, percent; each may be more than 100. Filled in by core/daemon/load.h.
struct Load {
  uint32_t clients = 0;   // held, of limits.held and of what all shards may hold
  uint32_t backends = 0;  // connections, of what all backends in use take
  uint32_t waiting = 0;   // approved clients in wait for a backend, of those held
  uint32_t memory = 0;    // of the host's, that is not available

  uint32_t fullest() const;
};

struct OverloadState {
  config::OverloadLevel level = config::OverloadLevel::kNormal;
  Tick since = 0;  // the last tick at which there was a reason for the level
};

// The next state. A level begins as soon as the fullest reaches its `_at`, is kept while the
// fullest is above `_at` less `relief`, and left, for the next lower one, `calm` after that.
OverloadState next_level(const OverloadState& state, const Load& load,
                         const config::Overload& overload, Tick now);

// What is different at a level: the strictest of its own settings and those of the levels below.
config::LevelSettings level_settings(const config::Overload& overload, config::OverloadLevel level);

// The configuration as it is at each level, by OverloadLevel; but for tarpit.clients, see below.
using LevelConfigs = std::array<config::Config, config::kOverloadLevelCount>;
LevelConfigs level_configs(const config::Config& config);

// Clients that the tarpit of one shard takes at a level; 0: it is closed.
// REQUIRES: limits.per_shard is filled in.
uint32_t tarpit_clients(const config::Config& config, config::OverloadLevel level);

}  // namespace lychgate::admission
