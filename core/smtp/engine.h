// The gate's own SMTP server as pure functions: a command in, what is answered out.
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

#include "core/smtp/command.h"
#include "core/smtp/replies.h"

namespace lychgate::smtp {

// What was said so far; lives in the block that a client in dialogue borrows.
struct DialogueState {
  uint16_t commands = 0;
  uint16_t errors = 0;
  Verb last = Verb::kNone;   // for "after ..." in log lines; kNone: CONNECT
  Verb hello = Verb::kNone;  // kHelo or kEhlo, the last that was said
  bool esmtp = false;        // EHLO was said, be it before a HELO (as in postscreen)
  bool in_mail = false;      // MAIL was accepted
  bool mail_cut = false;     // it did not fit
  uint8_t hello_size = 0;
  uint8_t mail_size = 0;
  std::array<char, 255> hello_line{};  // "EHLO client.example", the first word of its argument, cut
  std::array<char, 255> mail_line{};   // "MAIL FROM:<...> ...", cut

  // For a backend, without line end and without control characters.
  std::string_view hello_text() const { return {hello_line.data(), hello_size}; }
  // Likewise; empty when it was cut: it cannot be said again.
  std::string_view mail_text() const { return {mail_line.data(), mail_cut ? 0U : mail_size}; }
  // For log lines, by write_printable(): the name, and the address without brackets.
  std::string_view helo() const;
  std::string_view sender() const;
  std::string_view protocol() const { return esmtp ? "ESMTP" : "SMTP"; }
};

struct EngineRules {
  uint32_t commands_max = 20;
  uint32_t errors_max = 20;  // of 5xx replies; refused recipients are none
  bool helo_required = false;
  bool disable_vrfy = false;
};

// How this client is treated now.
struct Treatment {
  bool approved = false;                      // handed over where it must be
  ReplyId refusal = ReplyId::kRefuseService;  // to RCPT and VRFY of a client that is not approved
  std::span<const std::string> exempt = {};   // local parts whose RCPT is handed over all the same
  bool chunking = true;                       // CHUNKING was announced
};

enum class Next : uint8_t {
  kListen,    // the reply is sent and the next command awaited
  kHandOver,  // nothing is answered: the command goes to a backend
  kClose,     // the reply is sent and the connection closed
};

// What a log line tells of.
enum class Notable : uint8_t {
  kNothing,
  kRejected,  // RCPT was answered with the refusal
  kDataWithoutRcpt,
  kBdatWithoutRcpt,
  kTooMany,  // commands or errors, as the reply says; state.last is still the command before
};

struct Answer {
  Next next = Next::kListen;
  ReplyId reply = ReplyId::kOk;  // not for kHandOver
  Notable notable = Notable::kNothing;
};

// The replies are postscreen's. STARTTLS, AUTH, MAIL, VRFY and ETRN of an approved client are
// handed over, and so is RCPT of an exempt recipient; to one that is not approved STARTTLS and AUTH
// are unknown. A line with control characters is never handed over: where it ends for the backend
// is not ours to guess. A command that is handed over changes nothing and is not counted: should
// the hand-over be called off, it is obeyed again as one of a client that is not approved.
Answer obey(const Command& command, const Treatment& treatment, const EngineRules& rules,
            DialogueState& state);

}  // namespace lychgate::smtp
