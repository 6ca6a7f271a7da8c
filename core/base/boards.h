// What the processes of one gate tell each other beside counters: of DNS lists (lists_shared.h), of
// backends, of the host's load. Relaxed atomics in the shared mapping of counters.h; each cell has
// one writer.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/base/limits.h"
#include "core/base/lists_shared.h"

namespace lychgate {

enum class BackendHealth : uint8_t { kUnknown, kUp, kDown };
inline constexpr size_t kBackendHealthCount = 3;
extern const char* const kBackendHealthNames[kBackendHealthCount];

// What the checking shard (the first) says of one backend. The text is read between two equal even
// versions, else it is being written.
struct BackendBoard {
  std::atomic<uint32_t> version{0};
  std::atomic<uint8_t> health{0};  // BackendHealth
  std::atomic<uint16_t> size{0};
  // EHLO keywords with their parameters, one a line, as the backend announced them.
  std::array<std::atomic<uint64_t>, kCapabilityBytesMax / sizeof(uint64_t)> text{};
};

struct SharedPools {
  // By cells (core/base/cells.h).
  std::array<std::array<BackendBoard, kBackendsPerPoolMax>, kPoolsMax> backends{};
  // Grows with every change: shards look at one number a turn.
  std::atomic<uint32_t> version{0};
};

struct SharedLoad {
  std::atomic<uint32_t> memory_percent{0};  // of the host's, not available; by the steward
  std::atomic<uint8_t> level{0};            // config::OverloadLevel; by the first shard
  std::atomic<int64_t> level_since{0};      // wall clock, seconds
};

struct SharedBoards {
  SharedLists lists;
  SharedPools pools;
  SharedLoad load;
};

}  // namespace lychgate
