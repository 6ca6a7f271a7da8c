// Memory that no core dump shows (MADV_DONTDUMP) and that is wiped before it is given back: for
// keys inside zone names, and for every packet that carries such a name. Owns its mapping.

#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace lychgate {

class PrivateMemory {
 public:
  PrivateMemory() = default;
  // Zeroed, rounded up to whole pages; fails with kOsError when the memory cannot be had.
  static Result<PrivateMemory> create(size_t bytes);
  PrivateMemory(PrivateMemory&& other) noexcept
      : bytes_(std::exchange(other.bytes_, std::span<char>())) {}
  PrivateMemory& operator=(PrivateMemory&& other) noexcept;
  ~PrivateMemory();

  std::span<char> bytes() const { return bytes_; }

 private:
  explicit PrivateMemory(std::span<char> bytes) : bytes_(bytes) {}
  std::span<char> bytes_;
};

// No core dump is made of this process nor of those it forks: memory can be left out of one, but
// not the vector registers, in which the last copy or comparison of a key still stands (seen).
// To be called before a key is read, and again after every change of user, which resets it
// (prctl(2)).
void refuse_core_dumps();

// A text that must not be printed: it has no stream operator and no formatter, and the only way to
// its bytes has a name that a reviewer finds.
class Secret {
 public:
  static constexpr size_t kBytesMax = 1024;

  Secret() = default;
  Secret(Secret&& other) noexcept
      : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  // An empty secret with room for kBytesMax bytes.
  static Result<Secret> create();

  // REQUIRES: made by create(), and size() + text.size() <= kBytesMax.
  void append(std::string_view text);
  std::string_view reveal() const { return {memory_.bytes().data(), size_}; }
  // Where read(2) may put more bytes, so that they are nowhere else; then grow() by what came.
  std::span<char> room() { return memory_.bytes().subspan(size_); }
  void grow(size_t bytes) { size_ += bytes; }
  void shrink_to(size_t bytes) { size_ = bytes; }
  size_t size() const { return size_; }
  // Takes the same time wherever two of one size differ.
  bool operator==(const Secret& other) const;

 private:
  PrivateMemory memory_;
  size_t size_ = 0;
};

}  // namespace lychgate
