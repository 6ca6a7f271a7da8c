// Lines of an SMTP client: ends, flags, the bound, and that no split of the input changes them.

#include "core/smtp/line_reader.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/smtp/splits.h"

namespace lychgate::smtp {
namespace {

using namespace std::string_literals;

constexpr size_t kBound = 8;  // of every reader here that no row gives another

// "[text flags]" for a line, "<text>" for one that is too long.
std::string words_of(const ReadLine& line) {
  if (line.outcome == LineOutcome::kTooLong) return "<" + std::string(line.text) + ">";
  std::string out = "[" + std::string(line.text);
  if (line.has(kBareLf)) out += " bare-lf";
  if (line.has(kBareCr)) out += " bare-cr";
  if (line.has(kNul)) out += " nul";
  if (line.has(kEightBit)) out += " 8bit";
  return out + "]";
}

// What a reader says of the pieces, with what remains unfinished at the end.
std::string read_all(const Pieces& pieces, size_t bound) {
  std::vector<char> storage(bound);
  LineReader reader(storage);
  std::string out;
  for (const std::vector<char>& piece : pieces) {
    std::span<const char> bytes(piece);
    while (true) {
      const ReadLine line = reader.read(bytes);
      bytes = bytes.subspan(line.used);
      if (line.outcome == LineOutcome::kNeedMore) break;
      out += words_of(line);
    }
    EXPECT_TRUE(bytes.empty()) << "a reader that needs more has used everything";
  }
  return out + std::string(reader.unfinished());
}

struct Row {
  const char* what;
  std::string input;
  std::string want;
  size_t bound = kBound;
};

const Row kRows[] = {
    {"nothing", "", ""},
    {"a line", "QUIT\r\n", "[QUIT]"},
    {"an empty line", "\r\n", "[]"},
    {"several lines, in order", "a\r\n\r\nb\r\n", "[a][][b]"},
    {"a line without its end is unfinished", "a\r\nHEL", "[a]HEL"},
    {"its CR is unfinished too", "a\r", "a\r"},
    {"LF alone ends a line and is told", "a\nb\r\n", "[a bare-lf][b]"},
    {"an empty line of LF alone", "\n\n", "[ bare-lf][ bare-lf]"},
    {"CR alone ends nothing, and is told", "a\rb\r\n", "[a\rb bare-cr]"},
    {"CR CR LF: the first is bare", "a\r\r\n", "[a\r bare-cr]"},
    {"CR alone in a line of LF alone", "\ra\n", "[\ra bare-lf bare-cr]"},
    {"LF CR: the CR begins the next line", "a\n\r\n", "[a bare-lf][]"},
    {"NUL is a byte as others, and told", "a\0b\r\n"s, "[a\0b nul]"s},
    {"octets above 127 are told", "\xc3\xa9\r\n", "[\xc3\xa9 8bit]"},
    {"flags are of their line only", "\n\0\r\n\xff\r\na\r\n"s, "[ bare-lf][\0 nul][\xff 8bit][a]"s},
    {"the end of data as it should be", ".\r\n", "[.]"},
    {"ends of data that smuggle: LF dot CRLF", "a\n.\r\n", "[a bare-lf][.]"},
    {"LF dot LF", "a\n.\n", "[a bare-lf][. bare-lf]"},
    {"CR LF dot CR", "a\r\n.\rb\r\n", "[a][.\rb bare-cr]"},
    {"CR dot CR LF", "a\r.\r\n", "[a\r. bare-cr]"},
    {"as long as the bound, with CRLF", "123456\r\n", "[123456]"},
    {"as long as the bound, with LF", "1234567\n", "[1234567 bare-lf]"},
    {"one octet more: told when the bound is reached, the rest skipped", "1234567\r\nb\r\n",
     "<1234567\r>[b]"},
    {"one octet more, with LF", "12345678\nb\r\n", "<12345678>[b]"},
    {"told once, however long", "12345678901234567890123456789\r\nb\r\n", "<12345678>[b]"},
    {"a line that was too long and never ends leaves nothing unfinished", "1234567890",
     "<12345678>"},
    {"two of them", "123456789\r\n123456789\r\n", "<12345678><12345678>"},
    {"endless CR is bounded", std::string(30, '\r'), "<\r\r\r\r\r\r\r\r>"},
    {"endless NUL is bounded", std::string(30, '\0'), "<" + std::string(8, '\0') + ">"},
    {"the smallest bound has room for LF only", "\na\nb", "[ bare-lf]<a><b>", 1},
    {"a bound of two has room for CRLF", "\r\nab\r\n", "[]<ab>", 2},
};

TEST(LineReader, ReadsTheSameLinesWhateverTheSplit) {
  for (const Row& row : kRows) {
    for_each_split(row.input, [&row](const Pieces& pieces) {
      ASSERT_EQ(read_all(pieces, row.bound), row.want) << row.what;
    });
  }
}

TEST(LineReader, BoundsAreThoseOfTheRfc) {
  for (const size_t bound : {kCommandLineMax, kTextLineMax}) {
    const std::string longest = std::string(bound - 2, 'x') + "\r\n";
    EXPECT_EQ(read_all({{longest.begin(), longest.end()}}, bound),
              "[" + std::string(bound - 2, 'x') + "]");
    const std::string longer = "x" + longest;
    EXPECT_EQ(read_all({{longer.begin(), longer.end()}}, bound),
              "<" + std::string(bound - 1, 'x') + "\r>");
  }
}

TEST(LineReader, TellsWhatHasComeBehindALine) {
  struct PipelinedRow {
    const char* what;
    std::vector<std::string> pieces;
    size_t want;  // bytes not used when the first line is read
  };
  const PipelinedRow rows[] = {
      {"nothing", {"EHLO a\r\n"}, 0},
      {"another line", {"EHLO a\r\nQUIT\r\n"}, 6},
      {"one byte", {"EHLO a\r\nQ"}, 1},
      {"a line in two pieces with something behind it", {"EHLO", " a\r\nQUIT"}, 4},
      {"an end in two pieces", {"EHLO a\r", "\n"}, 0},
      {"a line that ends with LF alone, its successor behind it", {"EHLO a\nQUIT"}, 4},
  };
  for (const PipelinedRow& row : rows) {
    std::array<char, kCommandLineMax> storage;
    LineReader reader(storage);
    ReadLine line;
    size_t behind = 0;
    for (const std::string& piece : row.pieces) {
      line = reader.read(piece);
      behind = piece.size() - line.used;
    }
    EXPECT_EQ(line.outcome, LineOutcome::kLine) << row.what;
    EXPECT_EQ(line.text, "EHLO a") << row.what;
    EXPECT_EQ(behind, row.want) << row.what;
  }
}

TEST(LineReader, CopiesOnlyLinesThatComeInPieces) {
  std::array<char, kCommandLineMax> storage;
  LineReader reader(storage);
  const std::string whole = "NOOP\r\n";
  EXPECT_EQ(reader.read(whole).text.data(), whole.data());
  EXPECT_EQ(reader.read(std::string_view("NO")).outcome, LineOutcome::kNeedMore);
  EXPECT_EQ(reader.unfinished(), "NO");
  EXPECT_EQ(reader.read(std::string_view("OP\r\n")).text.data(), storage.data());
  EXPECT_EQ(reader.unfinished(), "");
}

TEST(LineReaderDeathTest, RefusesToReadIntoNothing) {
  EXPECT_DEATH(LineReader(std::span<char>()), "storage.empty");
}

}  // namespace
}  // namespace lychgate::smtp
