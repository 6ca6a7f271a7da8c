// The line between shards and steward: what is written on it can be read, and nothing else can.

#include "core/daemon/steward_line.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

Visit example(const char* address) {
  ClientRecord record;
  record.passed_until = {1, 2, 3, 4, kForever};
  record.first_seen = 5;
  record.last_seen = 6;
  record.passes = 7;
  record.failures = 8;
  record.failed_until = 9;
  record.score = -12;
  record.failed = 3;
  return {ClientKey::of(IpAddress::parse(address).value(), {}), record};
}

TEST(StewardLine, AVisitArrivesAsItWas) {
  for (const char* address : {"192.0.2.7", "2001:db8::1"}) {
    const Visit visit = example(address);
    std::array<uint8_t, kVisitBytes> bytes;
    bytes.fill(0xaa);
    encode_visit(visit, bytes);
    const auto back = decode_visit(bytes);
    ASSERT_TRUE(back.has_value()) << address;
    EXPECT_EQ(back->key, visit.key) << address;
    EXPECT_EQ(back->record, visit.record) << address;
  }
}

TEST(StewardLine, WhatIsNoVisitIsNotRead) {
  std::array<uint8_t, kVisitBytes> good;
  encode_visit(example("192.0.2.7"), good);
  struct Row {
    const char* what;
    size_t at;
    uint8_t byte;
  };
  const Row rows[] = {
      {"a key longer than any", 0, ClientKey::kBytesMax + 1},
      {"no key", 0, 0},
      {"a key of a family that there is not", 1, '5'},
      {"a key with another family's size", 0, ClientKey::kBytesMax},
      {"a record of another version", 1 + ClientKey::kBytesMax, ClientRecord::kVersion + 1},
  };
  for (const Row& row : rows) {
    auto bytes = good;
    bytes[row.at] = row.byte;
    EXPECT_FALSE(decode_visit(bytes).has_value()) << row.what;
  }
}

TEST(StewardLine, KeepsMessagesApartAndRefusesWhatFindsNoRoom) {
  const auto lines = make_steward_lines(2);
  ASSERT_TRUE(lines.has_value());
  ASSERT_EQ(lines->size(), 2U);
  const StewardLine& line = lines->front();
  std::array<uint8_t, kLineMessageMax> message{};
  ASSERT_EQ(send(line.shard_end, message.data(), message.size(), MSG_DONTWAIT),
            static_cast<ssize_t>(message.size()));
  ASSERT_EQ(send(line.shard_end, message.data(), 5, MSG_DONTWAIT), 5);
  EXPECT_EQ(recv(line.steward_end, message.data(), message.size(), 0),
            static_cast<ssize_t>(message.size()));
  EXPECT_EQ(recv(line.steward_end, message.data(), message.size(), 0), 5);
  EXPECT_EQ(recv(line.steward_end, message.data(), message.size(), 0), -1) << "nothing more";
  EXPECT_EQ(recv(lines->back().steward_end, message.data(), message.size(), 0), -1)
      << "nor for the other shard";
  int sent = 0;
  while (send(line.shard_end, message.data(), message.size(), MSG_DONTWAIT) > 0) ++sent;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GE(sent, 16) << "a thousand visits while nobody reads";
  for (const StewardLine& each : *lines) {
    close(each.shard_end);
    close(each.steward_end);
  }
}

}  // namespace
}  // namespace lychgate::daemon
