// Fuzz target of the command parser and the engine: a whole dialogue out of a stream. Every answer
// is one whole reply, nothing follows the last one, what is kept for a backend is a clean line, and
// the same is said however the stream is split.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/engine.h"
#include "core/smtp/line_reader.h"
#include "core/smtp/reply_book.h"
#include "core/smtp/reply_reader.h"
#include "tests/fuzz/pieces.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {
namespace {

using smtp::Answer;
using smtp::Command;
using smtp::Next;

struct Rules {
  smtp::Treatment treatment;
  smtp::EngineRules engine;
};

const smtp::ReplyBook& book() {
  static const smtp::ReplyBook kBook(
      {.hostname = "mx.example.org", .banner = "$hostname ESMTP", .footer = "Call 555-0100"});
  return kBook;
}

Rules rules_of(uint8_t choice) {
  static const std::vector<std::string> kExempt = {"postmaster"};
  Rules out;
  out.treatment.approved = (choice & 1) != 0;
  out.treatment.chunking = (choice & 2) != 0;
  if ((choice & 4) != 0) out.treatment.exempt = kExempt;
  out.engine.helo_required = (choice & 8) != 0;
  out.engine.disable_vrfy = (choice & 16) != 0;
  out.engine.commands_max = (choice & 32) != 0 ? 1 : 20;
  out.engine.errors_max = (choice & 64) != 0 ? 1 : 20;
  return out;
}

bool is_clean(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return (c >= 0 && c < 32) || c == 127; });
}

bool is_part(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_command(const Command& command, std::string_view line) {
  LYCH_CHECK(is_part(command.line, line));
  LYCH_CHECK(is_part(command.word, command.line) && is_part(command.argument, command.line));
  LYCH_CHECK(command.word.find(' ') == std::string_view::npos);
  LYCH_CHECK(!command.argument.starts_with(' ') && !command.argument.ends_with(' '));
  LYCH_CHECK(command.line.find('\0') == std::string_view::npos);
  LYCH_CHECK(command.verb != smtp::Verb::kNone);
  const auto address = smtp::address_of(command.argument);
  LYCH_CHECK(!address || is_part(*address, command.argument));
}

void check_reply(smtp::ReplyId id) {
  const std::string_view bytes = book().bytes(id);
  std::array<char, smtp::kReplyLineMax> storage;
  smtp::ReplyReader reader(storage);
  size_t used = 0;
  smtp::ReadReply reply;
  do {
    reply = reader.read(bytes.substr(used));
    used += reply.used;
  } while (reply.outcome == smtp::ReplyOutcome::kContinued);
  LYCH_CHECK(reply.outcome == smtp::ReplyOutcome::kComplete && used == bytes.size());
}

void check_answer(const Answer& answer, const Command& command, const Rules& rules) {
  if (answer.next == Next::kHandOver) {
    LYCH_CHECK(rules.treatment.approved || command.verb == smtp::Verb::kRcpt);
    LYCH_CHECK(is_clean(command.line) && !command.line.empty());
    return;
  }
  check_reply(answer.reply);
  const bool rejected = answer.notable == smtp::Notable::kRejected;
  LYCH_CHECK(!rejected || (answer.next == Next::kListen && command.verb == smtp::Verb::kRcpt));
  LYCH_CHECK(answer.notable == smtp::Notable::kNothing || rejected || answer.next == Next::kClose);
}

void check_state(const smtp::DialogueState& state, const Rules& rules) {
  LYCH_CHECK(is_clean(state.hello_text()) && is_clean(state.mail_text()));
  LYCH_CHECK(state.hello_text().empty() == (state.hello == smtp::Verb::kNone));
  LYCH_CHECK(state.hello_text().ends_with(state.helo()));
  LYCH_CHECK(state.errors <= rules.engine.errors_max);
  // One more for a QUIT, after which nothing comes.
  LYCH_CHECK(state.commands <= rules.engine.commands_max + 1);
  LYCH_CHECK(!rules.treatment.approved || !state.in_mail);
}

// All that is said, and what it has led to.
std::string converse(const Pieces& pieces, size_t bound, const Rules& rules) {
  std::vector<char> storage(bound);
  smtp::LineReader reader(storage);
  smtp::DialogueState state;
  std::string out;
  for (const std::vector<char>& piece : pieces) {
    for (size_t at = 0; at < piece.size();) {
      const smtp::ReadLine line = reader.read(std::span(piece).subspan(at));
      at += line.used;
      if (line.outcome == smtp::LineOutcome::kTooLong) return out + "too long";
      if (line.outcome == smtp::LineOutcome::kNeedMore) continue;
      const Command command = smtp::parse_command(line);
      check_command(command, line.text);
      const uint8_t misconduct = smtp::misconduct_of(line, command, false);
      LYCH_CHECK((misconduct & kPipelined) == 0);
      const Answer answer = smtp::obey(command, rules.treatment, rules.engine, state);
      check_answer(answer, command, rules);
      check_state(state, rules);
      out += static_cast<char>(misconduct);
      if (answer.next == Next::kHandOver) return out.append("handed over ").append(command.line);
      out += book().bytes(answer.reply);
      if (answer.next == Next::kClose) return out + "closed";
    }
  }
  return out.append(state.helo()).append(state.sender()).append(reader.unfinished());
}

}  // namespace

void fuzz_dialogue(std::span<const uint8_t> input) {
  if (input.size() < 2) return;
  const Rules rules = rules_of(input[0]);
  const size_t bound = (input[0] & 128) != 0 ? 24 : 512;
  const std::string_view stream(reinterpret_cast<const char*>(input.data()) + 2, input.size() - 2);
  const std::string said = converse(pieces_of(stream, 0), bound, rules);
  LYCH_CHECK(converse(pieces_of(stream, 1), bound, rules) == said);
  LYCH_CHECK(converse(uneven_pieces_of(stream, input[1]), bound, rules) == said);
}

}  // namespace lychgate::fuzz
