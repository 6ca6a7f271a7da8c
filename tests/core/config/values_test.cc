// The languages inside strings: each row is a text and the value or the words it must give.

#include "core/config/values.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace lychgate::config {
namespace {

TEST(Values, DurationsAreWholeNumbersWithAUnit) {
  struct Row {
    const char* what;
    const char* text;
    int64_t want;  // ms; -1: refused
    const char* want_words = "";
  };
  const Row rows[] = {
      {"milliseconds", "500ms", 500},
      {"seconds", "6s", 6000},
      {"minutes", "5m", 300'000},
      {"hours", "1h", 3'600'000},
      {"days", "1d", 86'400'000},
      {"nothing is a duration too", "0s", 0},
      {"leading zeros do no harm", "007s", 7000},
      {"the largest count in the largest unit does not overflow", "4294967295d",
       4294967295 * 86'400'000},
      {"a larger count is refused", "4294967296d", -1, "whole number"},
      {"a number alone is told to bring a unit", "6", -1,
       "has no unit, write one: \"6ms\", \"6s\""},
      {"even zero needs its unit", "0", -1, "has no unit"},
      {"fractions are refused", "1.5s", -1, "whole number"},
      {"negative spans are refused", "-6s", -1, "whole number"},
      {"blanks are refused", "6 s", -1, "whole number"},
      {"unknown units are refused", "6w", -1, "ms, s, m, h or d"},
      {"units are lower case", "6S", -1, "ms, s, m, h or d"},
      {"two units are refused", "1h30m", -1, "whole number"},
      {"a unit alone is refused", "ms", -1, "whole number"},
      {"an empty text is refused", "", -1, "whole number"},
  };
  for (const Row& row : rows) {
    const auto got = parse_duration(row.text);
    EXPECT_EQ(got ? got->count() : -1, row.want) << row.what;
    if (!got) {
      EXPECT_NE(got.error().find(row.want_words), std::string::npos) << row.what << got.error();
    }
  }
}

TEST(Values, DurationsPrintInTheirLargestExactUnit) {
  struct Row {
    int64_t span;
    const char* want;
  };
  const Row rows[] = {{0, "0s"},          {1, "1ms"},        {1500, "1500ms"},
                      {90'000, "90s"},    {60'000, "1m"},    {100'000, "100s"},
                      {5'400'000, "90m"}, {3'600'000, "1h"}, {172'800'000, "2d"}};
  for (const Row& row : rows) {
    EXPECT_EQ(duration_text(milliseconds(row.span)), row.want);
    EXPECT_EQ(parse_duration(row.want).value().count(), row.span);
  }
}

TEST(Values, BackendsAreLiteralPlacesWithAWeight) {
  struct Row {
    const char* what;
    const char* text;
    HandoffMethod method;
    int family;
    uint32_t weight;
  };
  const Row rows[] = {
      {"a pass service", "pass:/var/spool/postfix/public/smtpd", HandoffMethod::kPass, AF_UNIX, 1},
      {"a unix socket", "unix:/run/smtp.sock", HandoffMethod::kSplice, AF_UNIX, 1},
      {"an IPv4 host", "tcp:192.0.2.7:25", HandoffMethod::kSplice, AF_INET, 1},
      {"an IPv6 host", "tcp:[2001:db8::7]:25", HandoffMethod::kSplice, AF_INET6, 1},
      {"the least weight", "tcp:192.0.2.7:25*1", HandoffMethod::kSplice, AF_INET, 1},
      {"the greatest weight", "pass:/a*1000", HandoffMethod::kPass, AF_UNIX, 1000},
  };
  for (const Row& row : rows) {
    const auto got = parse_backend(row.text);
    ASSERT_TRUE(got) << row.what << ": " << got.error();
    EXPECT_EQ(got->text, row.text) << row.what;
    EXPECT_EQ(got->method, row.method) << row.what;
    EXPECT_EQ(got->address.family(), row.family) << row.what;
    EXPECT_EQ(got->weight, row.weight) << row.what;
  }
  EXPECT_STREQ(parse_backend("unix:/run/x*7")->address.path.sun_path, "/run/x");
  EXPECT_EQ(parse_backend("tcp:192.0.2.7:25*7")->address.v4.sin_port, htons(25));
}

TEST(Values, WrongBackendsSayWhatWasExpected) {
  struct Row {
    const char* what;
    std::string text;
    const char* want_words;
  };
  const Row rows[] = {
      {"a host name", "tcp:mail.example:25", "names are not looked up in DNS"},
      {"no port", "tcp:192.0.2.7", "tcp:ADDRESS:PORT"},
      {"IPv6 without brackets", "tcp:2001:db8::7:25", "tcp:[IPv6]:PORT"},
      {"port zero", "tcp:192.0.2.7:0", "port 0"},
      {"a port beyond 65535", "tcp:192.0.2.7:65536", "tcp:ADDRESS:PORT"},
      {"the unspecified address", "tcp:0.0.0.0:25", "unspecified"},
      {"a relative path", "pass:public/smtpd", "absolute path"},
      {"no path", "unix:", "absolute path"},
      {"a path the kernel cannot take", "pass:/" + std::string(107, 'x'), "107 bytes"},
      {"an unknown method", "http:/x", "pass:/path, unix:/path or tcp:"},
      {"no method", "/var/spool", "pass:/path, unix:/path or tcp:"},
      {"nothing", "", "pass:/path, unix:/path or tcp:"},
      {"a weight of zero", "pass:/a*0", "weight of 1 to 1000"},
      {"too much weight", "pass:/a*1001", "weight of 1 to 1000"},
      {"a star without a weight", "pass:/a*", "weight of 1 to 1000"},
      {"a weight before the place", "3*pass:/a", "weight of 1 to 1000"},
      {"only a weight", "*3", "pass:/path, unix:/path or tcp:"},
  };
  for (const Row& row : rows) {
    const auto got = parse_backend(row.text);
    ASSERT_FALSE(got) << row.what;
    EXPECT_NE(got.error().find(row.want_words), std::string::npos)
        << row.what << ": " << got.error();
  }
}

TEST(Values, WordsGoBothWays) {
  for (const char* word : {"ignore", "enforce", "defer", "drop", "hold"}) {
    EXPECT_EQ(action_text(parse_action(word).value()), word);
  }
  for (const char* word : {"gate", "kernel"}) {
    EXPECT_EQ(hold_text(parse_hold(word).value()), word);
  }
  for (const char* word : {"commit", "interval", "none"}) {
    EXPECT_EQ(sync_text(parse_sync(word).value()), word);
  }
  for (const char* word : {"v2", "v1", "none"}) {
    EXPECT_EQ(proxy_header_text(parse_proxy_header(word).value()), word);
  }
  for (const char* word : {"stderr", "syslog", "journal", "file:/var/log/gate"}) {
    EXPECT_EQ(log_target_text(parse_log_target(word).value()), word);
  }
  EXPECT_FALSE(parse_action("Enforce"));
  EXPECT_FALSE(parse_hold("Kernel"));
  EXPECT_FALSE(parse_sync("always"));
  EXPECT_FALSE(parse_proxy_header("v3"));
  EXPECT_FALSE(parse_log_target("file:gate.log"));
  EXPECT_FALSE(parse_log_target("file"));
}

TEST(Values, ListenAddressesAreLiterals) {
  for (const char* text : {"0.0.0.0:25", "127.0.0.1:0", "[::]:25", "[2001:db8::1]:65535"}) {
    EXPECT_EQ(endpoint_text(parse_listen_address(text).value()), text);
  }
  for (const char* text : {"", ":25", "25", "localhost:25", "::1:25", "127.0.0.1", "127.0.0.1:x",
                           "127.0.0.1:65536", "[::1%lo]:25"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
}

TEST(Values, DnsServersAreLiteralsWithAPortOf53) {
  struct Row {
    const char* text;
    const char* want;  // empty: refused
  };
  const Row rows[] = {
      {"192.0.2.53", "192.0.2.53:53"},
      {"192.0.2.53:5353", "192.0.2.53:5353"},
      {"2001:db8::53", "[2001:db8::53]:53"},
      {"[2001:db8::53]:5353", "[2001:db8::53]:5353"},
      {"[2001:db8::53]", ""},
      {"192.0.2.53:0", ""},
      {"0.0.0.0", ""},
      {"[::]:53", ""},
      {"localhost", ""},
      {"", ""},
  };
  for (const Row& row : rows) {
    const auto got = parse_dns_server(row.text);
    EXPECT_EQ(got ? endpoint_text(*got) : "", row.want) << row.text;
  }
}

TEST(Values, TextsThatReachLogsAndRepliesAreHarmless) {
  EXPECT_FALSE(object_to_name("smtpd-friendly.1"));
  EXPECT_FALSE(object_to_name("[2001:db8::1]:25"));
  for (const char* name : {"a b", "a\tb", "a\"b", "a'b", "a\\b", "\xc3\xa4"}) {
    EXPECT_TRUE(object_to_name(name)) << name;
  }
  EXPECT_FALSE(object_to_credential("lychgate.dqs"));
  for (const char* name : {"a/b", ".", "..", "a b"})
    EXPECT_TRUE(object_to_credential(name)) << name;
  EXPECT_FALSE(object_to_path("/etc/x y"));
  EXPECT_TRUE(object_to_path("etc/x"));
  EXPECT_FALSE(object_to_banner("$hostname ESMTP ready, \"really\""));
  EXPECT_NE(object_to_banner("one\r\ntwo")->find("line break"), std::string::npos);
  EXPECT_NE(object_to_banner("a\tb")->find("printable ASCII"), std::string::npos);
  EXPECT_EQ(toml_quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
}

// Answers to commands quote what callers wrote and what paths are called, which may be any bytes,
// and used to pass on those that no reader of JSON or TOML takes.
TEST(Values, QuotedIsWhatJsonAndTomlReadWhateverItWas) {
  struct Row {
    const char* what;
    std::string text;
    const char* want;
  };
  const Row rows[] = {
      {"two to four bytes a character", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
       "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"a zero and a delete", std::string("\0\x7f", 2), "\"\\u0000\\u007f\""},
      {"a byte of another alphabet",
       "Stra\xdf"
       "e",
       "\"Stra\\ufffde\""},
      {"the middle of a character", "\x80", "\"\\ufffd\""},
      {"a character that is cut", "\xe2\x82", "\"\\ufffd\\ufffd\""},
      {"a quote in the middle of one", "\xe2\"", "\"\\ufffd\\\"\""},
      {"longer than need be", "\xc0\xaf\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\""},
      {"half of a UTF-16 pair", "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
      {"behind the last character", "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
      {"a byte of no character", "\xff", "\"\\ufffd\""},
  };
  for (const Row& row : rows) EXPECT_EQ(toml_quoted(row.text), row.want) << row.what;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string quoted = toml_quoted(std::string(1, static_cast<char>(byte)));
    const auto unfit = [](char c) { return c < 0x20 || c == 0x7f; };
    EXPECT_EQ(std::count_if(quoted.begin(), quoted.end(), unfit), 0) << byte;
  }
}

}  // namespace
}  // namespace lychgate::config
