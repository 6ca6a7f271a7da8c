// Accept leaves half of what is beside the clients' slots, so that the client over the limit still
// finds a slot in which to hear 421.

#include "core/daemon/sizes.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

// Slots beside those of the clients, for sockets to backends and what is closing.
uint32_t slots_beside(uint32_t clients) {
  return std::clamp(clients / 8, kSlotsMin, kTransfersMax);
}

}  // namespace

Result<ShardSizes> size_shard(uint32_t per_shard, uint32_t table_max) {
  LYCH_CHECK(table_max >= 8 * kSlotsMin && table_max <= kTableSlotsMax);
  LYCH_CHECK(per_shard <= kClientsPerShardMax);
  const uint32_t clients = per_shard != 0 ? per_shard : table_max - table_max / 8;
  const uint32_t in_one = clients + slots_beside(clients);
  if (in_one <= table_max) {
    return ShardSizes{.clients = clients, .slots = in_one, .table_slots = in_one};
  }
  const uint32_t wanted = clients + slots_beside(clients) / 2;
  const uint32_t tables = 1 + (wanted - table_max / 2 + table_max - 1) / table_max;
  if (tables <= kTablesMax) {
    return ShardSizes{.clients = clients, .slots = tables * table_max, .table_slots = table_max};
  }
  constexpr uint32_t kHalves = 2 * kTablesMax - 1;  // of tables, less the half that is kept
  return fail(
      ExitCode::kOsError,
      fmt::format("descriptor limit too low: limits.per_shard = {} needs {} tables of {} "
                  "connection slots, a shard has at most {}; raise LimitNOFILE (ulimit "
                  "-Hn) to at least {}, or lower limits.per_shard or use more shards",
                  clients, tables, table_max, kTablesMax, 2 * ((wanted + kHalves - 1) / kHalves)));
}

uint32_t accept_reserve(uint32_t slots, uint32_t table_slots) {
  if (slots > table_slots) return table_slots / 2;
  return std::min(slots / 16, kTransfersMax / 2);
}

}  // namespace lychgate::daemon
