// Byte queues of simulated sockets, and streams whose every byte is known from a key and its
// offset, so that a lost, repeated or foreign byte shows. Knows no sockets.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lychgate::sim {

class ByteQueue {
 public:
  bool empty() const { return head_ == bytes_.size(); }
  size_t size() const { return bytes_.size() - head_; }
  void push(std::span<const char> more) {
    if (head_ > 0 && head_ >= bytes_.size() / 2) {
      bytes_.erase(0, head_);
      head_ = 0;
    }
    bytes_.append(more.data(), more.size());
  }
  std::string_view front() const { return std::string_view(bytes_).substr(head_); }
  size_t copy(std::span<char> into) const {
    const size_t bytes = std::min(into.size(), size());
    std::memcpy(into.data(), bytes_.data() + head_, bytes);
    return bytes;
  }
  void drop(size_t bytes) {
    head_ += std::min(bytes, size());
    if (empty()) clear();
  }
  void clear() {
    bytes_.clear();
    head_ = 0;
  }

 private:
  std::string bytes_;
  size_t head_ = 0;
};

// The bytes of one stream.
class Content {
 public:
  explicit Content(uint64_t key) : key_(key) {}

  void fill(uint64_t offset, std::span<char> out) const {
    for (size_t i = 0; i < out.size();) {
      const uint64_t at = offset + i;
      const uint64_t word = word_at(at / 8);
      const size_t skip = at % 8;
      const size_t bytes = std::min(8 - skip, out.size() - i);
      std::memcpy(out.data() + i, reinterpret_cast<const char*>(&word) + skip, bytes);
      i += bytes;
    }
  }
  // Where `got` stops being the stream's bytes from `offset` on.
  std::optional<size_t> first_difference(uint64_t offset, std::string_view got) const {
    char want[256];
    for (size_t i = 0; i < got.size(); i += sizeof(want)) {
      const size_t bytes = std::min(sizeof(want), got.size() - i);
      fill(offset + i, std::span(want, bytes));
      if (std::memcmp(want, got.data() + i, bytes) != 0) return i;
    }
    return std::nullopt;
  }

 private:
  // splitmix64 (Steele, Lea and Flood 2014).
  uint64_t word_at(uint64_t index) const {
    uint64_t z = key_ + (index + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t key_;
};

}  // namespace lychgate::sim
