// The lines of a session in postscreen's words, so that tools that read its log go on working.
// A line is kept as an event and put into words when nothing else is to do: words take longer than
// the decision they tell of. Pure.

#pragma once

#include <array>
#include <cstdint>

#include "core/base/log_line.h"
#include "core/config/config.h"
#include "core/daemon/log.h"
#include "core/smtp/replies.h"

namespace lychgate::daemon {

enum class LogKind : uint8_t {
  kConnect,
  kAllowlisted,
  kDenylisted,
  kPassNew,
  kPregreet,
  kHangup,
  kRejectReply,  // NOQUEUE: reject: CONNECT from ...: the reply
  kRejectPerAddress,
  kRejectScreening,
  kRejectServer,
  kDisconnect,
};

// What a client said, as much of it as a line quotes.
inline constexpr size_t kQuotedBytesMax = 100;

struct LogEvent {
  WallTime at{};
  IpAddress address;
  uint16_t port = 0;
  uint8_t listener = 0;
  LogKind kind = LogKind::kConnect;
  smtp::ReplyId reply = smtp::ReplyId::kTooManyConnections;  // kRejectReply
  milliseconds since{0};                                     // since the accept
  uint32_t said = 0;                                         // kPregreet: bytes waiting
  std::array<char, kQuotedBytesMax> quoted{};                // kPregreet: the first of them
};

void put_into_words(const LogEvent& event, const config::Config& config, LogLine& line);

}  // namespace lychgate::daemon
