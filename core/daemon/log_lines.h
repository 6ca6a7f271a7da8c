// The lines of a session in postscreen's words, so that tools that read its log go on working.
// A line is kept as an event and put into words when nothing else is to do: words take longer than
// the decision they tell of. Pure.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/log_line.h"
#include "core/config/config.h"
#include "core/config/lists.h"
#include "core/daemon/log.h"
#include "core/smtp/engine.h"
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
  kListsRank,     // DNSBL rank: at or over dnsl.threshold
  kListed,        // what one list said; one line for each list that counted
  kRejectListed,  // NOQUEUE: reject: CONNECT from ...: the 550 that names a list
  kPassOld,
  kHangupTalking,      // HANGUP ... in tests after SMTP handshake
  kCommandPipelining,  // and the next two: the test, after which command, what was said
  kNonSmtpCommand,
  kBareNewline,
  kTimeLimit,  // COMMAND TIME LIMIT, and the next two likewise
  kCountLimit,
  kLengthLimit,
  kDataWithoutRcpt,
  kBdatWithoutRcpt,
  kRejectRcpt,  // put into words by the shard: it names more than an event holds
  kProxyFailed,
};

// What a client said, as much of it as a line quotes.
inline constexpr size_t kQuotedBytesMax = 100;
// Of a command's word.
inline constexpr size_t kQuotedWordMax = 32;
// Of a name or an address in a line that has several.
inline constexpr size_t kQuotedNameMax = 200;

// LogEvent::list when no list is to be named.
inline constexpr uint8_t kNoList = 0xff;

struct LogEvent {
  WallTime at{};
  IpAddress address;
  uint16_t port = 0;
  uint8_t listener = 0;
  LogKind kind = LogKind::kConnect;
  uint8_t list = kNoList;  // kListed, kRejectListed: index into Words::lists
  int16_t score = 0;       // kListsRank
  int16_t weight = 0;      // kListed, and the two below
  uint32_t code = 0;       // the record that counted most, host byte order
  uint32_t ttl = 0;        // seconds
  smtp::ReplyId reply = smtp::ReplyId::kTooManyConnections;  // kRejectReply, kRejectListed
  milliseconds since{0};                                     // since the accept
  smtp::Verb after = smtp::Verb::kNone;                      // tests and limits of the dialogue
  uint32_t said = 0;                                         // bytes that the client has said
  std::array<char, kQuotedBytesMax> quoted{};                // the first of them
  std::array<char, kQuotedWordMax> word{};                   // kCommandPipelining: the command
  uint8_t word_size = 0;

  void quote(std::string_view text) {
    said = static_cast<uint32_t>(text.size());
    text.copy(quoted.data(), quoted.size());
  }
  void quote_word(std::string_view text) {
    word_size = static_cast<uint8_t>(text.copy(word.data(), word.size()));
  }
};

// Where the names in a line come from.
struct Words {
  const config::Config& config;
  std::span<const config::List> lists;
};

// The event's reply as the client hears it, but without the list's reason.
void say_reply(const LogEvent& event, const Words& words, LogLine& line);
void put_into_words(const LogEvent& event, const Words& words, LogLine& line);

}  // namespace lychgate::daemon
