// The names of the counters and the shared mapping that holds them.

#include "core/base/counters.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate {
namespace {

// What comes first in the mapping: how to read the rest of it. Another version of the program may
// have laid it out in another way.
struct Layout {
  uint64_t names = 0;  // a digest of the counters' names
  uint64_t board_bytes = sizeof(SharedBoards);
  uint64_t block_bytes = sizeof(ShardCounters);
  uint64_t blocks = 0;
  bool operator==(const Layout&) const = default;
};

Layout layout_of(uint32_t blocks) {
  Layout layout;
  for (const CounterInfo& counter : kCounterInfo) {
    // FNV-1a
    for (const char* c = counter.name; *c != '\0'; ++c) {
      layout.names = (layout.names ^ static_cast<uint8_t>(*c)) * 0x100000001b3;
    }
  }
  layout.blocks = blocks;
  return layout;
}

constexpr size_t padded(size_t bytes) {
  return (bytes + alignof(ShardCounters) - 1) / alignof(ShardCounters) * alignof(ShardCounters);
}
constexpr size_t kBoardsAt = padded(sizeof(Layout));
constexpr size_t kBlocksAt = padded(kBoardsAt + sizeof(SharedBoards));
constexpr size_t mapping_bytes(uint32_t blocks) {
  return kBlocksAt + blocks * sizeof(ShardCounters);
}

Result<void*> map_counters(int fd, uint32_t blocks) {
  void* memory = mmap(nullptr, mapping_bytes(blocks), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory != MAP_FAILED) return memory;
  return fail(ExitCode::kOsError,
              fmt::format("cannot map the shared counters: {}", errno_text(errno)));
}

}  // namespace

const std::array<CounterInfo, kCounterCount> kCounterInfo = {{
#define LYCHGATE_X(id, name, sentence) {name, sentence},
    LYCHGATE_COUNTERS(LYCHGATE_X)
#undef LYCHGATE_X
}};

const char* const kHandoffOutcomeNames[kHandoffOutcomeCount] = {
    "taken", "refused", "full", "timed_out", "fell_back", "gave_up"};

const char* const kBackendHealthNames[kBackendHealthCount] = {"unknown", "up", "down"};

const char* const kBackendUseNames[kBackendUseCount] = {"up", "drain", "down"};

void ShardCounters::reset_gauges() {
  for (auto& gauge : phases) gauge.store(0, std::memory_order_relaxed);
  for (auto& gauge : pool_open) gauge.store(0, std::memory_order_relaxed);
  for (auto& pool : backend_open) {
    for (auto& gauge : pool) gauge.store(0, std::memory_order_relaxed);
  }
  held.store(0, std::memory_order_relaxed);
}

Result<SharedCounters> SharedCounters::create(uint32_t blocks) {
  LYCH_CHECK(blocks >= 1 && blocks <= kShardsMax * kGenerationsMax);
  const int fd = memfd_create("lychgate-counters", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(mapping_bytes(blocks))) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(ExitCode::kOsError,
                fmt::format("cannot make memory for the shared counters: {}", errno_text(error)));
  }
  const auto memory = map_counters(fd, blocks);
  if (!memory) {
    close(fd);
    return tl::unexpected(memory.error());
  }
  new (*memory) Layout(layout_of(blocks));
  SharedCounters counters(fd, *memory, blocks);
  new (counters.boards_) SharedBoards();
  for (uint32_t i = 0; i < blocks; ++i) new (&counters.blocks_[i]) ShardCounters();
  return counters;
}

Result<SharedCounters> SharedCounters::adopt(int fd, uint32_t blocks) {
  Layout layout;
  struct stat status {};
  const bool right =
      fstat(fd, &status) == 0 && status.st_size == static_cast<off_t>(mapping_bytes(blocks)) &&
      pread(fd, &layout, sizeof(layout), 0) == sizeof(layout) && layout == layout_of(blocks);
  if (!right) {
    return fail(ExitCode::kSoftware, "the shared counters are those of another version");
  }
  const auto memory = map_counters(fd, blocks);
  if (!memory) return tl::unexpected(memory.error());
  return SharedCounters(fd, *memory, blocks);
}

SharedCounters::SharedCounters(int fd, void* memory, uint32_t count)
    : fd_(fd),
      boards_(reinterpret_cast<SharedBoards*>(static_cast<char*>(memory) + kBoardsAt)),
      blocks_(reinterpret_cast<ShardCounters*>(static_cast<char*>(memory) + kBlocksAt)),
      count_(count) {}

SharedCounters::SharedCounters(SharedCounters&& other) noexcept
    : fd_(other.fd_),
      boards_(std::exchange(other.boards_, nullptr)),
      blocks_(other.blocks_),
      count_(other.count_) {}

SharedCounters::~SharedCounters() {
  if (boards_ == nullptr) return;
  munmap(reinterpret_cast<char*>(boards_) - kBoardsAt, mapping_bytes(count_));
  close(fd_);
}

}  // namespace lychgate
