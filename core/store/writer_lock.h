// PATH-writer: whoever holds its lock is the one process that writes to the store at PATH. Its one
// byte counts writers that died while they wrote: liblmdb ends the process at some damaged pages,
// and without a count the steward would meet the same page again and again.

#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/base/result.h"

namespace lychgate::store {

class WriterLock {
 public:
  // As many deaths without a commit between them, or kDamaged: the file is not to be trusted.
  static constexpr uint8_t kDeathsMax = 5;
  static constexpr uint8_t kDamaged = 255;

  // Errors: kUnavailable when another process has it, kCantCreate when it cannot be made.
  static Result<WriterLock> take(const std::string& store_path);
  WriterLock(WriterLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  WriterLock& operator=(WriterLock&&) = delete;
  ~WriterLock();

  // Survive this process. A file system that takes no byte keeps no count.
  uint8_t deaths() const;
  void set_deaths(uint8_t deaths);

 private:
  explicit WriterLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace lychgate::store
