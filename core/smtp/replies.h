// The table of replies a client may hear, the teaser of the greeting, and the one reply that names
// the client and a DNS list. Owns nothing: replies are static text or are written where the caller
// says. Decides nothing: which reply is due is the task of admission and of the engine.

#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "core/base/address.h"

namespace lychgate::smtp {

// Names, replies and postscreen's words: core/smtp/replies.cc. $hostname and $banner stand for what
// only a ReplyBook (reply_book.h) knows.
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
  X(kGreeting, "220 $banner")                                                               \
  X(kHelo, "250 $hostname")                                                                 \
  X(kEhlo, "250 $hostname") /* without capabilities: ehlo_reply() has them */               \
  X(kOk, "250 2.0.0 Ok")                                                                    \
  X(kMailOk, "250 2.1.0 Ok")                                                                \
  X(kBye, "221 2.0.0 Bye")                                                                  \
  X(kHeloUsage, "501 Syntax: HELO hostname")                                                \
  X(kEhloUsage, "501 Syntax: EHLO hostname")                                                \
  X(kHelloFirst, "503 5.5.1 Error: send HELO/EHLO first")                                   \
  X(kNotRecognized, "502 5.5.2 Error: command not recognized")                              \
  X(kBadSyntax, "500 5.5.2 Error: bad syntax")                                              \
  X(kNotImplemented, "502 5.5.1 Error: command not implemented") /* not announced */        \
  X(kMailUsage, "501 5.5.4 Syntax: MAIL FROM:<address>")                                    \
  X(kNestedMail, "503 5.5.1 Error: nested MAIL command")                                    \
  X(kRcptUsage, "501 5.5.4 Syntax: RCPT TO:<address>")                                      \
  X(kNeedMail, "503 5.5.1 Error: need MAIL command")                                        \
  X(kDataUsage, "501 5.5.4 Syntax: DATA")                                                   \
  X(kDataNeedsRcpt, "503 5.5.1 Error: need RCPT command") /* no MAIL either */              \
  X(kBdatUsage, "501 5.5.4 Syntax: BDAT count [LAST]")                                      \
  X(kBdatNeedsMail, "554 5.5.1 Error: need MAIL command")                                   \
  X(kNoValidRecipients, "554 5.5.1 Error: no valid recipients")                             \
  X(kVrfyUsage, "501 5.5.4 Syntax: VRFY address")                                           \
  X(kVrfyDisabled, "502 5.5.1 VRFY command is disabled")                                    \
  X(kEtrnUsage, "500 Syntax: ETRN domain")                                                  \
  X(kEtrnCannot, "458 Unable to queue messages")                                            \
  X(kTimeout, "421 4.4.2 $hostname Error: timeout exceeded")                                \
  X(kTooManyCommands, "421 $hostname Service unavailable - try again later")                \
  X(kTooManyErrors, "421 4.7.0 $hostname Error: too many errors") /* smtpd's */             \
  X(kLineTooLong, "421 $hostname Service unavailable - try again later")

enum class ReplyId : uint8_t {
#define LYCHGATE_X(id, text) id,
  LYCHGATE_REPLIES(LYCHGATE_X)
#undef LYCHGATE_X
};
#define LYCHGATE_X(id, text) 1,
inline constexpr size_t kReplyCount =
    std::initializer_list<int>{LYCHGATE_REPLIES(LYCHGATE_X)}.size();
#undef LYCHGATE_X

// The whole line, CRLF included, as it stands in the table; lives as long as the program. For
// replies before the dialogue, which name no host and have no footer.
std::string_view reply_bytes(ReplyId id);
// The line without its CRLF, for logs.
std::string_view reply_text(ReplyId id);
// The same as a line of a reply that goes on ("550-5.5.1 Protocol error\r\n"), for the tarpit:
// after any number of these, reply_bytes() makes a whole reply of it. Lives as long as the program.
std::string_view continued_reply(ReplyId id);

// RFC 5321 4.5.3.1.5: a reply line is at most 512 octets, code and CRLF included.
inline constexpr size_t kReplyLineMax = 512;
// Room for two whole lines.
inline constexpr size_t kFootedReplyMax = 2 * kReplyLineMax;
inline constexpr size_t kReplyCodeSize = 3;

struct FootedReply {
  std::string_view text;    // of one line, without its end; a code, a blank, words
  std::string_view footer;  // behind 4xx and 5xx, see ReplyBook; empty: none
};

// Gives the bytes written: one or two lines, masked and cut as below; the first of two has half of
// the room. REQUIRES: out.size() >= kReplyLineMax.
size_t write_reply(const FootedReply& reply, std::span<char> out);

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
  std::string_view reply_name;   // of the list that counted most
  std::string_view reason;       // its TXT record as it came; empty: none
  std::string_view footer = {};  // of the dialogue (ReplyBook::footer()); empty: none
};

// "550 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net; reason\r\n".
// Cut at kReplyLineMax and masked like the teaser: the reason is a stranger's text. Gives the bytes
// written; where there is no room to write, reply_bytes() says the same without names.
// A listed client may be refused for another reason: any other reply is written as it stands.
// REQUIRES: out.size() >= kReplyLineMax.
size_t write_listed_reply(ReplyId id, const ListedReply& listed, std::span<char> out);

}  // namespace lychgate::smtp
