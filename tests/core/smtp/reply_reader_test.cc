// Replies of an SMTP server: codes, lines, what is malformed, the bounds, and that no split of the
// input changes them.

#include "core/smtp/reply_reader.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/smtp/replies.h"
#include "tests/core/smtp/splits.h"

namespace lychgate::smtp {
namespace {

using namespace std::string_literals;

constexpr size_t kBound = 12;      // of a line
constexpr uint32_t kLinesMax = 3;  // of a reply

std::string words_of(const ReadReply& reply) {
  const std::string text(reply.text);
  switch (reply.outcome) {
    case ReplyOutcome::kContinued:
      return "[" + std::to_string(reply.code) + " and " + text + "]";
    case ReplyOutcome::kComplete:
      return "[" + std::to_string(reply.code) + " " + text + "]";
    case ReplyOutcome::kMalformed:
      return "malformed<" + text + ">";
    case ReplyOutcome::kTooLong:
      return "too long<" + text + ">";
    case ReplyOutcome::kNeedMore:
      break;
  }
  return "";
}

bool is_failure(const ReadReply& reply) {
  return reply.outcome == ReplyOutcome::kMalformed || reply.outcome == ReplyOutcome::kTooLong;
}

// What a reader says of the pieces, up to a failure, which must then be said of everything.
std::string read_all(const Pieces& pieces) {
  std::array<char, kBound> storage;
  ReplyReader reader(storage, kLinesMax);
  std::string out;
  for (const std::vector<char>& piece : pieces) {
    std::span<const char> bytes(piece);
    while (true) {
      const ReadReply reply = reader.read(bytes);
      bytes = bytes.subspan(reply.used);
      out += words_of(reply);
      if (is_failure(reply)) {
        const ReadReply again = reader.read(std::string_view("250 ok\r\n"));
        EXPECT_EQ(again.outcome, reply.outcome) << "a failure is told for ever";
        EXPECT_EQ(again.used, 0U);
        return out;
      }
      if (reply.outcome == ReplyOutcome::kNeedMore) break;
    }
    EXPECT_TRUE(bytes.empty()) << "a reader that needs more has used everything";
  }
  return out;
}

struct Row {
  const char* what;
  std::string input;
  std::string want;
};

const Row kRows[] = {
    {"nothing", "", ""},
    {"a reply of one line", "220 mx\r\n", "[220 mx]"},
    {"a reply of two", "250-mx\r\n250 8BIT\r\n", "[250 and mx][250 8BIT]"},
    {"a reply that goes on is not complete", "250-mx\r\n", "[250 and mx]"},
    {"a line that has not ended is not read", "250 ok", ""},
    {"nor one whose LF is missing", "250 ok\r", ""},
    {"a code alone is a whole line", "250\r\n", "[250 ]"},
    {"a code alone finishes a reply", "250-mx\r\n250\r\n", "[250 and mx][250 ]"},
    {"a line may have no text", "250-\r\n250 \r\n", "[250 and ][250 ]"},
    {"text may begin like a code", "220 550 x\r\n", "[220 550 x]"},
    {"two replies may have two codes", "250 a\r\n354 b\r\n", "[250 a][354 b]"},
    {"the smallest and the greatest code", "200 a\r\n599 b\r\n", "[200 a][599 b]"},
    {"LF alone ends a line", "250-a\n250 b\n", "[250 and a][250 b]"},
    {"octets above 127 are text", "250 \xc3\xa9\r\n", "[250 \xc3\xa9]"},
    {"a code of 199", "199 a\r\n", "malformed<199 a>"},
    {"a code of 600", "600 a\r\n", "malformed<600 a>"},
    {"two digits", "25 a\r\n", "malformed<25 a>"},
    {"four digits", "2500 a\r\n", "malformed<2500 a>"},
    {"a letter in the code", "2x0 a\r\n", "malformed<2x0 a>"},
    {"no code", "hello\r\n", "malformed<hello>"},
    {"another protocol", "SSH-2.0-x\r\n", "malformed<SSH-2.0-x>"},
    {"an empty line", "\r\n", "malformed<>"},
    {"an empty line within a reply", "250-a\r\n\r\n", "[250 and a]malformed<>"},
    {"a space before the code", " 250 a\r\n", "malformed< 250 a>"},
    {"another separator", "250+a\r\n", "malformed<250+a>"},
    {"another code within a reply", "250-a\r\n251 b\r\n", "[250 and a]malformed<251 b>"},
    {"a refusal behind a teaser", "220-a\r\n521 b\r\n", "[220 and a][521 b]"},
    {"a refusal of two lines behind a teaser", "220-a\n421-b\n421 c\n",
     "[220 and a][421 and b][421 c]"},
    {"no greeting behind a refusal", "521-a\r\n220 b\r\n", "[521 and a]malformed<220 b>"},
    {"a bare CR, behind which another reply could hide", "250 a\rb\r\n", "malformed<250 a\rb>"},
    {"a NUL", "250 \0\r\n"s, "malformed<250 \0>"s},
    {"nothing is read after a failure", "x\r\n250 a\r\n", "malformed<x>"},
    {"as long as the bound", "250 123456\r\n", "[250 123456]"},
    {"longer than the bound", "250 1234567\r\n", "too long<250 1234567\r>"},
    {"endless without an end", std::string(40, '2'), "too long<222222222222>"},
    {"as many lines as allowed", "250-a\r\n250-b\r\n250 c\r\n", "[250 and a][250 and b][250 c]"},
    {"more lines than allowed", "250-a\r\n250-b\r\n250-c\r\n250 d\r\n",
     "[250 and a][250 and b][250 and c]too long<250 d>"},
    {"lines are counted for each reply", "250-a\r\n250 b\r\n250-c\r\n250-d\r\n250 e\r\n",
     "[250 and a][250 b][250 and c][250 and d][250 e]"},
};

TEST(ReplyReader, ReadsTheSameRepliesWhateverTheSplit) {
  for (const Row& row : kRows) {
    for_each_split(row.input, [&row](const Pieces& pieces) {
      ASSERT_EQ(read_all(pieces), row.want) << row.what;
    });
  }
}

TEST(ReplyReader, TellsWhatHasComeBehindAReply) {
  std::array<char, kReplyLineMax> storage;
  ReplyReader reader(storage);
  const ReadReply reply = reader.read(std::string_view("220 mx\r\n250 unasked\r\n"));
  EXPECT_EQ(reply.outcome, ReplyOutcome::kComplete);
  EXPECT_EQ(reply.code, 220);
  EXPECT_EQ(reply.used, 8U);
}

TEST(ReplyReader, ReadsEveryReplyOfOurs) {
  for (size_t i = 0; i < kReplyCount; ++i) {
    std::array<char, kReplyLineMax> storage;
    ReplyReader reader(storage);
    const std::string_view line = reply_bytes(static_cast<ReplyId>(i));
    const ReadReply reply = reader.read(line);
    EXPECT_EQ(reply.outcome, ReplyOutcome::kComplete) << line;
    EXPECT_EQ(reply.used, line.size()) << line;
    EXPECT_EQ(std::to_string(reply.code), line.substr(0, 3));
  }
}

TEST(ReplyReader, ReadsAsManyLinesAsItShouldByDefault) {
  std::array<char, kReplyLineMax> storage;
  ReplyReader reader(storage);
  for (uint32_t i = 0; i < kReplyLinesMax; ++i) {
    EXPECT_EQ(reader.read(std::string_view("250-x\r\n")).outcome, ReplyOutcome::kContinued);
  }
  EXPECT_EQ(reader.read(std::string_view("250 x\r\n")).outcome, ReplyOutcome::kTooLong);
}

}  // namespace
}  // namespace lychgate::smtp
