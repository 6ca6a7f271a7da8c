// PROXY headers against vectors written by hand from proxy-protocol.txt (haproxy.org), sections 2.1
// and 2.2.

#include "handoff/proxy_header.h"

#include <array>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace lychgate::handoff {
namespace {

using config::ProxyHeader;
using namespace std::string_view_literals;

struct Row {
  const char* what;
  ProxyHeader version;
  const char* client;
  const char* server;
  std::string_view want;
};

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

const Row kRows[] = {
    {"none is nothing", ProxyHeader::kNone, "192.0.2.7:4711", "198.51.100.1:25", ""sv},
    {"version 1, TCP4", ProxyHeader::kV1, "192.0.2.7:4711", "198.51.100.1:25",
     "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"sv},
    {"version 1, TCP6", ProxyHeader::kV1, "[2001:db8::7]:4711", "[2001:db8::1]:25",
     "PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n"sv},
    {"version 1, mixed: one family, so the IPv4 side is mapped", ProxyHeader::kV1,
     "[2001:db8::7]:4711", "198.51.100.1:25",
     "PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 4711 25\r\n"sv},
    {"version 1, mixed the other way", ProxyHeader::kV1, "192.0.2.7:4711", "[2001:db8::1]:25",
     "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 4711 25\r\n"sv},
    {"version 1, the longest: below the 107 bytes that receivers must take", ProxyHeader::kV1,
     "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
     "[2001:db8:7777:8888:9999:aaaa:bbbb:cccc]:65535",
     "PROXY TCP6 2001:db8:1111:2222:3333:4444:5555:6666 2001:db8:7777:8888:9999:aaaa:bbbb:cccc "
     "65535 65535\r\n"sv},
    {"version 2, TCP over IPv4: 12 bytes of addresses", ProxyHeader::kV2, "192.0.2.7:4711",
     "198.51.100.1:25",
     SIGNATURE "\x21\x11\x00\x0c"
               "\xc0\x00\x02\x07"
               "\xc6\x33\x64\x01"
               "\x12\x67"
               "\x00\x19"sv},
    {"version 2, a v4-mapped client is IPv4", ProxyHeader::kV2, "[::ffff:192.0.2.7]:4711",
     "198.51.100.1:25",
     SIGNATURE "\x21\x11\x00\x0c"
               "\xc0\x00\x02\x07"
               "\xc6\x33\x64\x01"
               "\x12\x67"
               "\x00\x19"sv},
    {"version 2, TCP over IPv6: 36 bytes of addresses", ProxyHeader::kV2, "[2001:db8::7]:4711",
     "[2001:db8::1]:25",
     SIGNATURE "\x21\x21\x00\x24"
               "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
               "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
               "\x12\x67"
               "\x00\x19"sv},
    {"version 2, mixed: IPv6 with the IPv4 side mapped", ProxyHeader::kV2, "192.0.2.7:65535",
     "[2001:db8::1]:25",
     SIGNATURE "\x21\x21\x00\x24"
               "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07"
               "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
               "\xff\xff"
               "\x00\x19"sv},
};

TEST(ProxyHeader, IsAsTheSpecificationSays) {
  for (const Row& row : kRows) {
    const SessionEnds ends{*Endpoint::parse(row.client), *Endpoint::parse(row.server)};
    std::array<char, kProxyHeaderMax> bytes;
    const size_t size = write_proxy_header(row.version, ends, bytes);
    EXPECT_EQ(std::string(bytes.data(), size), row.want) << row.what;
    EXPECT_LE(size, 107U) << row.what;
  }
}

TEST(ProxyHeader, OfAConnectionOfOurOwnSaysSo) {
  const SessionEnds ends{*Endpoint::parse("192.0.2.1:4711"), *Endpoint::parse("192.0.2.2:25")};
  std::array<char, kProxyHeaderMax> bytes;
  const auto written = [&](ProxyHeader version) {
    return std::string(bytes.data(), write_local_header(version, ends, bytes));
  };
  EXPECT_EQ(written(ProxyHeader::kNone), "");
  EXPECT_EQ(written(ProxyHeader::kV1), "PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n");
  EXPECT_EQ(written(ProxyHeader::kV2), SIGNATURE "\x20\x00\x00\x00"sv);
}

}  // namespace
}  // namespace lychgate::handoff
