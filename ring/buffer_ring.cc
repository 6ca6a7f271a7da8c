// Registration and return of provided buffers.

#include "ring/buffer_ring.h"

#include <liburing.h>
#include <sys/mman.h>

#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::ring {

BufferRing::~BufferRing() {
  if (ring_ != nullptr) munmap(ring_, options_.count * sizeof(io_uring_buf));
}

Result<void> BufferRing::set_up(io_uring& ring, const BufferRingOptions& options) {
  if (options.count == 0) return {};
  auto memory = PrivateMemory::create(size_t{options.count} * options.bytes);
  if (!memory) return tl::unexpected(memory.error());
  memory_ = std::move(*memory);
  // Touched now: memory is taken at start, and a shard is as large after a flood as before it.
  std::memset(memory_.bytes().data(), 0, memory_.bytes().size());
  void* entries = mmap(nullptr, options.count * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (entries == MAP_FAILED) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot reserve a ring of {} buffers", options.count));
  }
  options_ = options;
  ring_ = static_cast<io_uring_buf_ring*>(entries);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(ring_);
  registration.ring_entries = options.count;
  registration.bgid = options.group;
  const int outcome = io_uring_register_buf_ring(&ring, &registration, 0);
  if (outcome < 0) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot register {} buffers of {} bytes: {}", options.count,
                            options.bytes, errno_text(-outcome)));
  }
  for (uint32_t id = 0; id < options.count; ++id) {
    add(static_cast<uint16_t>(id), static_cast<int>(id));
  }
  io_uring_buf_ring_advance(ring_, static_cast<int>(options.count));
  free_ = options.count;
  return {};
}

void BufferRing::add(uint16_t id, int offset) {
  io_uring_buf_ring_add(ring_, memory_.bytes().data() + size_t{id} * options_.bytes, options_.bytes,
                        id, io_uring_buf_ring_mask(options_.count), offset);
}

std::span<const char> BufferRing::bytes(uint16_t id) const {
  LYCH_CHECK(id < options_.count);
  return memory_.bytes().subspan(size_t{id} * options_.bytes, options_.bytes);
}

void BufferRing::give_back(uint16_t id) {
  LYCH_CHECK(id < options_.count);
  add(id, 0);
  io_uring_buf_ring_advance(ring_, 1);
  ++free_;
}

}  // namespace lychgate::ring
