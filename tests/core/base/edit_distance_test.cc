// The distance of words.

#include "core/base/edit_distance.h"

#include <gtest/gtest.h>

namespace lychgate {
namespace {

TEST(EditDistance, CountsLetters) {
  struct Row {
    const char* what;
    const char* a;
    const char* b;
    size_t want;
  };
  const Row rows[] = {
      {"the same", "zombie", "zombie", 0},
      {"nothing and nothing", "", "", 0},
      {"nothing and a word", "", "drip", 4},
      {"a letter changed", "legit", "legis", 1},
      {"a letter left out", "hangp", "hangup", 1},
      {"a letter too many", "resset", "reset", 1},
      {"two letters exchanged", "ealry", "early", 2},
      {"nothing alike", "abc", "xyz", 3},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(edit_distance(row.a, row.b), row.want) << row.what;
    EXPECT_EQ(edit_distance(row.b, row.a), row.want) << row.what << ", the other way";
  }
}

}  // namespace
}  // namespace lychgate
