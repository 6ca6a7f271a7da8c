// Command lines taken apart: word, argument, verb, address, and which protocol tests a line fails.

#include "core/smtp/command.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace lychgate::smtp {
namespace {

using namespace std::string_view_literals;

struct Heard {
  ReadLine line;
  Command command;
};

// A stream with one line. The storage is what a line in pieces is gathered in; this one is whole.
Heard hear(std::string_view stream) {
  static std::array<char, 512> storage;
  LineReader reader(storage);
  Heard out;
  out.line = reader.read(stream);
  EXPECT_EQ(out.line.outcome, LineOutcome::kLine);
  out.command = parse_command(out.line);
  return out;
}

TEST(Command, IsAWordAndWhatFollowsIt) {
  struct Row {
    const char* what;
    std::string_view line;
    Verb verb;
    std::string_view word;
    std::string_view argument;
    std::string_view whole;
  };
  const Row rows[] = {
      {"a command", "EHLO client.example", Verb::kEhlo, "EHLO", "client.example",
       "EHLO client.example"},
      {"case of letters does not count", "mAiL FROM:<>", Verb::kMail, "mAiL", "FROM:<>",
       "mAiL FROM:<>"},
      {"leading blanks are skipped", "   QUIT", Verb::kQuit, "QUIT", "", "QUIT"},
      {"blanks around the argument, too", "HELO   a b  ", Verb::kHelo, "HELO", "a b",
       "HELO   a b  "},
      {"a blank alone follows", "DATA ", Verb::kData, "DATA", "", "DATA "},
      {"a NUL ends the line", "RSET\0QUIT"sv, Verb::kRset, "RSET", "", "RSET"},
      {"a NUL at once leaves nothing", "\0QUIT"sv, Verb::kUnknown, "", "", ""},
      {"a TAB ends no word", "EHLO\tx", Verb::kUnknown, "EHLO\tx", "", "EHLO\tx"},
      {"a CR in the middle neither", "QUIT\r ", Verb::kUnknown, "QUIT\r", "", "QUIT\r "},
      {"nothing", "", Verb::kUnknown, "", "", ""},
      {"blanks only", "   ", Verb::kUnknown, "", "", ""},
      {"half a command is none", "EHL x", Verb::kUnknown, "EHL", "x", "EHL x"},
      {"nor is more than one", "EHLOX", Verb::kUnknown, "EHLOX", "", "EHLOX"},
      {"what stands for no command is none", "CONNECT x", Verb::kUnknown, "CONNECT", "x",
       "CONNECT x"},
      {"nor is what stands for an unknown one", "UNIMPLEMENTED", Verb::kUnknown, "UNIMPLEMENTED",
       "", "UNIMPLEMENTED"},
  };
  for (const Row& row : rows) {
    const std::string stream = std::string(row.line) + "\r\n";
    const Command command = hear(stream).command;
    EXPECT_EQ(command.verb, row.verb) << row.what;
    EXPECT_EQ(command.word, row.word) << row.what;
    EXPECT_EQ(command.argument, row.argument) << row.what;
    EXPECT_EQ(command.line, row.whole) << row.what;
  }
}

TEST(Command, EveryVerbIsReadFromItsWord) {
  for (size_t i = 1; i + 1 < kVerbCount; ++i) {
    const auto verb = static_cast<Verb>(i);
    const std::string stream = std::string(verb_word(verb)) + "\r\n";
    EXPECT_EQ(hear(stream).command.verb, verb) << stream;
  }
  EXPECT_EQ(verb_word(Verb::kNone), "CONNECT");
  EXPECT_EQ(verb_word(Verb::kUnknown), "UNIMPLEMENTED");
  EXPECT_EQ(verb_word(Verb::kStarttls), "STARTTLS");
}

TEST(Misconduct, IsSeenInALine) {
  struct Row {
    const char* what;
    std::string_view stream;
    unsigned want;
  };
  const Row rows[] = {
      {"a good command", "EHLO a\r\n", 0},
      {"LF alone", "EHLO a\n", kBareNewline},
      {"a command behind it", "EHLO a\r\nMAIL", kPipelined},
      {"one byte behind it", "STARTTLS\r\n\x16", kPipelined},
      {"BDAT brings its chunk along", "BDAT 5 LAST\r\nhello", 0},
      {"a proxy's request", "CONNECT 192.0.2.1:25 HTTP/1.1\r\n", kSpokeNonSmtp},
      {"a browser's", "get / HTTP/1.1\r\n", kSpokeNonSmtp},
      {"a browser's form", "POST / HTTP/1.1\r\nHost: a\r\n", kSpokeNonSmtp | kPipelined},
      {"a header", "Subject: cheap\r\n", kSpokeNonSmtp},
      {"a header without a blank", "From:<a@b>\r\n", kSpokeNonSmtp},
      {"a header with a TAB before the colon", "Subject\t: cheap\r\n", kSpokeNonSmtp},
      {"a colon behind two words is no header", "MAIL\tFROM:<a@b>\r\n", 0},
      {"a word that begins with no letter", "\x16\x03\x01\r\n", kSpokeNonSmtp},
      {"a dot", ".\r\n", kSpokeNonSmtp},
      {"a digit", "250 ok\r\n", kSpokeNonSmtp},
      {"a TAB", "\tEHLO a\r\n", kSpokeNonSmtp},
      {"an octet above 127", "EHL\xc3\x96 a\r\n", kSpokeNonSmtp},
      {"but not in an argument", "EHLO \xc3\x96\r\n", 0},
      {"an unknown word is still SMTP", "EXPN staff\r\n", 0},
      {"an empty line too", "\r\n", 0},
      {"a word that begins like one of theirs", "GETTER\r\n", 0},
      {"all at once", "GET /\nx", kBareNewline | kSpokeNonSmtp | kPipelined},
  };
  for (const Row& row : rows) {
    const Heard heard = hear(row.stream);
    const bool more_behind = heard.line.used < row.stream.size();
    EXPECT_EQ(misconduct_of(heard.line, heard.command, more_behind), row.want) << row.what;
  }
}

TEST(Address, IsTakenOutOfAnArgument) {
  struct Row {
    const char* what;
    std::string_view argument;
    std::optional<std::string_view> want;
  };
  const Row rows[] = {
      {"in brackets", "FROM:<a@example.org>", "a@example.org"},
      {"with parameters", "FROM:<a@example.org> SIZE=5", "a@example.org"},
      {"none", "FROM:<>", ""},
      {"after a blank", "TO: <a@example.org>", "a@example.org"},
      {"without brackets", "TO:a@example.org ORCPT=x", "a@example.org"},
      {"brackets without an end", "TO:<a@example.org", "a@example.org"},
      {"a source route is left out", "TO:<@one.example,@two.example:a@example.org>",
       "a@example.org"},
      {"a route without an end", "TO:<@one.example>", "@one.example"},
      {"a bracket in quotes", "TO:<\"a>b\"@example.org>", "\"a>b\"@example.org"},
      {"a bracket behind a backslash", "TO:<a\\>b@example.org>", "a\\>b@example.org"},
      {"a quote behind a backslash", "TO:<\"a\\\">\"@example.org>", "\"a\\\">\"@example.org"},
      {"a backslash at the end", "TO:<a\\", "a\\"},
      {"nothing behind the colon", "TO:", ""},
      {"no colon", "TO <a@example.org>", std::nullopt},
      {"nothing", "", std::nullopt},
      {"whatever is before the colon", ":<a>", "a"},
  };
  for (const Row& row : rows) EXPECT_EQ(address_of(row.argument), row.want) << row.what;
}

TEST(Printable, IsACopyThatFits) {
  std::array<char, 8> out;
  EXPECT_EQ(write_printable("a\r\xc3\x7f~ ", out), 6U);
  EXPECT_EQ(std::string_view(out.data(), 6), "a???~ ");
  EXPECT_EQ(write_printable("123456789", out), 8U);
  EXPECT_EQ(write_printable("", out), 0U);
}

}  // namespace
}  // namespace lychgate::smtp
