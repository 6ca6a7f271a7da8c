// Fields of a message between processes of one gate, one after the other, in the host's order.
// Sizes are the caller's to check: a reader is never asked for more than there is.

#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "core/base/check.h"

namespace lychgate::daemon {

class MessageWriter {
 public:
  explicit MessageWriter(std::vector<uint8_t>& bytes) : bytes_(bytes) {}
  template <typename T>
  void put(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>, "no padding on the wire");
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof(value));
  }

 private:
  std::vector<uint8_t>& bytes_;
};

class MessageReader {
 public:
  explicit MessageReader(std::span<const uint8_t> bytes) : rest_(bytes) {}
  // REQUIRES: sizeof(T) <= left().
  template <typename T>
  void get(T& value) {
    static_assert(std::has_unique_object_representations_v<T>);
    LYCH_CHECK(rest_.size() >= sizeof(T));
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
  }
  template <typename T>
  T get() {
    T value;
    get(value);
    return value;
  }
  size_t left() const { return rest_.size(); }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace lychgate::daemon
