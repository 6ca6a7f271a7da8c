// Watches the DNS lists for all shards: when to probe which test point, what the answers mean for a
// list, how many lookups it has had today. Publishes states on the shared boards and words the log
// lines. One shard runs it (the first); it sends nothing itself and reads no clock.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/cells.h"
#include "core/base/counters.h"
#include "core/base/lists_shared.h"
#include "core/config/lists.h"
#include "core/daemon/log.h"
#include "dns/health.h"
#include "dns/wire.h"

namespace lychgate::daemon {

// One test point to be asked.
struct Probe {
  uint32_t list = 0;
  uint32_t point = 0;  // 0: listed v4, 1: unlisted v4, 2: listed v6, 3: unlisted v6
  IpAddress address;

  dns::AddressForm form() const {
    return point < 2 ? dns::AddressForm::kOwn : dns::AddressForm::kNibbles;
  }
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
  kNotAsked,  // given up before it was sent: says nothing about the list
};

// Queries of all shards for the list of a cell since the day (UTC) began.
uint64_t queries_today(const SharedLists& shared, std::span<const ShardCounters> shards,
                       uint32_t cell);

struct ListWatchParts {
  const config::Dnsl& dnsl;
  const Cells& cells;
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
  // Every list that is probed has been found up or disabled since this watch began.
  bool all_proven() const;

 private:
  // Counts of all shards for one list, of which only the growth matters.
  struct Sums {
    uint64_t errors = 0;
    uint64_t lost = 0;  // failed or timed out
    uint64_t answered = 0;
  };
  struct Watched {
    dns::ListHealth health;
    uint8_t points = 0;       // bits of those that are probed; none: trusted without a proof
    uint8_t outstanding = 0;  // of these, not yet answered in this round
    std::array<PointAnswer, kProbePoints> answers{};
    Sums seen;  // a second ago
    bool over_budget = false;
    uint32_t budget_part_said = 0;  // percent
  };

  static std::optional<Tick> next_round(const Watched& watched);
  uint32_t jitter();
  void begin_round(uint32_t list);
  void every_second(Tick now, WallTime wall);
  bool enter_day(WallTime wall);
  void look_at_budget(uint32_t list);
  void suspect(uint32_t list, Tick now);
  dns::ProbeOutcome outcome_of(uint32_t list) const;
  void publish(uint32_t list, WallTime wall);
  Sums sums_of(uint32_t list) const;
  ListBoard& board_of(uint32_t list) const { return shared_.boards[cells_.lists[list]]; }

  const Cells& cells_;
  std::span<const config::List> lists_;
  SharedLists& shared_;
  std::span<const ShardCounters> counters_;
  bool stop_over_budget_;
  uint64_t random_;
  std::vector<Watched> watched_;  // one a list
  std::deque<Probe> probes_;      // at most one round of each list
  std::deque<std::string> lines_;
  Tick next_second_;
  bool first_second_ = true;
};

}  // namespace lychgate::daemon
