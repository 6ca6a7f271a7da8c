// The gate's own SMTP server as pure functions: a line in, what it shows and what is answered out.
// It accepts no mail: an approved client's first command that needs a mail server ends the dialogue
// by a hand-over, a refused one hears its refusal at RCPT. Knows no sockets, no time, no policy:
// whether a client is approved is told with each command.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/slots.h"
#include "core/smtp/line_reader.h"
#include "core/smtp/replies.h"

namespace lychgate::smtp {

enum class Verb : uint8_t {
  kNone,  // no command yet
  kHelo,
  kEhlo,
  kStarttls,
  kAuth,
  kMail,
  kRcpt,
  kData,
  kBdat,
  kRset,
  kNoop,
  kVrfy,
  kEtrn,
  kQuit,
  kUnknown,
};

struct Command {
  Verb verb = Verb::kUnknown;
  std::string_view word;      // the first word, as sent
  std::string_view argument;  // what follows it, without blanks at either end
  std::string_view line;      // all of it, without its end
};

// Case of letters does not count; leading blanks are skipped, a NUL ends the line, only a space
// ends a word (as in postscreen).
Command parse_command(const ReadLine& line);

// What was said so far; lives in the block that a client in dialogue borrows.
struct DialogueState {
  uint16_t commands = 0;
  uint16_t errors = 0;
  Verb last = Verb::kNone;   // for "after ..." in log lines; kNone: CONNECT
  Verb hello = Verb::kNone;  // kHelo or kEhlo
  bool in_mail = false;      // MAIL was accepted
  uint8_t hello_size = 0;
  uint8_t mail_size = 0;
  std::array<char, 255> hello_line{};  // "EHLO client.example", cut; no line end
  std::array<char, 255> mail_line{};   // "MAIL FROM:<...> ...", likewise; empty when it was longer

  std::string_view hello_text() const { return {hello_line.data(), hello_size}; }
  std::string_view mail_text() const { return {mail_line.data(), mail_size}; }
  // For log lines: the name, and the address without brackets.
  std::string_view helo() const;
  std::string_view sender() const;
};

// Bits of lychgate::Misconduct that a line shows. more_behind: bytes have come behind the line.
// BDAT may have: its chunk follows at once (RFC 3030).
uint8_t misconduct_of(const ReadLine& line, const Command& command, bool more_behind);

struct EngineRules {
  uint32_t commands_max = 20;
  uint32_t errors_max = 20;
  bool helo_required = false;
  bool disable_vrfy = false;
};

// How this client is treated now.
struct Treatment {
  bool approved = false;                      // handed over where it must be
  ReplyId refusal = ReplyId::kRefuseService;  // to RCPT and VRFY of a client that is not approved
  std::span<const std::string> exempt = {};   // local parts whose RCPT is handed over all the same
};

enum class Next : uint8_t {
  kListen,    // the reply is sent and the next command awaited
  kHandOver,  // nothing is answered: the command goes to a backend
  kClose,     // the reply is sent and the connection closed
};

// What a log line tells of.
enum class Notable : uint8_t { kNothing, kRejected, kDataWithoutRcpt, kBdatWithoutRcpt, kTooMany };

struct Answer {
  Next next = Next::kListen;
  ReplyId reply = ReplyId::kOk;  // not for kHandOver
  Notable notable = Notable::kNothing;
};

// STARTTLS, AUTH, MAIL, VRFY and ETRN of an approved client are handed over, and so is RCPT of an
// exempt recipient; to one that is not approved STARTTLS and AUTH are unknown. The table of replies
// is postscreen's.
Answer obey(const Command& command, const Treatment& treatment, const EngineRules& rules,
            DialogueState& state);

}  // namespace lychgate::smtp
