// The replies a client may hear before the dialogue: complete bytes, the teaser of the greeting,
// and the one reply that names the client and a DNS list. Owns nothing: replies are static text or
// are written where the caller says. Decides nothing: which reply is due is admission's task.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/address.h"

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
  kRefuseListed,        // 550: the DNS lists speak against the client
  kDropListed,          // 521: the same, closed at once
};
inline constexpr size_t kReplyCount = 10;

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

struct ListedReply {
  IpAddress client;
  std::string_view reply_name;  // of the list that counted most
  std::string_view reason;      // its TXT record as it came; empty: none
};

// "550 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net; reason\r\n".
// Cut at kReplyLineMax and masked like the teaser: the reason is a stranger's text. Gives the bytes
// written; where there is no room to write, reply_bytes() says the same without names.
// REQUIRES: id is kRefuseListed or kDropListed; out.size() >= kReplyLineMax.
size_t write_listed_reply(ReplyId id, const ListedReply& listed, std::span<char> out);

}  // namespace lychgate::smtp
