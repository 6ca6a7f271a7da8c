// Which generation of shards takes clients, and where the two that may live at the same time are
// counted: shard i of set s has block (and line to the steward) s * shards + i. Values only; who
// makes generations is the supervisor.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/counters.h"

namespace lychgate::daemon {

// Those that take clients; the other set is of the generation before, which finishes what it has.
struct StewardGeneration {
  uint32_t number = 1;  // since the gate was started
  uint32_t set = 0;     // of its blocks, below kGenerationsMax
  int64_t since = 0;    // seconds since 1970
};

// The blocks of one set, of those of all. Where there are no more than `shards` blocks there is one
// set. REQUIRES: shards >= 1.
inline std::span<const ShardCounters> blocks_of_set(std::span<const ShardCounters> all,
                                                    uint32_t shards, uint32_t set) {
  const size_t first = size_t{set} * shards;
  if (first >= all.size()) return {};
  const size_t rest = all.size() - first;
  return all.subspan(first, rest < shards ? rest : shards);
}

// Clients that are still with the generation before.
inline uint64_t retiring_clients(std::span<const ShardCounters> all, uint32_t shards,
                                 const StewardGeneration& now) {
  uint64_t held = 0;
  for (uint32_t set = 0; set < kGenerationsMax; ++set) {
    if (set == now.set) continue;
    for (const ShardCounters& block : blocks_of_set(all, shards, set)) {
      held += block.held.load(std::memory_order_relaxed);
    }
  }
  return held;
}

}  // namespace lychgate::daemon
