// A reply gathered whole, in halves and byte by byte: always the same is found.

#include "handoff/backend_reply.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate::handoff {
namespace {

using State = BackendReply::State;

struct Row {
  const char* what;
  std::string bytes;
  State want;
  uint16_t code = 0;
  std::string announced = {};
  bool kept = true;
};

std::string many(int lines) {
  std::string text;
  for (int i = 0; i < lines; ++i) text += "250-" + std::string(60, 'x') + "\r\n";
  return text;
}

const Row kRows[] = {
    {"one line", "220 mx ESMTP\r\n", State::kWhole, 220},
    {"an EHLO reply", "250-mx\r\n250-DSN\r\n250 SIZE 5\r\n", State::kWhole, 250, "DSN\nSIZE 5\n"},
    {"a code alone", "250\r\n", State::kWhole, 250},
    {"nothing", "", State::kComing},
    {"half a line", "220 m", State::kComing},
    {"half a reply", "250-mx\r\n", State::kComing},
    {"garbage", "hello\r\n", State::kBad},
    {"bytes behind it", "220 mx\r\n2", State::kBad},
    {"another code", "250-mx\r\n220 mx\r\n", State::kBad},
    {"a line too long", "220 " + std::string(600, 'x') + "\r\n", State::kBad},
    {"too many lines", many(200) + "250 x\r\n", State::kBad},
    {"too long to be sent on", many(100) + "250 x\r\n", State::kWhole, 250, "", false},
};

TEST(BackendReply, IsGatheredFromAnyPieces) {
  BackendReply reply;
  for (const Row& row : kRows) {
    for (const size_t piece : {row.bytes.size() + 1, size_t{7}, size_t{1}}) {
      reply.expect();
      State state = State::kComing;
      std::string_view rest = row.bytes;
      while (!rest.empty() && state == State::kComing) {
        state = reply.read(rest.substr(0, piece));
        rest.remove_prefix(std::min(piece, rest.size()));
      }
      // Byte by byte, what is behind the reply would only be seen with the next one.
      const bool behind = row.want == State::kBad && state == State::kWhole && !rest.empty();
      EXPECT_TRUE(state == row.want || behind) << row.what << " by " << piece;
      if (row.want != State::kWhole) continue;
      EXPECT_EQ(reply.code(), row.code) << row.what;
      if (!row.announced.empty()) {
        EXPECT_EQ(reply.announced(), row.announced) << row.what;
      }
      const std::string kept(reply.bytes().data(), reply.bytes().size());
      EXPECT_EQ(kept, row.kept ? row.bytes : "") << row.what;
    }
  }
}

}  // namespace
}  // namespace lychgate::handoff
