// Replies as an SMTP client reads them (RFC 5321 4.2.1): a code, and lines that end with the first
// whose code no '-' follows. Pure and bounded, with the caller's storage as in line_reader.h.
// Keeps no text: each line is given as it comes. What it cannot read it never tries to read again,
// since nobody knows where the next reply would begin.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/smtp/line_reader.h"

namespace lychgate::smtp {

// Lines of one reply: far more than any server has capabilities to announce.
inline constexpr uint32_t kReplyLinesMax = 128;

enum class ReplyOutcome : uint8_t {
  kContinued,  // a line of a reply that goes on
  kComplete,   // its last line
  kNeedMore,   // every byte is used and the line has not ended
  kMalformed,  // no reply of an SMTP server; told for ever after
  kTooLong,    // a line or a reply over its bound; told for ever after
};

struct ReadReply {
  ReplyOutcome outcome = ReplyOutcome::kNeedMore;
  uint16_t code = 0;  // kContinued, kComplete: 200 to 599
  // Bytes of the input that are done with. After a kComplete, fewer than were given: something had
  // come that was not asked for.
  size_t used = 0;
  // What follows code and separator in this line; when first told kMalformed or kTooLong, the line
  // as far as it was read. May have octets above 127 (RFC 6531). Valid until the next read() and as
  // long as the input is.
  std::string_view text{};
};

class ReplyReader {
 public:
  // The size of the storage is the bound of a line, CRLF included: kReplyLineMax or more.
  // REQUIRES: it is not empty and outlives the reader.
  explicit ReplyReader(std::span<char> storage, uint32_t lines_max = kReplyLinesMax)
      : lines_(storage), lines_max_(lines_max) {}

  // The next line, or all bytes used without one. After a kComplete the next reply begins. A line
  // may end with LF alone: here it smuggles nothing, and old servers write it. All lines of a reply
  // have one code, but a refusal may break off what began otherwise, as postscreen and this gate
  // do.
  ReadReply read(std::span<const char> bytes);

 private:
  ReadReply take(const ReadLine& line);
  ReadReply fail(ReplyOutcome outcome, const ReadLine& line);

  LineReader lines_;
  uint32_t lines_max_;
  uint32_t line_count_ = 0;                         // of this reply
  uint16_t code_ = 0;                               // of this reply; 0 before its first line
  ReplyOutcome failure_ = ReplyOutcome::kNeedMore;  // else kMalformed or kTooLong
};

}  // namespace lychgate::smtp
