// Addresses, endpoints, networks and sockaddrs as tables: what parses, what does not, what prints.

#include "core/base/address.h"

#include <arpa/inet.h>

#include <cstring>
#include <string>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

TEST(IpAddress, ParsesAndPrintsLiterals) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;  // printed again; nullptr: not a literal
  };
  const Row rows[] = {
      {"IPv4", "192.0.2.1", "192.0.2.1"},
      {"the lowest IPv4", "0.0.0.0", "0.0.0.0"},
      {"the highest IPv4", "255.255.255.255", "255.255.255.255"},
      {"IPv6", "2001:db8::1", "2001:db8::1"},
      {"IPv6 in capitals and with zeros prints canonically", "2001:0DB8:0:0::1", "2001:db8::1"},
      {"the unspecified IPv6", "::", "::"},
      {"v4-mapped IPv6 is the IPv4 address", "::ffff:192.0.2.1", "192.0.2.1"},
      {"v4-mapped in hexadecimal too", "::ffff:c000:201", "192.0.2.1"},
      {"the longest literal", "1111:2222:3333:4444:5555:6666:7777:8888",
       "1111:2222:3333:4444:5555:6666:7777:8888"},
      {"nothing", "", nullptr},
      {"a name", "localhost", nullptr},
      {"three octets", "192.0.2", nullptr},
      {"an octet too large", "192.0.2.256", nullptr},
      {"a space", " 192.0.2.1", nullptr},
      {"brackets", "[::1]", nullptr},
      {"a zone", "fe80::1%lo", nullptr},
      {"a prefix", "192.0.2.0/24", nullptr},
      {"two ellipses", "1::2::3", nullptr},
      {"longer than any literal", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa", nullptr},
  };
  for (const Row& row : rows) {
    const auto got = IpAddress::parse(row.text);
    ASSERT_EQ(got.has_value(), row.want != nullptr) << row.what;
    if (!got) continue;
    EXPECT_EQ(got->text(), row.want) << row.what;
  }
}

TEST(IpAddress, KnowsItsFamilyAndNumbers) {
  const IpAddress v4 = IpAddress::from_v4(0xc0000201);
  EXPECT_TRUE(v4.is_v4());
  EXPECT_EQ(v4.v4(), 0xc0000201U);
  EXPECT_EQ(v4, IpAddress::parse("::ffff:192.0.2.1").value());
  const IpAddress v6 = IpAddress::parse("2001:db8:1:2:3:4:5:6").value();
  EXPECT_FALSE(v6.is_v4());
  EXPECT_EQ(v6.high(), 0x20010db800010002U);
  EXPECT_EQ(v6.low(), 0x0003000400050006U);
  EXPECT_TRUE(IpAddress{}.is_unspecified());
  EXPECT_TRUE(IpAddress::from_v4(0).is_unspecified());
  EXPECT_FALSE(v4.is_unspecified());
  EXPECT_FALSE(IpAddress::parse("::1")->is_v4()) << "IPv4-compatible is not v4-mapped";
}

TEST(Endpoint, ParsesAndPrints) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;  // as logged; nullptr: not an endpoint
  };
  const Row rows[] = {
      {"IPv4", "192.0.2.1:25", "[192.0.2.1]:25"},
      {"IPv6", "[2001:db8::1]:25", "[2001:db8::1]:25"},
      {"port 0 lets the kernel choose", "127.0.0.1:0", "[127.0.0.1]:0"},
      {"the highest port", "127.0.0.1:65535", "[127.0.0.1]:65535"},
      {"a port too high", "127.0.0.1:65536", nullptr},
      {"a port that overflows", "127.0.0.1:99999999999", nullptr},
      {"a negative port", "127.0.0.1:-1", nullptr},
      {"a port with a sign", "127.0.0.1:+25", nullptr},
      {"no port", "127.0.0.1", nullptr},
      {"an empty port", "127.0.0.1:", nullptr},
      {"text after the port", "127.0.0.1:25x", nullptr},
      {"IPv6 without brackets", "2001:db8::1:25", nullptr},
      {"an open bracket", "[::1:25", nullptr},
      {"no host", ":25", nullptr},
      {"a name", "localhost:25", nullptr},
  };
  for (const Row& row : rows) {
    const auto got = Endpoint::parse(row.text);
    ASSERT_EQ(got.has_value(), row.want != nullptr) << row.what;
    if (!got) continue;
    EXPECT_EQ(got->bracketed(), row.want) << row.what;
  }
}

TEST(Endpoint, SurvivesTheSockaddr) {
  for (const char* text : {"192.0.2.1:25", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:1"}) {
    const Endpoint want = Endpoint::parse(text).value();
    const SocketAddress address = SocketAddress::from(want);
    EXPECT_EQ(Endpoint::from_sockaddr(&address.any), want) << text;
    EXPECT_EQ(address.length, want.address.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  }
  const auto path = SocketAddress::unix_path("/run/x");
  EXPECT_EQ(Endpoint::from_sockaddr(&path->any), Endpoint{}) << "another family is nobody";
}

TEST(SocketAddress, BoundsThePath) {
  const size_t room = sizeof(sockaddr_un{}.sun_path);
  EXPECT_FALSE(SocketAddress::unix_path(""));
  EXPECT_FALSE(SocketAddress::unix_path(std::string(room, 'x'))) << "no room for the NUL";
  const auto longest = SocketAddress::unix_path(std::string(room - 1, 'x'));
  ASSERT_TRUE(longest);
  EXPECT_EQ(longest->family(), AF_UNIX);
  EXPECT_EQ(longest->length, sizeof(sockaddr_un));
  EXPECT_EQ(std::strlen(longest->path.sun_path), room - 1);
}

TEST(SocketAddress, EqualsOneThatLeadsToTheSamePlace) {
  const auto path = [](const char* text) { return SocketAddress::unix_path(text).value(); };
  const auto internet = [](const char* text) {
    return SocketAddress::from(Endpoint::parse(text).value());
  };
  EXPECT_TRUE(path("/run/x") == path("/run/x"));
  EXPECT_FALSE(path("/run/x") == path("/run/y"));
  EXPECT_FALSE(path("/run/x") == path("/run/xy"));
  EXPECT_TRUE(internet("[::1]:25") == internet("[::1]:25"));
  EXPECT_FALSE(internet("192.0.2.1:25") == internet("192.0.2.1:26"));
  EXPECT_FALSE(internet("192.0.2.1:25") == internet("192.0.2.2:25"));
  EXPECT_FALSE(internet("[::1]:25") == path("/run/x"));
}

TEST(Network, ParsesAndPrints) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;  // nullptr: not a network
  };
  const Row rows[] = {
      {"IPv4", "192.0.2.0/24", "192.0.2.0/24"},
      {"a bare IPv4 address", "192.0.2.1", "192.0.2.1/32"},
      {"a bare IPv6 address", "2001:db8::1", "2001:db8::1/128"},
      {"everything of IPv4", "0.0.0.0/0", "0.0.0.0/0"},
      {"everything of IPv6", "::/0", "::/0"},
      {"a prefix inside a byte", "192.0.2.128/25", "192.0.2.128/25"},
      {"IPv4 host bits", "192.0.2.1/24", nullptr},
      {"IPv6 host bits", "2001:db8::1/32", nullptr},
      {"an IPv4 prefix too long", "192.0.2.0/33", nullptr},
      {"an IPv6 prefix too long", "2001:db8::/129", nullptr},
      {"an empty prefix", "192.0.2.0/", nullptr},
      {"a netmask", "192.0.2.0/255.255.255.0", nullptr},
      {"no address", "/24", nullptr},
  };
  for (const Row& row : rows) {
    const auto got = Network::parse(row.text);
    ASSERT_EQ(got.has_value(), row.want != nullptr) << row.what;
    if (!got) continue;
    EXPECT_EQ(got->text(), row.want) << row.what;
  }
}

TEST(Network, ContainsItsAddresses) {
  struct Row {
    const char* network;
    const char* address;
    bool want;
  };
  const Row rows[] = {
      {"192.0.2.0/24", "192.0.2.0", true},        {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},       {"192.0.2.0/24", "192.0.1.255", false},
      {"192.0.2.64/26", "192.0.2.127", true},     {"192.0.2.64/26", "192.0.2.128", false},
      {"192.0.2.1", "192.0.2.1", true},           {"192.0.2.1", "192.0.2.0", false},
      {"0.0.0.0/0", "255.255.255.255", true},     {"0.0.0.0/0", "2001:db8::1", false},
      {"2001:db8::/33", "2001:db8:7fff::", true}, {"2001:db8::/33", "2001:db8:8000::", false},
      {"2001:db8::1", "2001:db8::1", true},       {"::/0", "2001:db8::1", true},
      {"192.0.2.0/24", "::ffff:192.0.2.9", true},
  };
  for (const Row& row : rows) {
    const Network network = Network::parse(row.network).value();
    EXPECT_EQ(network.contains(IpAddress::parse(row.address).value()), row.want)
        << row.network << " and " << row.address;
  }
}

}  // namespace
}  // namespace lychgate
