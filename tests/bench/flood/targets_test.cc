// What is a target, and which targets are ours.

#include "bench/flood/targets.h"

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

TEST(Target, IsAnAddressOrNetworkWithAPort) {
  struct Row {
    const char* text;
    const char* want_network;  // null: refused
    uint16_t want_port;
  };
  const Row rows[] = {
      {"127.0.0.1:2525", "127.0.0.1/32", 2525},
      {"localhost:25", "127.0.0.1/32", 25},
      {"127.1.0.0/22:2525", "127.1.0.0/22", 2525},
      {"[::1]:2525", "::1/128", 2525},
      {"[2001:db8::/120]:25", "2001:db8::/120", 25},
      {"[127.0.0.1]:25", "127.0.0.1/32", 25},
      {"[::ffff:127.0.0.1]:25", "127.0.0.1/32", 25},
      {"127.0.0.1:65535", "127.0.0.1/32", 65535},
      {"127.0.0.1", nullptr, 0},
      {"127.0.0.1:", nullptr, 0},
      {"127.0.0.1:0", nullptr, 0},
      {"127.0.0.1:65536", nullptr, 0},
      {"127.0.0.1:25x", nullptr, 0},
      {"127.0.0.1: 25", nullptr, 0},
      {"::1:25", nullptr, 0},
      {"127.0.0.1/33:25", nullptr, 0},
      {"127.0.0.1/8:25", nullptr, 0},
      {"mail.example.org:25", nullptr, 0},
      {"0.0.0.0:25", nullptr, 0},
      {"0.0.0.0/0:25", nullptr, 0},
      {"[::]:25", nullptr, 0},
      {":25", nullptr, 0},
      {"", nullptr, 0},
  };
  for (const Row& row : rows) {
    const auto got = parse_target(row.text);
    ASSERT_EQ(got.has_value(), row.want_network != nullptr) << row.text;
    if (!got) {
      EXPECT_NE(got.error().find("expected ADDRESS:PORT"), std::string::npos) << got.error();
      continue;
    }
    EXPECT_EQ(got->network.text(), row.want_network) << row.text;
    EXPECT_EQ(got->port, row.want_port) << row.text;
    EXPECT_EQ(got->text, row.text);
  }
}

TEST(Target, SaysWhatIsWrong) {
  const auto names = [](const char* text, const char* words) {
    return parse_target(text).error().find(words) != std::string::npos;
  };
  EXPECT_TRUE(names("127.0.0.1", "no port"));
  EXPECT_TRUE(names("::1:25", "needs brackets"));
  EXPECT_TRUE(names("127.0.0.1/8:25", "bits to its right are not zero"));
  EXPECT_TRUE(names("mail.example.org:25", "names are not resolved"));
}

TEST(Source, IsANetworkOrAnAddress) {
  EXPECT_EQ(parse_source("127.64.0.0/10")->text(), "127.64.0.0/10");
  EXPECT_EQ(parse_source("127.0.0.9")->text(), "127.0.0.9/32");
  EXPECT_EQ(parse_source("[::1]")->text(), "::1/128");
  EXPECT_FALSE(parse_source("127.64.0.0/9"));
  EXPECT_FALSE(parse_source("0.0.0.0"));
  EXPECT_FALSE(parse_source("eth0"));
}

TEST(Network, CountsItsAddresses) {
  EXPECT_EQ(address_count(*Network::parse("127.0.0.1")), 1U);
  EXPECT_EQ(address_count(*Network::parse("127.1.0.0/22")), 1024U);
  EXPECT_EQ(address_count(*Network::parse("0.0.0.0/0")), uint64_t{1} << 32);
  EXPECT_EQ(address_count(*Network::parse("2001:db8::/65")), uint64_t{1} << 63);
  EXPECT_EQ(address_count(*Network::parse("2001:db8::/64")), UINT64_MAX);
}

OwnAddresses some_machine() {
  return OwnAddresses({*IpAddress::parse("127.0.0.1"), *IpAddress::parse("::1"),
                       *IpAddress::parse("192.0.2.2"), *IpAddress::parse("192.0.2.3"),
                       *IpAddress::parse("192.0.2.3"),  // on two interfaces
                       *IpAddress::parse("2001:db8::5")});
}

TEST(OwnAddresses, CoverWhatIsOursWhole) {
  struct Row {
    const char* what;
    const char* network;
    bool want;
  };
  const Row rows[] = {
      {"loopback", "127.0.0.1", true},
      {"loopback that no interface names", "127.99.3.7", true},
      {"a loopback network", "127.1.0.0/22", true},
      {"all of it", "127.0.0.0/8", true},
      {"more than it", "126.0.0.0/7", false},
      {"IPv6 loopback", "::1", true},
      {"more than that", "::/127", false},
      {"an interface's address", "192.0.2.2", true},
      {"its neighbour", "192.0.2.1", false},
      {"two addresses, both ours", "192.0.2.2/31", true},
      {"four, two of them ours", "192.0.2.0/30", false},
      {"IPv6, ours", "2001:db8::5", true},
      {"IPv6, the neighbour", "2001:db8::6", false},
      {"everybody", "0.0.0.0/0", false},
      {"everybody's IPv6", "2000::/3", false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(some_machine().cover(*Network::parse(row.network)), row.want) << row.what;
  }
}

TEST(OwnAddresses, OfThisMachineHaveLoopback) {
  const auto own = OwnAddresses::of_this_machine();
  ASSERT_TRUE(own);
  EXPECT_TRUE(own->cover(*Network::parse("127.0.0.1")));
  // TEST-NET-1 (RFC 5737) belongs to nobody.
  EXPECT_FALSE(own->cover(*Network::parse("192.0.2.77")));
}

struct TargetRow {
  const char* what;
  std::vector<const char*> targets;
  std::vector<std::string> owned;
  ExitCode want;
};

TEST(Targets, OfOthersNeedTheOperatorsWord) {
  const TargetRow rows[] = {
      {"our own", {"127.0.0.1:25", "192.0.2.2:25"}, {}, ExitCode::kOk},
      {"another's", {"192.0.2.1:25"}, {}, ExitCode::kNoPermission},
      {"another's among ours", {"127.0.0.1:25", "192.0.2.1:25"}, {}, ExitCode::kNoPermission},
      {"another's, answered for", {"192.0.2.1:25"}, {"192.0.2.1:25"}, ExitCode::kOk},
      {"the same text is asked for", {"192.0.2.1:25"}, {"192.0.2.1:0025"}, ExitCode::kUsage},
      {"a network is no word for its parts",
       {"192.0.2.1:25"},
       {"192.0.2.0/24:25"},
       ExitCode::kUsage},
      {"one word is not for two",
       {"192.0.2.1:25", "192.0.2.9:25"},
       {"192.0.2.1:25"},
       ExitCode::kNoPermission},
      {"a word for one of ours is not needed, and no harm",
       {"127.0.0.1:25"},
       {"127.0.0.1:25"},
       ExitCode::kOk},
      {"a network that is partly another's", {"192.0.2.0/30:25"}, {}, ExitCode::kNoPermission},
  };
  for (const TargetRow& row : rows) {
    std::vector<Target> targets;
    for (const char* text : row.targets) targets.push_back(*parse_target(text));
    const auto got = check_targets(targets, row.owned, some_machine());
    EXPECT_EQ(got ? ExitCode::kOk : got.error().code, row.want) << row.what;
  }
}

TEST(Targets, AreRefusedWithReasonAndRemedy) {
  const std::vector<Target> targets = {*parse_target("192.0.2.1:25")};
  const std::string text = check_targets(targets, {}, some_machine()).error().text;
  for (const char* words :
       {"refused", "192.0.2.1:25", "neither loopback nor an address of this machine",
        "--i-own 192.0.2.1:25"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << " in " << text;
  }
}

TEST(Sources, MustBeOursAndReachTheTarget) {
  struct Row {
    const char* what;
    const char* source;
    const char* target;
    bool want;
  };
  const Row rows[] = {
      {"loopback to loopback", "127.64.0.0/10", "127.0.0.1:25", true},
      {"our address to another's", "192.0.2.2", "192.0.2.1:25", true},
      {"an address that is not ours", "192.0.2.9", "127.0.0.1:25", false},
      {"a network that is partly ours", "192.0.2.0/30", "127.0.0.1:25", false},
      {"loopback to our own address", "127.64.0.0/10", "192.0.2.2:25", true},
      {"loopback to another machine", "127.64.0.0/10", "192.0.2.1:25", false},
      {"IPv4 to IPv6", "127.64.0.0/10", "[::1]:25", false},
      {"IPv6 to IPv6", "::1", "[::1]:25", true},
  };
  for (const Row& row : rows) {
    const std::vector<Network> sources = {*Network::parse(row.source)};
    const std::vector<Target> targets = {*parse_target(row.target)};
    const auto got = check_sources(sources, targets, some_machine());
    EXPECT_EQ(got.has_value(), row.want) << row.what;
    if (got) continue;
    EXPECT_EQ(got.error().code, ExitCode::kUsage) << row.what;
    EXPECT_NE(got.error().text.find("none"), std::string::npos) << row.what << " has a remedy";
  }
}

}  // namespace
}  // namespace lychgate::flood
