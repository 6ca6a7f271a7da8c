// Replies with a client's own words in them, while the kernel reads them: a fixed number, each lent
// until its send has completed. When none is free the reply without names must do.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/smtp/replies.h"

namespace lychgate::daemon {

class WrittenReplies {
 public:
  WrittenReplies() : bytes_(kWrittenRepliesMax) {
    for (uint32_t i = 0; i < kWrittenRepliesMax; ++i) free_.push_back(i);
  }

  std::optional<uint32_t> lend() {
    if (free_.empty()) return std::nullopt;
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  std::span<char> room(uint32_t index) { return bytes_[index]; }
  void give_back(uint32_t index) {
    LYCH_CHECK(index < kWrittenRepliesMax);
    free_.push_back(index);
  }
  bool all_back() const { return free_.size() == kWrittenRepliesMax; }

 private:
  std::vector<std::array<char, smtp::kReplyLineMax>> bytes_;
  std::vector<uint32_t> free_;
};

}  // namespace lychgate::daemon
