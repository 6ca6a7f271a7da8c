// Fuzz target of LineReader: no byte is lost, doubled or changed, bounds hold, and the lines are
// the same however the stream is split.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/line_reader.h"
#include "tests/fuzz/pieces.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {
namespace {

using smtp::LineOutcome;
using smtp::LineReader;
using smtp::ReadLine;

// A kLine or kTooLong, or as the last a kNeedMore with what is unfinished.
struct Told {
  LineOutcome outcome = LineOutcome::kNeedMore;
  uint8_t flags = 0;
  std::string text;
  bool operator==(const Told&) const = default;
};

// The flags by other means.
void check_flags(const ReadLine& line) {
  const auto has = [&](char c) { return line.text.find(c) != std::string_view::npos; };
  LYCH_CHECK(!has('\n'));
  LYCH_CHECK(line.has(smtp::kBareCr) == has('\r'));
  LYCH_CHECK(line.has(smtp::kNul) == has('\0'));
  LYCH_CHECK(line.has(smtp::kEightBit) == std::ranges::any_of(line.text, [](char c) {
               return static_cast<unsigned char>(c) > 127;
             }));
}

void check_bounds(const ReadLine& line, size_t given, size_t bound) {
  LYCH_CHECK(line.used <= given);
  switch (line.outcome) {
    case LineOutcome::kNeedMore:
      LYCH_CHECK(line.used == given && line.text.empty() && line.flags == 0);
      return;
    case LineOutcome::kTooLong:
      LYCH_CHECK(line.used > 0 && line.text.size() == bound && line.flags == 0);
      return;
    case LineOutcome::kLine:
      LYCH_CHECK(line.used > 0 && line.text.size() < bound);
      check_flags(line);
      return;
  }
}

std::vector<Told> read_all(const Pieces& pieces, size_t bound) {
  std::vector<char> storage(bound);
  LineReader reader(storage);
  std::vector<Told> out;
  for (const std::vector<char>& piece : pieces) {
    std::span<const char> bytes(piece);
    while (true) {
      const ReadLine line = reader.read(bytes);
      check_bounds(line, bytes.size(), bound);
      bytes = bytes.subspan(line.used);
      if (line.outcome == LineOutcome::kNeedMore) break;
      out.push_back({line.outcome, line.flags, std::string(line.text)});
    }
  }
  out.push_back({LineOutcome::kNeedMore, 0, std::string(reader.unfinished())});
  return out;
}

// Takes what was told off the front of the stream, which must be there and then be empty.
void check_conservation(const std::vector<Told>& told, std::string_view stream) {
  const auto take = [&stream](std::string_view bytes) {
    LYCH_CHECK(stream.starts_with(bytes));
    stream.remove_prefix(bytes.size());
  };
  for (const Told& line : told) {
    take(line.text);
    if (line.outcome == LineOutcome::kLine) {
      take((line.flags & smtp::kBareLf) != 0 ? "\n" : "\r\n");
    } else if (line.outcome == LineOutcome::kTooLong) {
      const size_t end = stream.find('\n');
      stream.remove_prefix(end == std::string_view::npos ? stream.size() : end + 1);
    }
  }
  LYCH_CHECK(stream.empty());
}

}  // namespace

void fuzz_lines(std::span<const uint8_t> input) {
  if (input.size() < 2) return;
  const size_t bound = input[0] % 64 + 1;
  const std::string_view stream(reinterpret_cast<const char*>(input.data()) + 2, input.size() - 2);
  const std::vector<Told> told = read_all(pieces_of(stream, 0), bound);
  check_conservation(told, stream);
  LYCH_CHECK(read_all(pieces_of(stream, 1), bound) == told);
  LYCH_CHECK(read_all(uneven_pieces_of(stream, input[1]), bound) == told);
}

}  // namespace lychgate::fuzz
