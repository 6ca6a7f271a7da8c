// What the shards of one gate tell each other, and the steward, about DNS lists: counts and latency
// of each shard, and the state that the probing shard (the first) publishes. Relaxed atomics in the
// shared mapping of counters.h; each cell has one writer.

#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/limits.h"

namespace lychgate {

enum class ListState : uint8_t {
  kUnproven,  // asked, but its answers wait for the first probe
  kUp,        // asked and believed
  kDisabled,  // not asked; answers that still come are not believed
};
inline constexpr size_t kListStateCount = 3;
extern const char* const kListStateNames[kListStateCount];

// Why a list is disabled.
enum class ListFault : uint8_t {
  kNone,
  kListedMissing,
  kAnswersEverything,
  kErrorCodes,
  kOverQuota,
  kRefused,
  kTimedOut,
  kOverBudget,
};
inline constexpr size_t kListFaultCount = 8;
// In words for the log and `lists`: "does not list its test point", ...
extern const char* const kListFaultWords[kListFaultCount];

// Latency as powers of two: cell i counts lookups that took less than 2^i ms, the last all others.
inline constexpr size_t kLatencyCells = 14;
// The bound that a share (0.5, 0.99) of the lookups stayed under, as far as cells can tell: 2^i of
// the cell it falls in, for the last too, though that has none. 0 when nothing was counted.
// REQUIRES: 0 < share <= 1, at most kLatencyCells cells.
uint32_t percentile_ms(std::span<const uint64_t> cells, double share);

// What one shard has seen of one list; lookups of clients and probes alike.
struct ListCounters {
  std::atomic<uint64_t> queries{0};   // asked, retries not counted
  std::atomic<uint64_t> answered{0};  // by the list, whatever it said
  std::atomic<uint64_t> listed{0};    // of these, listed or allow, with a weight
  std::atomic<uint64_t> errors{0};    // of these, error codes, over quota or dead
  std::atomic<uint64_t> failed{0};    // SERVFAIL, REFUSED or malformed to the end
  std::atomic<uint64_t> timeouts{0};
  std::array<std::atomic<uint64_t>, kLatencyCells> latency{};
  std::atomic<uint64_t> latency_ms{0};  // the sum of what is in the cells

  static void add(std::atomic<uint64_t>& cell, uint64_t n = 1) {
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void took(uint32_t ms) {
    const auto width = static_cast<size_t>(std::bit_width(ms));
    add(latency[width < kLatencyCells ? width : kLatencyCells - 1]);
    add(latency_ms, ms);
  }
};

// What the probing shard says of one list.
struct ListBoard {
  std::atomic<uint8_t> state{0};  // ListState
  std::atomic<uint8_t> fault{0};  // ListFault
  // Grows each time the list is disabled: answers of an older epoch are not believed again.
  std::atomic<uint8_t> epoch{0};
  std::atomic<int64_t> since{0};      // wall clock, seconds
  std::atomic<uint64_t> day_base{0};  // queries of all shards when this day (UTC) began
};

struct SharedLists {
  std::array<ListBoard, kListsMax> boards{};
  // Grows with every change of a state: shards look at one number a turn.
  std::atomic<uint32_t> version{0};
  std::atomic<int64_t> day{0};  // days since 1970 of day_base
};

}  // namespace lychgate
