// Lines come from the LineReader; here are only the code, the separator and the counts.

#include "core/smtp/reply_reader.h"

#include <algorithm>

namespace lychgate::smtp {
namespace {

constexpr size_t kCodeDigits = 3;
constexpr uint16_t kRefusals = 400;  // and above, RFC 5321 4.2.1

// 0: the line does not begin with a code from 200 to 599.
uint16_t code_of(std::string_view line) {
  if (line.size() < kCodeDigits || line[0] < '2' || line[0] > '5') return 0;
  int code = 0;
  for (const char c : line.substr(0, kCodeDigits)) {
    if (c < '0' || c > '9') return 0;
    code = code * 10 + (c - '0');
  }
  return static_cast<uint16_t>(code);
}

}  // namespace

ReadReply ReplyReader::read(std::span<const char> bytes) {
  if (failure_ != ReplyOutcome::kNeedMore) return {.outcome = failure_};
  const ReadLine line = lines_.read(bytes);
  switch (line.outcome) {
    case LineOutcome::kNeedMore:
      return {.used = line.used};
    case LineOutcome::kTooLong:
      return fail(ReplyOutcome::kTooLong, line);
    case LineOutcome::kLine:
      return take(line);
  }
  return {};
}

ReadReply ReplyReader::take(const ReadLine& line) {
  const uint16_t code = code_of(line.text);
  // "250" alone is a whole reply line (RFC 5321 4.2).
  const char separator = line.text.size() > kCodeDigits ? line.text[kCodeDigits] : ' ';
  const bool readable =
      code != 0 && (separator == ' ' || separator == '-') && !line.has(kBareCr) && !line.has(kNul);
  // A gate that has sent a `220-` teaser can only refuse in the same reply.
  const bool goes_on = code_ == 0 || code == code_ || code >= kRefusals;
  if (!readable || !goes_on) return fail(ReplyOutcome::kMalformed, line);
  if (++line_count_ > lines_max_) return fail(ReplyOutcome::kTooLong, line);
  const bool last = separator == ' ';
  code_ = last ? 0 : code;
  if (last) line_count_ = 0;
  return {.outcome = last ? ReplyOutcome::kComplete : ReplyOutcome::kContinued,
          .code = code,
          .used = line.used,
          .text = line.text.substr(std::min(line.text.size(), kCodeDigits + 1))};
}

ReadReply ReplyReader::fail(ReplyOutcome outcome, const ReadLine& line) {
  failure_ = outcome;
  return {.outcome = outcome, .used = line.used, .text = line.text};
}

}  // namespace lychgate::smtp
