// One ring of provided buffers and their memory: registered with a kernel ring, given back one by
// one. The memory is in no core dump: it holds what clients send, and names that may hold a key.

#pragma once

#include <cstdint>
#include <span>

#include "core/base/private_memory.h"
#include "core/base/result.h"

struct io_uring;
struct io_uring_buf_ring;

namespace lychgate::ring {

struct BufferRingOptions {
  uint16_t group = 0;
  uint32_t count = 0;  // a power of two up to 32768; 0: none
  uint32_t bytes = 0;  // of each
};

class BufferRing {
 public:
  BufferRing() = default;
  BufferRing(BufferRing&&) = delete;
  ~BufferRing();

  Result<void> set_up(io_uring& ring, const BufferRingOptions& options);
  // REQUIRES: id below the count.
  std::span<const char> bytes(uint16_t id) const;
  void give_back(uint16_t id);
  // The kernel has put bytes into one.
  void taken() { --free_; }
  uint32_t free() const { return free_; }

 private:
  void add(uint16_t id, int offset);

  BufferRingOptions options_;
  PrivateMemory memory_;
  io_uring_buf_ring* ring_ = nullptr;
  uint32_t free_ = 0;
};

}  // namespace lychgate::ring
