// Which limits a new client exceeds: counts in, evidence bits out. Counts nothing itself.

#pragma once

#include <cstdint>

#include "core/config/config.h"

namespace lychgate::admission {

// Clients open now, the new one included: a limit of N admits exactly N.
struct LimitCounts {
  uint32_t per_address = 0;
  uint32_t shard = 0;
  uint32_t host = 0;
};

// Bits kAddressFull, kShardFull and kHostFull of lychgate::Evidence. `limits` are the effective
// ones; 0 means no limit.
uint16_t limit_evidence(const LimitCounts& counts, const config::Limits& limits);

}  // namespace lychgate::admission
