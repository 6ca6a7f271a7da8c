// Keys and records as tables; the laws of merging over many random records.

#include "core/base/client_record.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

constexpr int kRounds = 20'000;

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

TEST(ClientKey, IsTheNetworkOfTheClient) {
  struct Row {
    const char* what;
    const char* address;
    PrefixLengths prefixes;
    const char* want;  // the first address of the network
    size_t want_size;
  };
  const PrefixLengths usual;
  const Row rows[] = {
      {"an IPv4 address is a client", "192.0.2.77", usual, "192.0.2.77", 5},
      {"a mapped one is the same", "::ffff:192.0.2.77", usual, "192.0.2.77", 5},
      {"an IPv6 client is its /64", "2001:db8:1:2:3:4:5:6", usual, "2001:db8:1:2::", 17},
      {"IPv4 by /24", "192.0.2.77", {.ipv4 = 24, .ipv6 = 64}, "192.0.2.0", 5},
      {"IPv4 by /8", "203.0.113.255", {.ipv4 = 8, .ipv6 = 64}, "203.0.0.0", 5},
      {"IPv4 by /31", "192.0.2.77", {.ipv4 = 31, .ipv6 = 64}, "192.0.2.76", 5},
      {"IPv6 by /128", "2001:db8::1", {.ipv4 = 32, .ipv6 = 128}, "2001:db8::1", 17},
      {"IPv6 by /16", "2001:db8::1", {.ipv4 = 32, .ipv6 = 16}, "2001::", 17},
      {"IPv6 by /60", "2001:db8:0:ff::1", {.ipv4 = 32, .ipv6 = 60}, "2001:db8:0:f0::", 17},
      {"the lowest IPv6", "::1", usual, "::", 17},
      {"the lowest IPv4", "0.0.0.0", usual, "0.0.0.0", 5},
  };
  for (const Row& row : rows) {
    const ClientKey key = ClientKey::of(ip(row.address), row.prefixes);
    EXPECT_EQ(key.address().text(), row.want) << row.what;
    EXPECT_EQ(key.encoded().size(), row.want_size) << row.what;
    const auto again = ClientKey::decode(key.encoded());
    ASSERT_TRUE(again) << row.what;
    EXPECT_EQ(*again, key) << row.what;
  }
}

TEST(ClientKey, KeepsNetworksApart) {
  const auto key = [](const char* text) { return ClientKey::of(ip(text), {}); };
  EXPECT_EQ(key("2001:db8::1"), key("2001:db8::2"));
  EXPECT_FALSE(key("2001:db8::1") == key("2001:db8:0:1::1"));
  EXPECT_FALSE(key("192.0.2.1") == key("192.0.2.2"));
  EXPECT_FALSE(key("0.0.0.0") == key("::")) << "the families never meet";
  EXPECT_LT(key("255.255.255.255").bytes, key("::").bytes) << "IPv4 sorts first";
  EXPECT_LT(key("1.2.3.4").bytes, key("1.2.4.0").bytes) << "then by address";
}

TEST(ClientKey, ANetworkIsNoClient) {
  const auto network = [](const char* text) { return ClientKey::of_network(ip(text)); };
  EXPECT_EQ(network("192.0.2.1"), network("192.0.2.255"));
  EXPECT_FALSE(network("192.0.2.1") == network("192.0.3.1"));
  EXPECT_EQ(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
  EXPECT_FALSE(network("192.0.2.0") == ClientKey::of(ip("192.0.2.0"), {}));
  EXPECT_FALSE(network("2001:db8::1") == ClientKey::of(ip("2001:db8::1"), {}));
  for (const char* text : {"192.0.2.7", "2001:db8::7"}) {
    const auto again = ClientKey::decode(network(text).encoded());
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(*again, network(text)) << text;
  }
}

TEST(ClientKey, RefusesBytesThatAreNoKey) {
  const std::string mapped = std::string("6") + std::string(10, '\0') + "\xff\xff" + "abcd";
  struct Row {
    const char* what;
    std::string bytes;
  };
  const Row rows[] = {
      {"nothing", ""},
      {"a family alone", "4"},
      {"IPv4 cut short", "4abc"},
      {"IPv4 with a byte more", "4abcde"},
      {"IPv6 cut short", "6" + std::string(15, 'x')},
      {"IPv6 with a byte more", "6" + std::string(17, 'x')},
      {"another family", "5abcd"},
      {"an IPv4 network with an address in it", "gabcd"},
      {"an IPv6 network with an address in it", "h" + std::string(16, 'x')},
      {"IPv4 bytes that say IPv6", "6abcd"},
      {"IPv6 bytes that say IPv4", "4" + std::string(16, 'x')},
      {"a mapped address as IPv6", mapped},
  };
  for (const Row& row : rows) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(row.bytes.data());
    EXPECT_FALSE(ClientKey::decode({bytes, row.bytes.size()})) << row.what;
  }
}

std::vector<uint8_t> bytes_of(const ClientRecord& record) {
  std::vector<uint8_t> out(ClientRecord::kBytes);
  record.encode(std::span<uint8_t, ClientRecord::kBytes>(out));
  return out;
}

TEST(ClientRecord, IsLittleEndianInTheOrderOfVersion1) {
  ClientRecord record;
  record.passed_until = {1, 2, 3, 4, 0x05060708};
  record.first_seen = 6;
  record.last_seen = 7;
  record.passes = 8;
  record.failures = 9;
  record.failed_until = 10;
  record.allowed_until = 11;
  record.denied_until = kForever;
  record.score = -2;
  record.failed = bit_of(ScreenTest::kNonSmtp);
  const std::vector<uint8_t> want = {
      1,  8, 0xfe, 0xff,                                                              //
      1,  0, 0,    0,    2,  0, 0, 0, 3,    0,    0,    0,   4, 0, 0, 0, 8, 7, 6, 5,  //
      6,  0, 0,    0,    7,  0, 0, 0, 8,    0,    0,    0,   9, 0, 0, 0,              //
      10, 0, 0,    0,    11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
  EXPECT_EQ(bytes_of(record), want) << "files of this version are out there: never change it";
  EXPECT_EQ(ClientRecord::decode(want), record);
}

TEST(ClientRecord, RefusesAnotherSizeOrVersion) {
  std::vector<uint8_t> bytes = bytes_of({});
  EXPECT_EQ(ClientRecord::decode(bytes), ClientRecord{});
  bytes.push_back(0);
  EXPECT_FALSE(ClientRecord::decode(bytes)) << "a byte more";
  bytes.resize(ClientRecord::kBytes - 1);
  EXPECT_FALSE(ClientRecord::decode(bytes)) << "a byte less";
  EXPECT_FALSE(ClientRecord::decode({})) << "nothing";
  for (const int version : {0, 2, 255}) {
    bytes = bytes_of({});
    bytes[0] = static_cast<uint8_t>(version);
    EXPECT_FALSE(ClientRecord::decode(bytes)) << "version " << version;
  }
}

// Small numbers, so that many are equal, and now and then the ends.
uint32_t draw_number(std::mt19937& random) {
  const auto drawn = static_cast<uint32_t>(random());
  if (drawn % 8 == 0) return 0;
  if (drawn % 8 == 1) return UINT32_MAX - drawn / 8 % 2;
  return drawn / 8 % 5;
}

ClientRecord draw_record(std::mt19937& random) {
  ClientRecord out;
  for (Seconds& until : out.passed_until) until = draw_number(random);
  for (uint32_t* number : {&out.first_seen, &out.last_seen, &out.passes, &out.failures,
                           &out.failed_until, &out.allowed_until, &out.denied_until}) {
    *number = draw_number(random);
  }
  out.score = static_cast<int16_t>(random() % 3 == 0 ? random() : random() % 3);
  out.failed = static_cast<uint8_t>(random() % 32);
  return out;
}

TEST(ClientRecord, MergesInAnyOrderAndMoreThanOnce) {
  std::mt19937 random(20240701);
  for (int i = 0; i < kRounds; ++i) {
    const ClientRecord a = draw_record(random);
    const ClientRecord b = draw_record(random);
    const ClientRecord c = draw_record(random);
    ASSERT_EQ(merge(a, b), merge(b, a)) << "commutative, round " << i;
    ASSERT_EQ(merge(merge(a, b), c), merge(a, merge(b, c))) << "associative, round " << i;
    ASSERT_EQ(merge(a, a), a) << "idempotent, round " << i;
    ASSERT_EQ(merge(merge(a, b), b), merge(a, b)) << "absorbing, round " << i;
    ASSERT_EQ(with_visit(with_visit(a, b), c), with_visit(a, with_visit(b, c)))
        << "visits may be gathered first, round " << i;
    ASSERT_EQ(ClientRecord::decode(bytes_of(a)), a) << "round " << i;
  }
}

TEST(ClientRecord, MergesFieldByField) {
  ClientRecord a;
  a.passed_until = {10, 0, 5, 0, 1};
  a.first_seen = 100;
  a.last_seen = 200;
  a.passes = 3;
  a.failures = 1;
  a.failed_until = 300;
  a.failed = bit_of(ScreenTest::kPregreet);
  a.score = 4;
  a.allowed_until = 50;
  ClientRecord b;
  b.passed_until = {9, 7, 5, 0, 2};
  b.first_seen = 0;  // not counted
  b.last_seen = 250;
  b.passes = 2;
  b.failures = 2;
  b.failed_until = 300;
  b.failed = bit_of(ScreenTest::kLists);
  b.score = -1;
  b.denied_until = 60;
  ClientRecord want;
  want.passed_until = {10, 7, 5, 0, 2};
  want.first_seen = 100;
  want.last_seen = 250;
  want.passes = 3;
  want.failures = 2;
  want.failed_until = 300;
  want.failed = bit_of(ScreenTest::kPregreet) | bit_of(ScreenTest::kLists);
  want.score = -1;
  want.allowed_until = 50;
  want.denied_until = 60;
  EXPECT_EQ(merge(a, b), want);
  want.passes = 5;
  want.failures = 3;
  EXPECT_EQ(with_visit(a, b), want) << "a visit's counts are added";
}

TEST(ClientRecord, CountsStayAtTheMaximum) {
  ClientRecord record;
  record.passes = UINT32_MAX - 1;
  record.failures = UINT32_MAX;
  ClientRecord visit;
  visit.passes = 1;
  visit.failures = 1;
  EXPECT_EQ(with_visit(record, visit).passes, UINT32_MAX);
  visit.passes = 5;
  EXPECT_EQ(with_visit(record, visit).passes, UINT32_MAX);
  EXPECT_EQ(with_visit(record, visit).failures, UINT32_MAX);
}

TEST(ClientRecord, IsUsefulUntilItsLastTime) {
  struct Row {
    const char* what;
    void (*change)(ClientRecord& record);
    Seconds want;
  };
  const Row rows[] = {
      {"nothing is known", [](ClientRecord&) {}, 0},
      {"seen", [](ClientRecord& r) { r.last_seen = 5; }, 5},
      {"the last test that expires",
       [](ClientRecord& r) {
         r.passed_until = {1, 9, 3, 4, 5};
       },
       9},
      {"a failure", [](ClientRecord& r) { r.failed_until = 7; }, 7},
      {"allowed by command", [](ClientRecord& r) { r.allowed_until = 8; }, 8},
      {"denied for ever", [](ClientRecord& r) { r.denied_until = kForever; }, kForever},
      {"when it was first seen does not count", [](ClientRecord& r) { r.first_seen = 99; }, 0},
      {"nor how often", [](ClientRecord& r) { r.passes = 99; }, 0},
  };
  for (const Row& row : rows) {
    ClientRecord record;
    row.change(record);
    EXPECT_EQ(useful_until(record), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate
