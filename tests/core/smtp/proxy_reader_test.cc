// PROXY headers, versions 1 and 2: what is read, what is refused, and that splits do not matter.

#include "core/smtp/proxy_reader.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace lychgate::smtp {
namespace {

using namespace std::string_view_literals;

// "[203.0.113.5]:1044 to [192.0.2.1]:25, 48", "no address, 15", or the name of the outcome.
std::string said(const ReadProxy& read) {
  switch (read.outcome) {
    case ProxyOutcome::kNeedMore:
      return "more";
    case ProxyOutcome::kMalformed:
      return "malformed";
    case ProxyOutcome::kChecksum:
      return "checksum";
    case ProxyOutcome::kTooLong:
      return "too long";
    case ProxyOutcome::kComplete:
      break;
  }
  EXPECT_EQ(read.client.has_value(), read.server.has_value());
  const std::string size = ", " + std::to_string(read.size);
  if (!read.client) return "no address" + size;
  return read.client->bracketed() + " to " + read.server->bracketed() + size;
}

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

// Version 2 with what is behind its length.
std::string v2(int command, int family, std::string_view block) {
  const auto size = static_cast<int>(block.size());
  return std::string("\r\n\r\n\0\r\nQUIT\n"sv) + bytes({command, family, size >> 8, size & 255}) +
         std::string(block);
}

const std::string kEnds4 = bytes({203, 0, 113, 5, 192, 0, 2, 1, 4, 20, 0, 25});
const std::string kSource6 = bytes({32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5});
const std::string kMapped = bytes({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113, 5});
const std::string kPorts = bytes({4, 20, 0, 25});

struct Row {
  const char* what;
  std::string header;
  std::string_view want;
};

TEST(ProxyReader, ReadsVersion1) {
  const Row rows[] = {
      {"TCP over IPv4", "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25\r\n",
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 42"},
      {"TCP over IPv6", "PROXY TCP6 2001:db8::5 2001:db8::1 1044 25\r\n",
       "[2001:db8::5]:1044 to [2001:db8::1]:25, 44"},
      {"IPv4 in IPv6 is IPv4", "PROXY TCP6 ::ffff:203.0.113.5 ::ffff:192.0.2.1 1044 25\r\n",
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 56"},
      {"the client's own bytes are not the header's",
       "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25\r\nEHLO a\r\n",
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 42"},
      {"nobody", "PROXY UNKNOWN\r\n", "no address, 15"},
      {"nobody, with what is to be ignored", "PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n",
       "no address, 43"},
      {"the largest port", "PROXY TCP4 203.0.113.5 192.0.2.1 65535 0\r\n",
       "[203.0.113.5]:65535 to [192.0.2.1]:0, 42"},
      {"no end yet", "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25\r", "more"},
      {"nothing yet", "", "more"},
      {"not all of the word", "PRO", "more"},
      {"a port too large", "PROXY TCP4 203.0.113.5 192.0.2.1 65536 25\r\n", "malformed"},
      {"a port with a sign", "PROXY TCP4 203.0.113.5 192.0.2.1 +1 25\r\n", "malformed"},
      {"a port with a zero before it", "PROXY TCP4 203.0.113.5 192.0.2.1 01 25\r\n", "malformed"},
      {"no port", "PROXY TCP4 203.0.113.5 192.0.2.1 1044\r\n", "malformed"},
      {"a field too many", "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25 1\r\n", "malformed"},
      {"a blank at the end", "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25 \r\n", "malformed"},
      {"two blanks", "PROXY TCP4  203.0.113.5 192.0.2.1 1044 25\r\n", "malformed"},
      {"IPv6 as IPv4", "PROXY TCP4 2001:db8::5 2001:db8::1 1044 25\r\n", "malformed"},
      {"IPv4 as IPv6", "PROXY TCP6 203.0.113.5 192.0.2.1 1044 25\r\n", "malformed"},
      {"half an address", "PROXY TCP4 203.0.113 192.0.2.1 1044 25\r\n", "malformed"},
      {"no client", "PROXY TCP4 0.0.0.0 192.0.2.1 1044 25\r\n", "malformed"},
      {"UDP", "PROXY UDP4 203.0.113.5 192.0.2.1 1044 25\r\n", "malformed"},
      {"what begins like nobody", "PROXY UNKNOWNS\r\n", "malformed"},
      {"small letters", "proxy TCP4 203.0.113.5 192.0.2.1 1044 25\r\n", "malformed"},
      {"LF alone", "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25\n", "malformed"},
      {"no header", "EHLO client.example\r\n", "malformed"},
      {"the word and an end", "PROXY \r\n", "malformed"},
      {"a NUL", std::string("PROXY TCP4 203.0.113.5\0 192.0.2.1 1044 25\r\n", 43), "malformed"},
      {"as long as may be", "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n", "no address, 107"},
      {"longer", "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n", "too long"},
  };
  for (const Row& row : rows) EXPECT_EQ(said(read_proxy_header(row.header)), row.want) << row.what;
}

TEST(ProxyReader, ReadsVersion2) {
  const Row rows[] = {
      {"TCP over IPv4", v2(0x21, 0x11, kEnds4), "[203.0.113.5]:1044 to [192.0.2.1]:25, 28"},
      {"TCP over IPv6", v2(0x21, 0x21, kSource6 + kSource6 + kPorts),
       "[2001:db8::5]:1044 to [2001:db8::5]:25, 52"},
      {"IPv4 in IPv6 is IPv4", v2(0x21, 0x21, kMapped + kMapped + kPorts),
       "[203.0.113.5]:1044 to [203.0.113.5]:25, 52"},
      {"the client's own bytes are not the header's", v2(0x21, 0x11, kEnds4) + "EHLO a\r\n",
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 28"},
      {"a health check", v2(0x20, 0x00, ""), "no address, 16"},
      {"of whatever family", v2(0x20, 0x77, "whatever"), "no address, 24"},
      {"an unspecified client", v2(0x21, 0x00, ""), "no address, 16"},
      {"with what is to be ignored", v2(0x21, 0x00, "whatever"), "no address, 24"},
      {"no command yet", v2(0x21, 0x11, kEnds4).substr(0, 12), "more"},
      {"not all of it yet", v2(0x21, 0x11, kEnds4).substr(0, 27), "more"},
      {"version 1 in the form of 2", v2(0x11, 0x11, kEnds4), "malformed"},
      {"version 3", v2(0x31, 0x11, kEnds4), "malformed"},
      {"an unknown command", v2(0x22, 0x11, kEnds4), "malformed"},
      {"UDP", v2(0x21, 0x12, kEnds4), "malformed"},
      {"a Unix socket", v2(0x21, 0x31, std::string(216, '\0')), "malformed"},
      {"an unspecified family with a transport", v2(0x21, 0x01, ""), "malformed"},
      {"addresses that do not fit", v2(0x21, 0x11, kEnds4.substr(1)), "malformed"},
      {"no client", v2(0x21, 0x11, std::string(12, '\0')), "malformed"},
      {"a signature with a fault", "\r\n\r\n" + bytes({1}) + "\r\nQUIT\n", "malformed"},
      {"as long as may be", v2(0x20, 0x00, std::string(kProxyHeaderReadMax - 16, 'x')),
       "no address, 536"},
      {"longer", v2(0x20, 0x00, std::string(kProxyHeaderReadMax - 15, 'x')), "too long"},
      {"longer, told before it has come", v2(0x21, 0x11, std::string(5000, 'x')).substr(0, 16),
       "too long"},
  };
  for (const Row& row : rows) EXPECT_EQ(said(read_proxy_header(row.header)), row.want) << row.what;
}

TEST(ProxyReader, ChecksTlvs) {
  const std::string checksum = bytes({0xde, 0xad, 0xbe, 0xef});
  const std::string noop = bytes({4, 0, 2, 0, 0});
  const std::string authority = bytes({2, 0, 1, 'a'});
  const auto crc = [](std::string_view value) {
    return bytes({3, 0, static_cast<int>(value.size())}) + std::string(value);
  };
  const Row rows[] = {
      {"one", v2(0x21, 0x11, kEnds4 + noop), "[203.0.113.5]:1044 to [192.0.2.1]:25, 33"},
      {"two", v2(0x21, 0x11, kEnds4 + noop + authority),
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 37"},
      {"one without a value", v2(0x21, 0x11, kEnds4 + bytes({5, 0, 0})),
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 31"},
      {"half a head", v2(0x21, 0x11, kEnds4 + bytes({4, 0})), "malformed"},
      {"half a value", v2(0x21, 0x11, kEnds4 + noop.substr(0, 4)), "malformed"},
      {"a length beyond the header", v2(0x21, 0x11, kEnds4 + bytes({4, 255, 255})), "malformed"},
      // By a loop over bits that gives the check value of the CRC catalogues, 0xe3069283.
      {"a checksum", v2(0x21, 0x11, kEnds4 + crc(bytes({0x8e, 0x53, 0xb9, 0xd4}))),
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 35"},
      {"a checksum with others around it",
       v2(0x21, 0x11, kEnds4 + noop + crc(bytes({0x84, 0x3f, 0xf1, 0xe9})) + authority),
       "[203.0.113.5]:1044 to [192.0.2.1]:25, 44"},
      {"a wrong one", v2(0x21, 0x11, kEnds4 + crc(checksum)), "checksum"},
      {"one of zero", v2(0x21, 0x11, kEnds4 + crc(std::string(4, '\0'))), "checksum"},
      {"a short one", v2(0x21, 0x11, kEnds4 + crc("abc")), "malformed"},
      {"two of them", v2(0x21, 0x11, kEnds4 + crc(checksum) + crc(checksum)), "malformed"},
  };
  for (const Row& row : rows) EXPECT_EQ(said(read_proxy_header(row.header)), row.want) << row.what;
}

TEST(ProxyReader, SaysTheSameHoweverItIsSplit) {
  const std::string headers[] = {
      "PROXY TCP4 203.0.113.5 192.0.2.1 1044 25\r\nEHLO a\r\n",
      "PROXY UNKNOWN\r\nx",
      "PROXY UNKNOWN " + std::string(100, 'x') + "\r\n",
      "PROXIES",
      v2(0x21, 0x11, kEnds4 + bytes({4, 0, 0})) + "EHLO a\r\n",
      v2(0x21, 0x12, kEnds4),
      v2(0x22, 0x11, kEnds4),
      v2(0x21, 0x11, std::string(600, 'x')),
  };
  for (const std::string& header : headers) {
    const std::string want = said(read_proxy_header(header));
    std::string first;
    for (size_t size = 0; size <= header.size(); ++size) {
      // An allocation of its own, so that a sanitizer sees a byte read behind it.
      const std::vector<char> piece(header.begin(), header.begin() + static_cast<ptrdiff_t>(size));
      const std::string got = said(read_proxy_header(piece));
      if (first.empty() && got != "more") first = got;
      EXPECT_EQ(got, first.empty() ? "more" : first) << size;
    }
    EXPECT_EQ(first, want);
  }
}

}  // namespace
}  // namespace lychgate::smtp
