// One whole reply of a backend, gathered out of as many pieces as it comes in, with what its reader
// needs of it: the code, what it announces, or its bytes to send on. Pure and bounded.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/smtp/replies.h"
#include "core/smtp/reply_reader.h"
#include "handoff/capabilities.h"

namespace lychgate::handoff {

// A reply that is sent on to a client; longer ones are no answer to a command that is handed over.
inline constexpr size_t kReplySentOnMax = 4096;

class BackendReply {
 public:
  enum class State : uint8_t {
    kComing,
    kWhole,
    kBad,  // no reply of an SMTP server, too long, or with bytes behind it that nobody asked for
  };

  BackendReply() = default;
  BackendReply(const BackendReply&) = delete;  // the reader knows where its line is
  BackendReply& operator=(const BackendReply&) = delete;

  // The next reply begins.
  void expect();
  // Bytes that have come. REQUIRES: none after kWhole or kBad before expect().
  State read(std::span<const char> bytes);

  // Of a whole reply.
  uint16_t code() const { return code_; }
  std::string_view announced() const { return capabilities_.text(); }
  // All of it, or nothing when it was longer than kReplySentOnMax.
  std::span<const char> bytes() const { return std::span(bytes_).first(size_); }

 private:
  void keep(std::span<const char> bytes);

  std::array<char, smtp::kReplyLineMax> line_;
  smtp::ReplyReader reader_{line_};
  Capabilities capabilities_;
  std::array<char, kReplySentOnMax> bytes_;
  size_t size_ = 0;
  uint16_t code_ = 0;
  bool first_ = true;  // line of this reply
  bool overlong_ = false;
};

}  // namespace lychgate::handoff
