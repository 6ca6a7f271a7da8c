// The state of one unfinished line; a bare CR or LF, a long line or a strange code is malformed.

#include "bench/flood/reply_reader.h"

#include <algorithm>

namespace lychgate::flood {

LineOutcome ReplyReader::next(std::string_view& bytes, ReplyLine& out) {
  while (!bytes.empty()) {
    const char byte = bytes.front();
    bytes.remove_prefix(1);
    if (length_ < start_.size()) start_[length_] = byte;
    if (++length_ > kReplyLineMax) return LineOutcome::kMalformed;
    if ((byte == '\n') != carriage_return_) return LineOutcome::kMalformed;
    carriage_return_ = byte == '\r';
    if (byte == '\n') return finish(out);
  }
  return LineOutcome::kNeedMore;
}

LineOutcome ReplyReader::finish(ReplyLine& out) {
  const size_t length = length_ - 2u;
  length_ = 0;
  carriage_return_ = false;
  const auto digit = [&](size_t i, char least, char most) {
    return start_[i] >= least && start_[i] <= most;
  };
  // RFC 5321, 4.2: 2 to 5, 0 to 5, 0 to 9; a line may end right after the code.
  if (length < 3 || !digit(0, '2', '5') || !digit(1, '0', '5') || !digit(2, '0', '9')) {
    return LineOutcome::kMalformed;
  }
  if (length > 3 && start_[3] != ' ' && start_[3] != '-') return LineOutcome::kMalformed;
  out.code =
      static_cast<uint16_t>((start_[0] - '0') * 100 + (start_[1] - '0') * 10 + (start_[2] - '0'));
  out.last = length == 3 || start_[3] == ' ';
  const size_t kept = std::min(length, start_.size());
  out.text = std::string_view(start_.data(), kept).substr(std::min<size_t>(4, kept));
  // One code for all lines; only a refusal may break off what began otherwise, as a gate does
  // after a `220-` teaser.
  if (lines_ > 0 && out.code != code_ && out.code < 400) return LineOutcome::kMalformed;
  if (++lines_ > kReplyLinesMax) return LineOutcome::kMalformed;
  code_ = out.code;
  if (out.last) lines_ = 0;
  return LineOutcome::kLine;
}

}  // namespace lychgate::flood
