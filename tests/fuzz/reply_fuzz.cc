// Fuzz target of ReplyReader: codes, bounds and the form of a reply hold, failures stay, and the
// replies are the same however the stream is split.

#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/reply_reader.h"
#include "tests/fuzz/pieces.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {
namespace {

using smtp::ReadReply;
using smtp::ReplyOutcome;
using smtp::ReplyReader;

struct Bounds {
  size_t line = 0;
  uint32_t lines = 0;
};

struct Told {
  ReplyOutcome outcome = ReplyOutcome::kNeedMore;
  uint16_t code = 0;
  std::string text;
  bool operator==(const Told&) const = default;
};

bool is_failure(ReplyOutcome outcome) {
  return outcome == ReplyOutcome::kMalformed || outcome == ReplyOutcome::kTooLong;
}

bool is_line(ReplyOutcome outcome) {
  return outcome == ReplyOutcome::kContinued || outcome == ReplyOutcome::kComplete;
}

void check_reply(const ReadReply& reply, size_t given, const Bounds& bounds) {
  LYCH_CHECK(reply.used <= given);
  LYCH_CHECK(reply.text.size() <= bounds.line);
  LYCH_CHECK(is_line(reply.outcome) == (reply.code >= 200 && reply.code <= 599));
  LYCH_CHECK(is_line(reply.outcome) || reply.code == 0);
  if (reply.outcome == ReplyOutcome::kNeedMore) {
    LYCH_CHECK(reply.used == given && reply.text.empty());
  } else {
    LYCH_CHECK(reply.used > 0);
  }
  if (!is_line(reply.outcome)) return;
  LYCH_CHECK(reply.text.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos);
}

void check_failure_stays(ReplyReader& reader, ReplyOutcome failure) {
  for (const std::string_view more : {"", "250 ok\r\n"}) {
    const ReadReply again = reader.read(more);
    LYCH_CHECK(again.outcome == failure && again.used == 0 && again.text.empty());
  }
}

std::vector<Told> read_all(const Pieces& pieces, const Bounds& bounds) {
  std::vector<char> storage(bounds.line);
  ReplyReader reader(storage, bounds.lines);
  std::vector<Told> out;
  for (const std::vector<char>& piece : pieces) {
    std::span<const char> bytes(piece);
    while (true) {
      const ReadReply reply = reader.read(bytes);
      check_reply(reply, bytes.size(), bounds);
      bytes = bytes.subspan(reply.used);
      if (reply.outcome == ReplyOutcome::kNeedMore) break;
      out.push_back({reply.outcome, reply.code, std::string(reply.text)});
      if (!is_failure(reply.outcome)) continue;
      check_failure_stays(reader, reply.outcome);
      return out;
    }
  }
  return out;
}

// One code for all lines of a reply, unless a refusal breaks it off; no more lines than allowed.
void check_form(const std::vector<Told>& told, const Bounds& bounds) {
  uint16_t code = 0;
  uint32_t lines = 0;
  for (const Told& line : told) {
    if (!is_line(line.outcome)) continue;
    LYCH_CHECK(code == 0 || code == line.code || line.code >= 400);
    LYCH_CHECK(++lines <= bounds.lines);
    const bool last = line.outcome == ReplyOutcome::kComplete;
    code = last ? 0 : line.code;
    if (last) lines = 0;
  }
}

// Lines that were read are in the stream one behind the other, each with its code before it.
void check_conservation(const std::vector<Told>& told, std::string_view stream) {
  const auto take = [&stream](std::string_view bytes) {
    LYCH_CHECK(stream.starts_with(bytes));
    stream.remove_prefix(bytes.size());
  };
  for (const Told& line : told) {
    if (is_line(line.outcome)) {
      take(std::to_string(line.code));
      const bool alone = line.text.empty() && (stream[0] == '\r' || stream[0] == '\n');
      if (!alone) take(line.outcome == ReplyOutcome::kContinued ? "-" : " ");
    }
    take(line.text);
    if (is_line(line.outcome)) take(stream.starts_with('\r') ? "\r\n" : "\n");
  }
}

}  // namespace

void fuzz_replies(std::span<const uint8_t> input) {
  if (input.size() < 2) return;
  const Bounds bounds{.line = input[0] % 32u + 1, .lines = input[0] / 32u + 1};
  const std::string_view stream(reinterpret_cast<const char*>(input.data()) + 2, input.size() - 2);
  const std::vector<Told> told = read_all(pieces_of(stream, 0), bounds);
  check_form(told, bounds);
  check_conservation(told, stream);
  LYCH_CHECK(read_all(pieces_of(stream, 1), bounds) == told);
  LYCH_CHECK(read_all(uneven_pieces_of(stream, input[1]), bounds) == told);
}

}  // namespace lychgate::fuzz
