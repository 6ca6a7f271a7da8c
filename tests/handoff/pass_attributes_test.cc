// The bytes that smtpd reads behind a passed descriptor, exact to the last NUL.

#include "handoff/pass_attributes.h"

#include <array>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace lychgate::handoff {
namespace {

using namespace std::string_view_literals;

struct Row {
  const char* what;
  const char* client;
  const char* server;
  std::string_view want;
  size_t want_list_bytes;  // without the byte that carries the descriptor
};

const Row kRows[] = {
    {"as postscreen 3.7 sends it: 87 bytes were seen behind the byte of the descriptor",
     "127.0.0.9:37933", "127.0.0.1:12525",
     "\0client_address\000127.0.0.9\0client_port\00037933\0"
     "server_address\000127.0.0.1\0server_port\00012525\0\0"sv,
     87},
    {"the shortest", "1.2.3.4:1", "1.2.3.5:2",
     "\0client_address\0001.2.3.4\0client_port\0001\0"
     "server_address\0001.2.3.5\0server_port\0002\0\0"sv,
     75},
    {"v4-mapped addresses are written as IPv4: smtpd would log and look up the mapped form",
     "[::ffff:203.0.113.7]:4711", "[::ffff:192.0.2.1]:25",
     "\0client_address\000203.0.113.7\0client_port\0004711\0"
     "server_address\000192.0.2.1\0server_port\00025\0\0"sv,
     85},
    {"IPv6 without brackets, shortened", "[2001:db8:0:0:0:0:0:9]:4711", "[2001:db8::1]:25",
     "\0client_address\0002001:db8::9\0client_port\0004711\0"
     "server_address\0002001:db8::1\0server_port\00025\0\0"sv,
     87},
    {"the longest literal there is", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535",
     "[2001:db8:7777:8888:9999:aaaa:bbbb:cccc]:65535",
     "\0client_address\0002001:db8:1111:2222:3333:4444:5555:6666\0client_port\00065535\0"
     "server_address\0002001:db8:7777:8888:9999:aaaa:bbbb:cccc\0server_port\00065535\0\0"sv,
     145},
    {"mixed families are no problem: each attribute stands for itself", "[2001:db8::9]:4711",
     "192.0.2.1:25",
     "\0client_address\0002001:db8::9\0client_port\0004711\0"
     "server_address\000192.0.2.1\0server_port\00025\0\0"sv,
     85},
};

TEST(PassAttributes, AreExact) {
  for (const Row& row : kRows) {
    const SessionEnds ends{*Endpoint::parse(row.client), *Endpoint::parse(row.server)};
    std::array<char, kPassBytesMax> bytes;
    const size_t size = write_pass_attributes(ends, bytes);
    EXPECT_EQ(std::string(bytes.data(), size), row.want) << row.what;
    EXPECT_EQ(size - 1, row.want_list_bytes) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::handoff
