// Mix files: what a good one means, and that a bad one is told whole, with places.

#include "bench/flood/mix_file.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

const Manners kUnsaid = {.profile = Profile::kZombie,
                         .weight = 1,
                         .hold = milliseconds(7000),
                         .timeout = milliseconds(8000),
                         .message_bytes = 999};

auto parse(const std::string& text) {
  return parse_mix({"mix.toml", text}, kUnsaid);
}

TEST(Mix, HasATableForEachProfile) {
  const auto mix = parse(
      "[legit]\nweight = 1\nsize = \"20k\"\ntimeout = \"1m\"\n"
      "[zombie]\nweight = 8\nhold = \"60s\"\n");
  ASSERT_TRUE(mix);
  ASSERT_EQ(mix->size(), 2U);
  const Manners& zombie = (*mix)[0];  // the order of the profiles, not of the file
  EXPECT_EQ(zombie.profile, Profile::kZombie);
  EXPECT_EQ(zombie.weight, 8U);
  EXPECT_EQ(zombie.hold, milliseconds(60'000));
  EXPECT_EQ(zombie.timeout, kUnsaid.timeout) << "as the command line says";
  EXPECT_EQ(zombie.message_bytes, kUnsaid.message_bytes);
  const Manners& legit = (*mix)[1];
  EXPECT_EQ(legit.profile, Profile::kLegit);
  EXPECT_EQ(legit.weight, 1U);
  EXPECT_EQ(legit.message_bytes, 20'480U);
  EXPECT_EQ(legit.timeout, milliseconds(60'000));
  EXPECT_EQ(legit.hold, kUnsaid.hold);
}

TEST(Mix, TakesEveryFormOfTable) {
  const auto mix = parse("never-reads.weight = 2\ndrip = { weight = 3, size = 4096 }\n");
  ASSERT_TRUE(mix);
  EXPECT_EQ((*mix)[0].profile, Profile::kDrip);
  EXPECT_EQ((*mix)[0].message_bytes, 4096U);
  EXPECT_EQ((*mix)[1].profile, Profile::kNeverReads);
  EXPECT_EQ((*mix)[1].weight, 2U);
}

struct Row {
  const char* what;
  const char* text;
  std::vector<const char*> want;  // the beginning of each line, in order
};

TEST(Mix, IsToldWhatIsWrongAndWhere) {
  const Row rows[] = {
      {"nothing", "", {"mix.toml:1:1: no profile in it, expected a table such as [zombie]"}},
      {"no TOML", "[zombie\nweight = 1\n", {"mix.toml:1:8: not valid TOML"}},
      {"an unknown profile",
       "[zombi]\nweight = 1\n",
       {"mix.toml:1:2: unknown profile \"zombi\", the nearest known one is zombie"}},
      {"an unknown key",
       "[zombie]\nweight = 1\nholds = \"3s\"\n",
       {"mix.toml:3:1: unknown key \"holds\", the nearest known one is hold"}},
      {"no weight", "[zombie]\nhold = \"3s\"\n", {"mix.toml:1:2: [zombie] has no weight"}},
      {"weight zero",
       "[zombie]\nweight = 0\n",
       {"mix.toml:2:10: weight is the integer 0, expected an integer from 1"}},
      {"a weight below zero", "[zombie]\nweight = -1\n", {"mix.toml:2:10: weight is"}},
      {"a weight beyond its bound", "[zombie]\nweight = 1000001\n", {"mix.toml:2:10: weight is"}},
      {"a fractional weight",
       "[zombie]\nweight = 0.5\n",
       {"mix.toml:2:10: weight is a floating-point number, expected an integer"}},
      {"a quoted weight", "[zombie]\nweight = \"1\"\n", {"mix.toml:2:10: weight is the string"}},
      {"a bare time",
       "[zombie]\nweight = 1\nhold = 3\n",
       {"mix.toml:3:8: hold is the integer 3, expected a time in quotes such as \"30s\""}},
      {"no time", "[early]\nweight = 1\ntimeout = \"x\"\n", {"mix.toml:3:11: timeout is"}},
      {"no size", "[bot]\nweight = 1\nsize = \"1G\"\n", {"mix.toml:3:8: size is"}},
      {"size zero", "[bot]\nweight = 1\nsize = 0\n", {"mix.toml:3:8: size is"}},
      {"a size of another type", "[bot]\nweight = 1\nsize = true\n", {"mix.toml:3:8: size is"}},
      {"no table", "zombie = 3\n", {"mix.toml:1:10: zombie is the integer 3, expected a table"}},
      {"a list of tables", "[[zombie]]\nweight = 1\n", {"mix.toml:1:1: zombie is a list"}},
      {"a profile twice", "[bot]\nweight = 1\n[bot]\nweight = 2\n", {"mix.toml:3:"}},
      {"everything at once, in reading order",
       "[legit]\nweight = 0\n[ghost]\n[zombie]\nhold = \"0s\"\n",
       {"mix.toml:2:10: weight", "mix.toml:3:2: unknown profile", "mix.toml:4:2: [zombie] has no",
        "mix.toml:5:8: hold"}},
  };
  for (const Row& row : rows) {
    const auto mix = parse(row.text);
    ASSERT_FALSE(mix) << row.what;
    ASSERT_EQ(mix.error().size(), row.want.size()) << row.what;
    for (size_t i = 0; i < row.want.size(); ++i) {
      EXPECT_TRUE(mix.error()[i].line().starts_with(row.want[i]))
          << row.what << ": " << mix.error()[i].line();
    }
  }
}

}  // namespace
}  // namespace lychgate::flood
