// One log line in postscreen's words, built in a fixed buffer: never allocates, never overflows,
// cut at kLogLineMax. Knows nothing of sinks, levels or time.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/base/time.h"

namespace lychgate {

class LogLine {
 public:
  template <typename... Args>
  LogLine& add(fmt::format_string<Args...> format, Args&&... args) {
    const auto out = fmt::format_to_n(text_.data() + size_, text_.size() - size_, format,
                                      std::forward<Args>(args)...);
    size_ += std::min(out.size, text_.size() - size_);
    return *this;
  }
  // "[203.0.113.9]:41822".
  LogLine& client(const IpAddress& address, uint16_t port);
  // Seconds as postscreen prints them: at most two significant decimals, zeros trimmed.
  LogLine& seconds(milliseconds span);
  // C-escaped (\r \n \t \\ \ooo), cut after 100 bytes of input.
  LogLine& escaped(std::string_view bytes);
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, kLogLineMax> text_;
  size_t size_ = 0;
};

}  // namespace lychgate
