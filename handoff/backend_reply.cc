// Lines come from the ReplyReader; here are the bounds of what is kept.

#include "handoff/backend_reply.h"

#include <algorithm>

namespace lychgate::handoff {

void BackendReply::expect() {
  reader_ = smtp::ReplyReader(line_);
  capabilities_.clear();
  size_ = 0;
  code_ = 0;
  first_ = true;
  overlong_ = false;
}

void BackendReply::keep(std::span<const char> bytes) {
  overlong_ = overlong_ || bytes.size() > bytes_.size() - size_;
  if (overlong_) {
    size_ = 0;
    return;
  }
  std::copy(bytes.begin(), bytes.end(), bytes_.begin() + static_cast<ptrdiff_t>(size_));
  size_ += bytes.size();
}

BackendReply::State BackendReply::read(std::span<const char> bytes) {
  keep(bytes);
  for (;;) {
    const smtp::ReadReply got = reader_.read(bytes);
    bytes = bytes.subspan(got.used);
    switch (got.outcome) {
      case smtp::ReplyOutcome::kNeedMore:
        return State::kComing;
      case smtp::ReplyOutcome::kMalformed:
      case smtp::ReplyOutcome::kTooLong:
        return State::kBad;
      case smtp::ReplyOutcome::kContinued:
      case smtp::ReplyOutcome::kComplete:
        break;
    }
    // The first line of a reply to EHLO names the server (RFC 5321 4.1.1.1).
    if (!first_) capabilities_.add(got.text);
    first_ = false;
    if (got.outcome == smtp::ReplyOutcome::kContinued) continue;
    code_ = got.code;
    return bytes.empty() ? State::kWhole : State::kBad;
  }
}

}  // namespace lychgate::handoff
