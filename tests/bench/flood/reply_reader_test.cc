// What is a reply line, what is not, and that it does not matter how the bytes are split.

#include "bench/flood/reply_reader.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

// "220-text 220 text" for lines, "?" for malformed; pieces of `step` bytes.
std::string read_in_pieces(const std::string& bytes, size_t step) {
  ReplyReader reader;
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    std::string_view piece = std::string_view(bytes).substr(at, step);
    while (!piece.empty()) {
      ReplyLine line;
      const LineOutcome outcome = reader.next(piece, line);
      if (outcome == LineOutcome::kMalformed) return out + "?";
      if (outcome == LineOutcome::kNeedMore) break;
      out += std::to_string(line.code) + (line.last ? " " : "-") + std::string(line.text) + "|";
    }
  }
  return out;
}

TEST(ReplyReader, ReadsLinesHoweverTheyAreSplit) {
  struct Row {
    const char* what;
    std::string bytes;
    std::string want;
  };
  const std::string longest = "250 " + std::string(506, 'x') + "\r\n";
  const Row rows[] = {
      {"one line", "220 mx ready\r\n", "220 mx ready|"},
      {"a code alone", "354\r\n", "354 |"},
      {"a code and a space", "354 \r\n", "354 |"},
      {"several lines", "250-mx\r\n250-SIZE 4294967296\r\n250 8BITMIME\r\n",
       "250-mx|250-SIZE 4294967296|250 8BITMIME|"},
      {"text is cut after 20 bytes", "220 12345678901234567890123\r\n",
       "220 12345678901234567890|"},
      {"a teaser and a refusal", "220-wait\r\n521 go away\r\n", "220-wait|521 go away|"},
      {"an unfinished line", "220 mx", ""},
      {"another code in the middle", "250-a\r\n220 b\r\n", "250-a|?"},
      {"a bare LF", "220 mx\n", "?"},
      {"a bare CR", "220 mx\rx\r\n", "?"},
      {"two CRs", "220 mx\r\r\n", "?"},
      {"no number", "hello\r\n", "?"},
      {"too short", "22\r\n", "?"},
      {"an empty line", "\r\n", "?"},
      {"a first digit that means nothing", "150 x\r\n", "?"},
      {"a second digit that means nothing", "260 x\r\n", "?"},
      {"no space after the code", "220x\r\n", "?"},
      {"the longest line", longest, "250 " + std::string(20, 'x') + "|"},
      {"one byte more", "250 x" + longest.substr(4), "?"},
      {"a line that never ends", std::string(600, '2'), "?"},
  };
  for (const Row& row : rows) {
    for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, row.bytes.size()}) {
      EXPECT_EQ(read_in_pieces(row.bytes, step), row.want) << row.what << ", by " << step;
    }
  }
}

TEST(ReplyReader, GivesUpOnAReplyWithoutEnd) {
  std::string bytes;
  for (uint32_t i = 0; i <= kReplyLinesMax; ++i) bytes += "220-x\r\n";
  EXPECT_TRUE(read_in_pieces(bytes, bytes.size()).ends_with("?"));
}

TEST(EachCode, FindsTheCompleteRepliesInWhatLiesAbout) {
  struct Row {
    const char* what;
    const char* bytes;
    std::vector<int> want;
  };
  const Row rows[] = {
      {"a greeting", "220 mx\r\n", {220}},
      {"a teaser is not a reply", "220-mx\r\n", {}},
      {"a greeting and a farewell", "220-mx\r\n220 mx\r\n421 timeout\r\n", {220, 421}},
      {"half a line at the end", "220 mx\r\n421 time", {220}},
      {"half a line at the begin", "out\r\n421 timeout\r\n", {421}},
      {"no SMTP at all", "HTTP/1.1 400 Bad\r\n\r\n", {}},
      {"nothing", "", {}},
  };
  for (const Row& row : rows) {
    std::vector<int> got;
    each_code(row.bytes, [&](int code) { got.push_back(code); });
    EXPECT_EQ(got, row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::flood
