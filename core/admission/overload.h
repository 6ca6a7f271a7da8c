// Levels of overload as a pure function of load and time: up at once, down one level at a time when
// it has been calm. Measures nothing; what changes at a level is applied by level_config().

#pragma once

#include <array>
#include <cstdint>

#include "core/base/time.h"
#include "core/config/config.h"

namespace lychgate::admission {

// How full the host is, percent; each may be more than 100.
struct Load {
  uint32_t clients = 0;   // held, of limits.held and of what all shards may hold
  uint32_t backends = 0;  // connections, of the limits of the fullest pool and its fallbacks
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

// The configuration as it is at each level, by OverloadLevel.
using LevelConfigs = std::array<config::Config, config::kOverloadLevelCount>;
LevelConfigs level_configs(const config::Config& config);

}  // namespace lychgate::admission
