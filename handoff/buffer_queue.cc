// Lists of buffer numbers through BufferLinks.

#include "handoff/buffer_queue.h"

#include "core/base/check.h"

namespace lychgate::handoff {

BufferQueue::~BufferQueue() {
  LYCH_CHECK(count_ == 0);
}

void BufferQueue::push(BufferLinks& links, ring::BufferLease lease) {
  const uint32_t bytes = lease.size();
  LYCH_CHECK(lease && bytes >= 1 && bytes <= kRelayBufferBytes);
  const uint16_t id = lease.keep();
  links.links.at(id) = {.next = 0, .bytes = static_cast<uint16_t>(bytes)};
  if (count_ == 0) {
    head_ = id;
  } else {
    links.links[tail_].next = id;
  }
  tail_ = id;
  ++count_;
}

std::span<const char> BufferQueue::front(const BufferLinks& links,
                                         const ring::Reactor& reactor) const {
  LYCH_CHECK(count_ > 0);
  return reactor.buffer(head_).first(links.links[head_].bytes);
}

void BufferQueue::pop(BufferLinks& links, ring::Reactor& reactor) {
  LYCH_CHECK(count_ > 0);
  const uint16_t id = head_;
  head_ = links.links[id].next;
  --count_;
  reactor.give_back(id);
}

void BufferQueue::clear(BufferLinks& links, ring::Reactor& reactor) {
  while (count_ > 0) pop(links, reactor);
}

}  // namespace lychgate::handoff
