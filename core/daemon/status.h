// What `lychgate status` prints, made from the shared counters: text for people, JSON for programs.
// Pure: reads counters, returns text.

#pragma once

#include <span>
#include <string>

#include "core/base/counters.h"
#include "core/config/config.h"

namespace lychgate::daemon {

std::string status_text(std::span<const ShardCounters> shards, const config::Config& config);
// One object: version, shards (a list) and total, each with held, phases, counters and pools.
std::string status_json(std::span<const ShardCounters> shards, const config::Config& config);

}  // namespace lychgate::daemon
