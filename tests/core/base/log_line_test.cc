// Log lines: postscreen's times and escapes, and the cut at the limit.

#include "core/base/log_line.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

TEST(LogLine, PrintsSecondsAsPostscreenDoes) {
  struct Row {
    int ms;
    const char* want;
  };
  const Row rows[] = {
      {-5, "0"},     {0, "0"},      {4, "0"},      {5, "0.01"},   {42, "0.04"},    {100, "0.1"},
      {210, "0.21"}, {994, "0.99"}, {995, "1"},    {1000, "1"},   {1004, "1"},     {1049, "1"},
      {1050, "1.1"}, {1400, "1.4"}, {3140, "3.1"}, {6000, "6"},   {9949, "9.9"},   {9950, "10"},
      {9999, "10"},  {10000, "10"}, {12345, "12"}, {12500, "13"}, {300000, "300"},
  };
  for (const Row& row : rows) {
    LogLine line;
    EXPECT_EQ(line.seconds(milliseconds(row.ms)).text(), row.want) << row.ms << " ms";
  }
}

TEST(LogLine, PrintsTheClientWithoutExtraBrackets) {
  LogLine line;
  line.client(IpAddress::parse("203.0.113.9").value(), 41822).add(" and ");
  line.client(IpAddress::parse("2001:db8::7").value(), 25);
  EXPECT_EQ(line.text(), "[203.0.113.9]:41822 and [2001:db8::7]:25");
}

TEST(LogLine, EscapesWhatTheClientSaid) {
  struct Row {
    const char* what;
    std::string bytes;
    std::string want;
  };
  const Row rows[] = {
      {"plain text", "HELO x", "HELO x"},
      {"line ends", "a\r\nb", "a\\r\\nb"},
      {"tab and backslash", "a\tb\\c", "a\\tb\\\\c"},
      {"other control bytes in octal", std::string("\x01\0\x7f", 3), "\\001\\000\\177"},
      {"bytes above ASCII in octal", "\xc3\xa9\xff", "\\303\\251\\377"},
      {"braces are no format", "{} {0}", "{} {0}"},
      {"100 bytes stay", std::string(100, 'x'), std::string(100, 'x')},
      {"what follows them is cut", std::string(100, 'x') + "y", std::string(100, 'x')},
  };
  for (const Row& row : rows) {
    LogLine line;
    EXPECT_EQ(line.escaped(row.bytes).text(), row.want) << row.what;
  }
}

TEST(LogLine, IsCutAtTheLimit) {
  LogLine line;
  line.add("{}", std::string(kLogLineMax - 1, 'a')).add("bcd");
  EXPECT_EQ(line.text(), std::string(kLogLineMax - 1, 'a') + "b");
  line.add("more").client(IpAddress{}, 1).seconds(milliseconds(1)).escaped("\r\n");
  EXPECT_EQ(line.text().size(), kLogLineMax) << "a full line takes nothing";
}

TEST(LogLine, BuildsAWholeLine) {
  LogLine line;
  line.add("PREGREET {} after ", 17).seconds(milliseconds(210)).add(" from ");
  line.client(IpAddress::parse("203.0.113.5").value(), 1044)
      .add(": ")
      .escaped("HELO win-box01\r\n");
  EXPECT_EQ(line.text(), "PREGREET 17 after 0.21 from [203.0.113.5]:1044: HELO win-box01\\r\\n");
}

}  // namespace
}  // namespace lychgate
