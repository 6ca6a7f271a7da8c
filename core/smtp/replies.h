// The replies a client may hear before the dialogue: complete bytes, the teaser of the greeting,
// and the one reply that names the client and a DNS list. Owns nothing: replies are static text or
// are written where the caller says. Decides nothing: which reply is due is admission's task.

#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/base/address.h"

namespace lychgate::smtp {

// Names, replies and postscreen's words: core/smtp/replies.cc.
#define LYCHGATE_REPLIES(X)                                                                 \
  X(kTooManyConnections, "421 4.7.0 Error: too many connections")  /* limits.per_address */ \
  X(kServerPortsBusy, "421 4.3.2 All server ports are busy")       /* no backend in time */ \
  X(kScreeningPortsBusy, "421 4.3.2 All screening ports are busy") /* per_shard, held */    \
  X(kShuttingDown, "421 4.3.2 Service shutting down")              /* the gate stops */     \
  X(kRefuseProtocol, "550 5.5.1 Protocol error")                   /* a protocol test */    \
  X(kDropProtocol, "521 5.5.1 Protocol error")                                              \
  X(kRefuseService, "550 5.3.2 Service currently unavailable") /* access list */            \
  X(kDropService, "521 5.3.2 Service currently unavailable")                                \
  X(kRefuseListed, "550 5.7.1 Service unavailable; client blocked using a DNS list")        \
  X(kDropListed, "521 5.7.1 Service unavailable; client blocked using a DNS list")          \
  X(kDefer, "450 4.3.2 Service currently unavailable") /* action `defer` */                 \
  X(kDropNonSmtp, "521 5.7.0 Error: this is a mail server. Goodbye.")                       \
  X(kOk, "250 2.0.0 Ok")

enum class ReplyId : uint8_t {
#define LYCHGATE_X(id, text) id,
  LYCHGATE_REPLIES(LYCHGATE_X)
#undef LYCHGATE_X
};
#define LYCHGATE_X(id, text) 1,
inline constexpr size_t kReplyCount =
    std::initializer_list<int>{LYCHGATE_REPLIES(LYCHGATE_X)}.size();
#undef LYCHGATE_X

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
