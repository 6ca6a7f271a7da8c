// SMTP replies out of a stream of bytes, line by line (RFC 5321, 4.2): codes, continuation, length
// limits. Pure; keeps the first bytes of a line only, so that a million readers stay small.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lychgate::flood {

// RFC 5321, 4.5.3.1.5: a reply line is at most 512 octets with code and CRLF.
inline constexpr size_t kReplyLineMax = 512;
// More lines than this in one reply are a server gone mad, or a tarpit that never ends.
inline constexpr uint32_t kReplyLinesMax = 1000;

struct ReplyLine {
  uint16_t code = 0;
  bool last = false;      // "250 ", not "250-"
  std::string_view text;  // the first bytes after it; valid until the next call
};

enum class LineOutcome : uint8_t { kLine, kNeedMore, kMalformed };

class ReplyReader {
 public:
  // Takes bytes up to the end of one line off the front of `bytes`.
  LineOutcome next(std::string_view& bytes, ReplyLine& out);
  // True between two replies.
  bool between() const { return length_ == 0 && lines_ == 0; }

 private:
  LineOutcome finish(ReplyLine& out);

  std::array<char, 24> start_{};  // enough for "250-SIZE 4294967296"
  uint16_t length_ = 0;           // of the line so far
  uint16_t code_ = 0;             // of the reply whose lines are being read
  uint32_t lines_ = 0;            // of that reply so far
  bool carriage_return_ = false;  // the last byte was one
};

// Calls `with` for the code of each complete reply in bytes that may begin and end anywhere: what
// a client that never listened finds in the end.
template <typename With>
void each_code(std::string_view bytes, With with) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view line = bytes.substr(0, end);
    const auto digit = [&](size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (end != std::string_view::npos && line.size() > 4 && digit(0) && digit(1) && digit(2) &&
        line[3] == ' ') {
      with((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
    }
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
}

}  // namespace lychgate::flood
