// The names of the counters and the shared mapping that holds them.

#include "core/base/counters.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate {
namespace {

// The lists' block comes first, padded so that the shards' blocks keep their alignment.
constexpr size_t kBlocksAt = (sizeof(SharedLists) + alignof(ShardCounters) - 1) /
                             alignof(ShardCounters) * alignof(ShardCounters);
constexpr size_t mapping_bytes(uint32_t shards) {
  return kBlocksAt + shards * sizeof(ShardCounters);
}

}  // namespace

const std::array<CounterInfo, kCounterCount> kCounterInfo = {{
#define LYCHGATE_X(id, name, sentence) {name, sentence},
    LYCHGATE_COUNTERS(LYCHGATE_X)
#undef LYCHGATE_X
}};

const char* const kHandoffOutcomeNames[kHandoffOutcomeCount] = {
    "taken", "refused", "full", "timed_out", "fell_back", "gave_up"};

const char* const kBackendUseNames[kBackendUseCount] = {"up", "drain", "down"};

void ShardCounters::reset_gauges() {
  for (auto& gauge : phases) gauge.store(0, std::memory_order_relaxed);
  for (auto& gauge : pool_open) gauge.store(0, std::memory_order_relaxed);
  for (auto& pool : backend_open) {
    for (auto& gauge : pool) gauge.store(0, std::memory_order_relaxed);
  }
  held.store(0, std::memory_order_relaxed);
}

Result<SharedCounters> SharedCounters::create(uint32_t shards) {
  LYCH_CHECK(shards >= 1 && shards <= kShardsMax);
  void* memory = mmap(nullptr, mapping_bytes(shards), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot map the shared counters: {}", errno_text(errno)));
  }
  auto* lists = new (memory) SharedLists();
  auto* blocks = reinterpret_cast<ShardCounters*>(static_cast<char*>(memory) + kBlocksAt);
  for (uint32_t i = 0; i < shards; ++i) new (&blocks[i]) ShardCounters();
  return SharedCounters(lists, blocks, shards);
}

SharedCounters::SharedCounters(SharedCounters&& other) noexcept
    : lists_(std::exchange(other.lists_, nullptr)), blocks_(other.blocks_), count_(other.count_) {}

SharedCounters::~SharedCounters() {
  if (lists_ != nullptr) munmap(lists_, mapping_bytes(count_));
}

}  // namespace lychgate
