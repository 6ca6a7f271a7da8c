// The forms are postscreen's (psc_smtpd_read_event and psc_extract_addr), so that log lines say the
// same of the same client.

#include "core/smtp/command.h"

#include <algorithm>
#include <array>

#include "core/base/ascii.h"

namespace lychgate::smtp {
namespace {

// Indexed by Verb.
constexpr std::array<std::string_view, kVerbCount> kVerbWords = {
    "CONNECT", "HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT",         "DATA",
    "BDAT",    "RSET", "NOOP", "VRFY",     "ETRN", "QUIT", "UNIMPLEMENTED"};
static_assert(static_cast<size_t>(Verb::kUnknown) + 1 == kVerbCount);

constexpr std::array<std::string_view, 3> kOtherProtocols = {"CONNECT", "GET", "POST"};

bool is_letter(char c) {
  return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

bool is_eight_bit(char c) {
  return static_cast<unsigned char>(c) > 127;
}

Verb verb_of(std::string_view word) {
  for (auto i = static_cast<size_t>(Verb::kHelo); i < static_cast<size_t>(Verb::kUnknown); ++i) {
    if (same_word(word, kVerbWords[i])) return static_cast<Verb>(i);
  }
  return Verb::kUnknown;
}

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

// "Subject:", of clients that do not wait for an answer to DATA (RFC 5322 2.2, with blanks before
// the colon as in 4.5.3).
bool is_header(std::string_view word) {
  std::string_view name = word.substr(0, word.find(':'));
  if (name.size() == word.size()) return false;
  name = name.substr(0, name.find_last_not_of('\t') + 1);
  return std::ranges::all_of(name, [](char c) { return c > 32 && c < 127; });
}

// Of a command that is none of ours.
bool is_other_protocol(std::string_view word) {
  if (word.empty()) return false;
  return !is_letter(word.front()) || is_header(word) || std::ranges::any_of(word, is_eight_bit) ||
         std::ranges::any_of(kOtherProtocols,
                             [&](std::string_view other) { return same_word(word, other); });
}

// The end of an address: the first of these that is neither quoted nor behind a backslash.
size_t find_unquoted(std::string_view text, char end) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == end && !quoted) return i;
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '\\') ++i;
  }
  return text.size();
}

}  // namespace

std::string_view verb_word(Verb verb) {
  return kVerbWords[static_cast<size_t>(verb)];
}

Command parse_command(const ReadLine& line) {
  std::string_view text = line.text.substr(0, line.text.find('\0'));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  Command out;
  out.line = text;
  out.word = text.substr(0, text.find(' '));
  out.argument = without_blanks(text.substr(out.word.size()));
  out.verb = verb_of(out.word);
  return out;
}

uint8_t misconduct_of(const ReadLine& line, const Command& command, bool more_behind) {
  unsigned bits = 0;
  if (line.has(kBareLf)) bits |= kBareNewline;
  if (command.verb == Verb::kUnknown && is_other_protocol(command.word)) bits |= kSpokeNonSmtp;
  if (more_behind && command.verb != Verb::kBdat) bits |= kPipelined;
  return static_cast<uint8_t>(bits);
}

std::optional<std::string_view> address_of(std::string_view argument) {
  const size_t colon = argument.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view text = without_blanks(argument.substr(colon + 1));
  const bool bracketed = text.starts_with('<');
  if (bracketed) text.remove_prefix(1);
  text = text.substr(0, find_unquoted(text, bracketed ? '>' : ' '));
  const size_t route = text.starts_with('@') ? text.find(':') : std::string_view::npos;
  if (route != std::string_view::npos) text.remove_prefix(route + 1);
  return text;
}

size_t write_printable(std::string_view text, std::span<char> out) {
  const size_t size = std::min(text.size(), out.size());
  std::ranges::transform(text.substr(0, size), out.begin(),
                         [](char c) { return c >= 32 && c <= 126 ? c : '?'; });
  return size;
}

}  // namespace lychgate::smtp
