// What a start needs to know before anything is bound: the effective configuration, the access
// list, the sizes that the descriptor limit allows. Reads files and limits; binds and forks
// nothing.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/admission/access_list.h"
#include "core/base/siphash.h"
#include "core/config/config.h"
#include "core/daemon/lists_plan.h"
#include "ring/features.h"

namespace lychgate::daemon {

struct Plan {
  config::Config loaded;  // as the files say
  config::Config config;  // the same with shards, limits.per_shard, store.file and cells filled in
  std::optional<admission::AccessList> access;
  uint32_t slots = 0;            // direct descriptors of each shard: a multiple of
  uint32_t table_slots = 0;      // those of one table, <= RLIMIT_NOFILE
  uint32_t bulk_relays_max = 0;  // of each shard
  SipKey key{};
  std::string hostname;  // what the gate calls itself
  std::string teaser;    // complete line; empty: none
  ListsPlan lists;
  ring::Features features;
};

// Everything that can be wrong without binding a port; the error names place, cause and remedy.
// Raises the soft descriptor limit to what is needed. config_path: where it came from; empty: none.
Result<Plan> make_plan(const config::Config& config, const std::string& config_path);

// The parts that `check` shares with make_plan.
Result<std::optional<admission::AccessList>> load_access_list(const config::Access& access);
Result<void> check_backends(const config::Config& config);
// Whether this process, once it is `user`, may connect to the unix backends.
Result<void> check_backend_rights(const config::Config& config);

}  // namespace lychgate::daemon
