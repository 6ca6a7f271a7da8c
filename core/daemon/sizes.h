// How many slots a shard has, in how many tables, and how many of them accept leaves free: what
// makes limits.per_shard come true under a descriptor limit. Pure.

#pragma once

#include <cstdint>

#include "core/base/limits.h"
#include "core/base/result.h"

namespace lychgate::daemon {

struct ShardSizes {
  uint32_t clients = 0;      // limits.per_shard, chosen when it was 0
  uint32_t slots = 0;        // of all tables together
  uint32_t table_slots = 0;  // of each
};

// table_max: what the descriptor limit allows one table. One table where it does; else as many as
// it takes, half of the main one being kept for those who are handed off (core/daemon/mover.h).
// REQUIRES: table_max is 8 * kSlotsMin to kTableSlotsMax, per_shard at most kClientsPerShardMax.
Result<ShardSizes> size_shard(uint32_t per_shard, uint32_t table_max);

// Slots of the main table that accept leaves free: a full table of held clients must still be able
// to hand one off, and where others hold most of them, many.
uint32_t accept_reserve(uint32_t slots, uint32_t table_slots);

}  // namespace lychgate::daemon
