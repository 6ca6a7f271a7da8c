// Watches the DNS lists for all shards: when to probe which test point, what the answers mean for a
// list, how many lookups it has had today. Publishes states on the shared boards and words the log
// lines. One shard runs it (the first); it sends nothing itself and reads no clock.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/counters.h"
#include "core/base/lists_shared.h"
#include "core/config/lists.h"
#include "core/daemon/log.h"
#include "dns/health.h"

namespace lychgate::daemon {

// One test point to be asked.
struct Probe {
  uint32_t list = 0;
  uint32_t point = 0;  // 0: listed v4, 1: unlisted v4, 2: listed v6, 3: unlisted v6
  IpAddress address;
};
inline constexpr uint32_t kProbePoints = 4;

// What a test point answered.
enum class PointAnswer : uint8_t {
  kListed,    // at least one record, none of them an error
  kUnlisted,  // NXDOMAIN or no record
  kErrorCode,
  kOverQuota,
  kRefused,  // SERVFAIL, REFUSED
  kTimedOut,
};

struct ListWatchParts {
  const config::Dnsl& dnsl;
  std::span<const config::List> lists;
  SharedLists& shared;
  std::span<const ShardCounters> counters;  // of all shards
  uint64_t seed = 0;                        // of the jitter
};

class ListWatch {
 public:
  // Takes up what the boards say, so that a new shard does not forget what its predecessor knew.
  ListWatch(const ListWatchParts& parts, Tick now);

  // Once a turn: what is due becomes next_probe()'s; once a second also suspicion and budgets.
  void advance(Tick now, WallTime wall);
  std::optional<Probe> next_probe();
  void probed(const Probe& probe, PointAnswer answer, Tick now, WallTime wall);
  // A line for the log: a list's state has changed, or a part of its budget is used up.
  std::optional<std::string> next_line();
  std::optional<Tick> next_wake() const;
  // Every list has had a first outcome.
  bool all_proven() const;
};

}  // namespace lychgate::daemon
