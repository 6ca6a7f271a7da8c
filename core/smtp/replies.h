// The replies a client may hear before the dialogue: complete bytes, and the teaser of the
// greeting. Owns nothing: every reply is static text. Decides nothing: which reply is due is
// admission's task.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lychgate::smtp {

enum class ReplyId : uint8_t {
  kTooManyConnections,  // 421: over limits.per_address
  kServerPortsBusy,     // 421: no backend took the client in time
  kScreeningPortsBusy,  // 421: over limits.per_shard or limits.held
  kShuttingDown,        // 421: the gate is stopping
  kRefuseProtocol,      // 550: spoke before the greeting
  kDropProtocol,        // 521: the same, closed at once
  kRefuseService,       // 550: the access list rejects the client
  kDropService,         // 521: the same, closed at once
};
inline constexpr size_t kReplyCount = 8;

// The whole line, CRLF included; lives as long as the program.
std::string_view reply_bytes(ReplyId id);
// The line without its CRLF, for logs.
std::string_view reply_text(ReplyId id);

// RFC 5321 4.5.3.1.5: a reply line is at most 512 octets, code and CRLF included.
inline constexpr size_t kReplyLineMax = 512;

struct Teaser {
  std::string_view banner;    // greet.banner; each $hostname in it is replaced
  std::string_view hostname;  // the name of this host
};

// "220-<banner>\r\n": a greeting that says another line follows (RFC 5321 4.2.1), so a client that
// keeps to the protocol stays silent. Cut at kReplyLineMax; bytes that a reply may not contain
// (RFC 5321 4.2: only HT and 32 to 126) become '?'. Empty when the banner is: no teaser.
std::string teaser_line(const Teaser& teaser);

}  // namespace lychgate::smtp
