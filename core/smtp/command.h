// Command lines of an SMTP client taken apart as postscreen does: the word, what follows it, the
// address of MAIL and RCPT, and which protocol tests a line fails. Pure; views into the line. Obeys
// nothing (engine.h) and validates no address: no mail is accepted here.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/slots.h"
#include "core/smtp/line_reader.h"

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
inline constexpr size_t kVerbCount = 15;

// For "after ..." in log lines, in postscreen's spelling: "CONNECT" for kNone, "UNIMPLEMENTED" for
// kUnknown.
std::string_view verb_word(Verb verb);

struct Command {
  Verb verb = Verb::kUnknown;
  std::string_view word;      // the first word, as sent
  std::string_view argument;  // what follows it, without blanks at either end
  std::string_view line;      // all of it, without leading blanks and without its end
};

// Case of letters does not count; leading blanks are skipped, a NUL ends the line, only a space
// ends a word (as in postscreen).
Command parse_command(const ReadLine& line);

// Bits of lychgate::Misconduct that a line shows. more_behind: bytes have come behind the line.
// BDAT may have: its chunk follows at once (RFC 3030). Another protocol is what is no command of
// ours and CONNECT, GET or POST, begins with no letter, has an octet above 127, or is the name of a
// mail header.
uint8_t misconduct_of(const ReadLine& line, const Command& command, bool more_behind);

// The address of MAIL or RCPT: what is between the brackets behind the colon, or the word there,
// without a source route ("@a,@b:"). nullopt: there is no colon.
std::optional<std::string_view> address_of(std::string_view argument);

// A copy for log lines, as much as has room: what is not printable ASCII becomes '?'. Gives the
// bytes written.
size_t write_printable(std::string_view text, std::span<char> out);

}  // namespace lychgate::smtp
