// The fuzz targets of SMTP fed for some seconds with generated streams, damaged ones and noise. A
// failure is a failed check or a sanitizer's report; the seed is fixed, so it comes again.

#include <cstdint>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/fuzz/streams.h"
#include "tests/fuzz/targets.h"
#include "tests/sim/random.h"

namespace lychgate::fuzz {
namespace {

using namespace std::string_view_literals;

TEST(FuzzSmoke, LinesAreReadFromAnyStream) {
  sim::Random random(20240602);
  for (int i = 0; i < kRounds; ++i) {
    fuzz_lines(stream_of(random, {"\r\n"sv, "\r\n"sv, "\n"sv, "\r"sv, "\0"sv, "\xff"sv, "EHLO a"sv,
                                  "x"sv, "."sv, "a line that is longer than most bounds are"sv}));
  }
}

TEST(FuzzSmoke, RepliesAreReadFromAnyStream) {
  sim::Random random(20240603);
  for (int i = 0; i < kRounds; ++i) {
    fuzz_replies(stream_of(random, {"250-"sv, "250-8BIT\r\n"sv, "250 ok\r\n"sv, "250\r\n"sv,
                                    "250-\n"sv, "220 mx"sv, "\r\n"sv, "\r"sv, "\0"sv, "\xc3\xa9"sv,
                                    "451 no\r\n"sv, "199 "sv, "600-"sv, "25"sv, "very long"sv}));
  }
}

TEST(FuzzSmoke, DialoguesAreHeldWithAnyStream) {
  sim::Random random(20240607);
  for (int i = 0; i < kRounds / 4; ++i) {
    fuzz_dialogue(stream_of(random, {"EHLO "sv,
                                     "HELO a\r\n"sv,
                                     "EHLO a\r\n"sv,
                                     "MAIL FROM:"sv,
                                     "<@a:b@c>\r\n"sv,
                                     "<\"a>\"@b\r\n"sv,
                                     "RCPT TO:"sv,
                                     "postmaster\r\n"sv,
                                     "VRFY "sv,
                                     "ETRN a\r\n"sv,
                                     "BDAT 5\r\n"sv,
                                     "DATA\r\n"sv,
                                     "STARTTLS\r\n"sv,
                                     "AUTH a\n"sv,
                                     "NOOP\r\n"sv,
                                     "RSET\r\n"sv,
                                     "QUIT\r\n"sv,
                                     "GET / HTTP\r\n"sv,
                                     "Subject:"sv,
                                     "\r\n"sv,
                                     "\n"sv,
                                     "\r"sv,
                                     "\0"sv,
                                     "\t"sv,
                                     "\xff"sv,
                                     " "sv,
                                     "a name that is longer than most names are said to be"sv}));
  }
}

// Headers of both versions in pieces, most of them with something changed.
TEST(FuzzSmoke, ProxyHeadersAreReadFromAnyBytes) {
  sim::Random random(20240608);
  for (int i = 0; i < kRounds; ++i) {
    std::vector<uint8_t> bytes =
        stream_of(random, {"TCP4 "sv, "TCP6 "sv, "UNKNOWN "sv, "203.0.113.5 "sv, "2001:db8::5 "sv,
                           "25"sv, " "sv, "\r\n"sv, "\n"sv, "\3\0\4abcd"sv, "\4\0\1a"sv, "\4\0\0"sv,
                           "\xcb\0\x71\5\xc0\0\2\1\4\x14\0\x19"sv});
    bytes.erase(bytes.begin(), bytes.begin() + 2);
    std::string_view begin = "PROXY "sv;
    if (random.one_in(2)) begin = "\r\n\r\n\0\r\nQUIT\n"sv;
    std::vector<uint8_t> header(begin.begin(), begin.end());
    if (begin.size() > 6) {
      const auto size =
          static_cast<uint8_t>(bytes.size() - (random.one_in(4) ? 0 : bytes.size() / 2));
      for (const int byte : {random.one_in(4) ? 0x20 : 0x21, random.one_in(3) ? 0x21 : 0x11,
                             random.one_in(9) ? 2 : 0, int{size}}) {
        header.push_back(static_cast<uint8_t>(byte));
      }
    }
    header.insert(header.end(), bytes.begin(), bytes.end());
    if (random.one_in(4)) {
      header[random.between(0, header.size() - 1)] = static_cast<uint8_t>(random.next());
    }
    fuzz_proxy(header);
  }
}

}  // namespace
}  // namespace lychgate::fuzz
