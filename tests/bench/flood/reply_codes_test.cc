// Which replies a client that never listened finds in what lies about.

#include "bench/flood/reply_codes.h"

#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

TEST(EachCode, FindsTheCompleteRepliesInWhatLiesAbout) {
  struct Row {
    const char* what;
    const char* bytes;
    std::vector<int> want;
  };
  const Row rows[] = {
      {"a greeting", "220 mx\r\n", {220}},
      {"a teaser is not a reply", "220-mx\r\n", {}},
      {"a greeting and a farewell", "220-mx\r\n220 mx\r\n421 timeout\r\n", {220, 421}},
      {"half a line at the end", "220 mx\r\n421 time", {220}},
      {"half a line at the begin", "out\r\n421 timeout\r\n", {421}},
      {"no SMTP at all", "HTTP/1.1 400 Bad\r\n\r\n", {}},
      {"nothing", "", {}},
  };
  for (const Row& row : rows) {
    std::vector<int> got;
    each_code(row.bytes, [&](int code) { got.push_back(code); });
    EXPECT_EQ(got, row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::flood
