// Which backend of a pool takes the next client: least connections by weight among those that are
// neither full, nor resting after a failure, nor taken out by command, nor tried already, nor found
// dead by health checks (unless all are); by turns where that is equal.
// Counts live in the shared block, so a limit holds for the whole host; rest is each shard's own
// experience. No I/O, told the time.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/counters.h"
#include "core/base/time.h"
#include "core/config/config.h"

namespace lychgate::handoff {

// Rest after consecutive failures: 100 ms doubling to 10 s. A dead backend then costs each shard
// one attempt in ten seconds, and is used again at most ten seconds after its return.
class Backoff {
 public:
  static constexpr Tick kLongestRestMs = 10000;
  void failed(Tick now);
  void succeeded() { failures_ = 0; }
  // By distance, not by order: a failure of 25 days ago must not look like one to come.
  bool resting(Tick now) const { return failures_ > 0 && until_ - now - 1 < kLongestRestMs; }
  uint32_t failures() const { return failures_; }
  // How long it rests after a failure at now.
  Tick rest(Tick now) const { return resting(now) ? until_ - now : 0; }

 private:
  uint32_t failures_ = 0;
  Tick until_ = 0;
};

// Backends a client has been offered to in one pool, a bit each.
using TriedSet = uint64_t;
static_assert(kBackendsPerPoolMax <= 64);

class Pools {
 public:
  // all: every shard's counters; self: ours among them; boards: what health checks have found,
  // nullptr: nothing.
  Pools(const config::Config& config, std::span<ShardCounters> all, uint32_t self,
        const SharedPools* boards = nullptr);

  struct Choice {
    std::optional<uint32_t> backend;
    bool any_full = false;  // some backend was passed over because it is at its limit
  };
  Choice choose(uint32_t pool, TriedSet tried, Tick now);
  // A connection or descriptor on its way to a backend, and its end.
  void opened(uint32_t pool, uint32_t backend);
  void closed(uint32_t pool, uint32_t backend);
  void succeeded(uint32_t pool, uint32_t backend);
  // True when the backend was healthy before: the caller says so in the log, once.
  bool failed(uint32_t pool, uint32_t backend, Tick now);

 private:
  // Where a backend is counted.
  struct Cell {
    uint32_t pool;
    uint32_t backend;
  };
  bool is_down(uint32_t pool, uint32_t backend) const;
  TriedSet passed_over(uint32_t pool) const;
  Cell cell_of(uint32_t pool, uint32_t backend) const {
    return {config_.cells.pools[pool], config_.cells.backends[pool][backend]};
  }
  uint64_t open_on_host(Cell cell) const;
  uint32_t take_turn(uint32_t pool, TriedSet among);

  const config::Config& config_;
  std::span<ShardCounters> all_;
  uint32_t self_;
  const SharedPools* boards_;
  std::vector<std::vector<Backoff>> rest_;   // by pool and backend
  std::vector<std::vector<int64_t>> turns_;  // credit of the smooth weighted round-robin, likewise
};

}  // namespace lychgate::handoff
