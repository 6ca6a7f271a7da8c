// A queue of leased relay buffers. Buffers of one shard form lists through one shared array of
// links, so that a queue may hold any number of them and an empty one costs six bytes.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ring/buffers.h"

namespace lychgate::handoff {

// The links, one per provided buffer; owned by the relay engine of the shard.
struct BufferLinks {
  struct Link {
    uint16_t next = 0;
    uint16_t bytes = 0;
  };
  explicit BufferLinks(uint32_t buffers) : links(buffers) {}
  std::vector<Link> links;
};
static_assert(kRelayBufferBytes <= UINT16_MAX);

// REQUIRES: cleared before it is destroyed (checked), since it keeps no pointer to the reactor.
class BufferQueue {
 public:
  BufferQueue() = default;
  BufferQueue(const BufferQueue&) = delete;
  BufferQueue& operator=(const BufferQueue&) = delete;
  ~BufferQueue();

  bool empty() const { return count_ == 0; }
  uint32_t size() const { return count_; }
  // REQUIRES: a lease of 1..kRelayBufferBytes bytes.
  void push(BufferLinks& links, ring::BufferLease lease);
  // REQUIRES: not empty.
  std::span<const char> front(const BufferLinks& links, const ring::Reactor& reactor) const;
  // Gives the first buffer back. REQUIRES: not empty.
  void pop(BufferLinks& links, ring::Reactor& reactor);
  void clear(BufferLinks& links, ring::Reactor& reactor);

 private:
  uint16_t head_ = 0;
  uint16_t tail_ = 0;
  uint16_t count_ = 0;
};

}  // namespace lychgate::handoff
