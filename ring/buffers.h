// A leased relay buffer: the bytes of one completion, given back when the lease leaves scope.

#pragma once

#include <span>
#include <utility>

#include "core/base/check.h"
#include "ring/reactor.h"

namespace lychgate::ring {

class BufferLease {
 public:
  BufferLease() = default;
  BufferLease(Reactor& reactor, uint16_t id, uint32_t bytes)
      : reactor_(&reactor), id_(id), bytes_(bytes) {}
  BufferLease(BufferLease&& other) noexcept
      : reactor_(std::exchange(other.reactor_, nullptr)), id_(other.id_), bytes_(other.bytes_) {}
  BufferLease& operator=(BufferLease&& other) noexcept {
    if (this != &other) {
      release();
      reactor_ = std::exchange(other.reactor_, nullptr);
      id_ = other.id_;
      bytes_ = other.bytes_;
    }
    return *this;
  }
  ~BufferLease() { release(); }

  explicit operator bool() const { return reactor_ != nullptr; }
  // REQUIRES: a lease.
  std::span<const char> bytes() const {
    LYCH_CHECK(reactor_ != nullptr);
    return reactor_->buffer(id_).first(bytes_);
  }
  uint32_t size() const { return bytes_; }
  // Hands the buffer over: whoever keeps the number now gives it back. REQUIRES: a lease.
  uint16_t keep() {
    reactor_ = nullptr;
    return id_;
  }
  void release() {
    if (reactor_ != nullptr) std::exchange(reactor_, nullptr)->give_back(id_);
  }

 private:
  Reactor* reactor_ = nullptr;
  uint16_t id_ = 0;
  uint32_t bytes_ = 0;
};

}  // namespace lychgate::ring
