// The grammar of sites and patterns, row by row: what Postfix takes and refuses (its ip_match and
// valid_hostname), and what is ours: secrets, columns, keys that are never repeated.

#include "core/config/site.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace lychgate::config {
namespace {

constexpr uint32_t kLoopback = 0x7f000000;  // 127.0.0.0

TEST(Site, ADomainMayHaveAPatternAndAWeight) {
  struct Row {
    const char* what;
    const char* text;
    const char* domain;
    std::optional<bool> matches_2;  // whether its pattern takes 127.0.0.2; nullopt: no pattern
    std::optional<int32_t> weight;
  };
  const Row rows[] = {
      {"a domain alone", "zen.spamhaus.org", "zen.spamhaus.org", {}, {}},
      {"a weight", "zen.spamhaus.org*3", "zen.spamhaus.org", {}, 3},
      {"a negative weight", "list.dnswl.org*-5", "list.dnswl.org", {}, -5},
      {"a weight with its sign, as sscanf takes it", "a.example*+3", "a.example", {}, 3},
      {"a weight of nothing", "a.example*0", "a.example", {}, 0},
      {"a pattern", "a.example=127.0.0.2", "a.example", true, {}},
      {"both", "a.example=127.0.0.[3..11]*2", "a.example", false, 2},
      {"letters of a domain have no case", "Zen.SpamHaus.ORG", "zen.spamhaus.org", {}, {}},
      {"a name of one label", "localbl", "localbl", {}, {}},
      {"an underscore, which Postfix takes too", "a_b.example", "a_b.example", {}, {}},
      {"a label of digits", "1.example", "1.example", {}, {}},
      {"hyphens inside a label", "a--b.example", "a--b.example", {}, {}},
      {"a secret keeps its case", "$Dqs.Zen.dq.spamhaus.net", "$Dqs.zen.dq.spamhaus.net", {}, {}},
      {"a secret in the middle", "a.$k.example*2", "a.$k.example", {}, 2},
      {"a long label with a hyphen is no key",
       "a-very-long-name-of-a-list.example",
       "a-very-long-name-of-a-list.example",
       {},
       {}},
      {"the greatest weight", "a.example*255", "a.example", {}, 255},
      {"the least weight", "a.example*-255", "a.example", {}, -255},
      {"leading zeros do no harm", "a.example*007", "a.example", {}, 7},
  };
  for (const Row& row : rows) {
    const auto site = parse_site(row.text);
    ASSERT_TRUE(site) << row.what << ": " << site.error().text;
    EXPECT_EQ(site->text, row.text) << row.what;
    EXPECT_EQ(site->domain, row.domain) << row.what;
    EXPECT_EQ(site->weight, row.weight) << row.what;
    ASSERT_EQ(site->pattern.has_value(), row.matches_2.has_value()) << row.what;
    if (site->pattern) {
      EXPECT_EQ(site->pattern->matches(kLoopback + 2), *row.matches_2) << row.what;
    }
  }
}

TEST(Site, AMistakeHasItsColumnAndItsRule) {
  struct Row {
    const char* what;
    std::string text;
    size_t column;
    const char* words;
  };
  const std::string label(64, 'a');
  const std::string labels = "a-b.a-b.a-b.a-b.a-b.a-b.a-b.a-b.";
  const Row rows[] = {
      {"nothing", "", 1, "no domain"},
      {"no domain before the pattern", "=127.0.0.2", 1, "no domain"},
      {"no domain before the weight", "*2", 1, "no domain"},
      {"an empty label", "a..example", 3, "empty label"},
      {"a dot in front", ".example", 1, "empty label"},
      {"a dot at the end", "a.example.", 10, "absolute as it is"},
      {"a hyphen in front of a label", "a.-b.example", 3, "hyphen"},
      {"a hyphen behind a label", "a.b-.example", 4, "hyphen"},
      {"a character no host name has", "a.b/c.example", 4, "not a host name"},
      {"a letter of another script", "a.\xc3\xa4.example", 3, "not a host name"},
      {"digits alone", "127.0.0.2", 1, "digits alone"},
      {"a label too long", "a.b-" + label + ".example", 3, "at most 63"},
      {"a domain too long", labels + labels + labels + labels + labels + labels, 190,
       "at most 189"},
      {"a secret without a name", "$.example", 2, "not the name of a secret"},
      {"a secret that is part of a label", "a$k.example", 2, "whole label"},
      {"a secret's name with a dollar", "$a$b.example", 2, "not the name of a secret"},
      {"two sites", "a.example,b.example", 10, "one site per entry"},
      {"a space behind", "a.example ", 10, "one site per entry"},
      {"an empty pattern", "a.example=", 11, "empty pattern"},
      {"a mistake in the pattern, counted from the front", "a.example=127.0.0.300*2", 19,
       "0 to 255"},
      {"a second pattern", "a.example=127.0.0.2=127.0.0.3", 20, "four octets"},
      {"no weight behind the star", "a.example*", 11, "no weight"},
      {"a sign alone", "a.example*-", 11, "no weight"},
      {"two signs", "a.example*+-3", 11, "no weight"},
      {"a fraction", "a.example*1.5", 11, "no weight"},
      {"the pattern behind the weight", "a.example*2=127.0.0.2", 11, "no weight"},
      {"a second weight", "a.example*2*3", 11, "no weight"},
      {"too great a weight", "a.example*256", 11, "from -255 to 255"},
      {"too small a weight", "a.example*-256", 11, "from -255 to 255"},
      {"a weight that no integer holds", "a.example*99999999999999999999", 11, "from -255 to 255"},
      {"an endless text", std::string(5000, 'a'), 4097, "longer than 4096"},
  };
  for (const Row& row : rows) {
    const auto site = parse_site(row.text);
    ASSERT_FALSE(site) << row.what;
    EXPECT_EQ(site.error().column, row.column) << row.what << ": " << site.error().text;
    EXPECT_NE(site.error().text.find(row.words), std::string::npos)
        << row.what << ": " << site.error().text;
  }
}

TEST(Site, AKeyIsRefusedAndNeverRepeated) {
  const std::string key = "abcdefghijklmnopqrstuvwx24";
  const std::string texts[] = {key + ".zen.dq.spamhaus.net", "$" + key + ".zen.dq.spamhaus.net",
                               "zen." + key + ".example*3",  key + ".zen..net",
                               key + ".a.example,b.example", "A1B2C3D4E5F6G7H8I9J0.example=1"};
  for (const std::string& text : texts) {
    const auto site = parse_site(text);
    ASSERT_FALSE(site) << text;
    EXPECT_NE(site.error().text.find("name it in a [[secret]] and write $name"), std::string::npos)
        << site.error().text;
    EXPECT_EQ(site.error().text.find(key), std::string::npos) << site.error().text;
  }
  EXPECT_TRUE(parse_site("a23456789012345678b.example")) << "19 letters and digits are no key";
  EXPECT_EQ(hide_keys("the site \"" + key + ".zen.example*3\""), "the site \"....zen.example*3\"");
  EXPECT_EQ(hide_keys("a-b, " + key), "...") << "even when something else is in the same part";
  EXPECT_EQ(hide_keys("zen.spamhaus.org=127.0.0.[2..11]*3"), "zen.spamhaus.org=127.0.0.[2..11]*3");
  EXPECT_EQ(hide_keys(""), "");
}

TEST(CodePattern, TakesWhatPostfixTakes) {
  struct Row {
    const char* what;
    const char* text;
    std::vector<uint32_t> matches;
    std::vector<uint32_t> others;
  };
  const Row rows[] = {
      {"four numbers", "127.0.0.2", {0x7f000002}, {0x7f000003, 0x7f000102, 0x7f010002, 0x7e000002}},
      {"a list", "127.0.0.[2;4;6]", {0x7f000002, 0x7f000004, 0x7f000006}, {0x7f000003, 0x7f000007}},
      {"a range with both ends",
       "127.0.0.[2..11]",
       {0x7f000002, 0x7f00000b},
       {0x7f000001, 0x7f00000c}},
      {"a range of one", "127.0.0.[2..2]", {0x7f000002}, {0x7f000003}},
      {"a range and numbers",
       "127.0.0.[2;4..6;9]",
       {0x7f000002, 0x7f000005, 0x7f000009},
       {0x7f000003, 0x7f000008}},
      {"a number in brackets", "127.0.0.[2]", {0x7f000002}, {0x7f000003}},
      {"brackets in every octet",
       "[127;128].[0].[0..1].[2;3]",
       {0x7f000002, 0x80000103},
       {0x7f000202}},
      {"brackets around it all", "[127.0.0.2]", {0x7f000002}, {0x7f000003}},
      {"brackets around and inside", "[127.0.0.[2..11]]", {0x7f000005}, {0x7f000001}},
      {"brackets around, and the first octet in some",
       "[[127;128].0.0.2]",
       {0x80000002},
       {0x7f000003}},
      {"every octet there is",
       "[0..255].[0..255].[0..255].[0..255]",
       {0, 0xffffffff, 0x7f000002},
       {}},
      {"leading zeros are no octal", "127.000.00.010", {0x7f00000a}, {0x7f000008}},
      {"the same number twice", "127.0.0.[2;2]", {0x7f000002}, {0x7f000003}},
  };
  for (const Row& row : rows) {
    const auto pattern = parse_code_pattern(row.text);
    ASSERT_TRUE(pattern) << row.what << ": " << pattern.error().text;
    for (const uint32_t code : row.matches) EXPECT_TRUE(pattern->matches(code)) << row.what;
    for (const uint32_t code : row.others) EXPECT_FALSE(pattern->matches(code)) << row.what;
  }
}

TEST(CodePattern, RefusesWhatPostfixRefuses) {
  struct Row {
    const char* what;
    std::string text;
    size_t column;
    const char* words;
  };
  const Row rows[] = {
      {"nothing", "", 1, "empty pattern"},
      {"nothing in brackets", "[]", 2, "empty pattern"},
      {"three octets", "127.0.0", 8, "four octets"},
      {"three octets and a dot", "127.0.0.", 9, "0 to 255"},
      {"five octets", "127.0.0.2.3", 10, "expected the end"},
      {"an octet too large", "127.0.0.256", 9, "0 to 255"},
      {"an octet that no integer holds", "127.0.0." + std::string(100, '9'), 9, "0 to 255"},
      {"a negative octet", "127.0.0.-1", 9, "0 to 255"},
      {"letters", "127.0.0.x", 9, "0 to 255"},
      {"letters behind", "127.0.0.2x", 10, "expected the end"},
      {"a semicolon outside of brackets", "127.0.0.2;4", 10, "expected the end"},
      {"an empty list", "127.0.0.[]", 10, "0 to 255"},
      {"an empty item", "127.0.0.[2;]", 12, "0 to 255"},
      {"a list that does not end", "127.0.0.[2", 11, "\";\" or \"]\""},
      {"a list that ends with its separator", "127.0.0.[2;", 12, "0 to 255"},
      {"a comma in a list", "127.0.0.[2,3]", 11, "\";\" or \"]\""},
      {"a hyphen for a range", "127.0.0.[2-11]", 11, "\";\" or \"]\""},
      {"a range backwards", "127.0.0.[11..2]", 10, "n no greater than m"},
      {"a range with one dot", "127.0.0.[2.11]", 10, "n no greater than m"},
      {"a range without an end", "127.0.0.[2..]", 10, "n no greater than m"},
      {"a range to a large number", "127.0.0.[2..256]", 10, "n no greater than m"},
      {"a range with three dots", "127.0.0.[2...11]", 10, "n no greater than m"},
      {"brackets in brackets", "127.0.0.[[2]]", 10, "0 to 255"},
      {"a bracket that does not close", "[127.0.0.2", 1, "no \"]\""},
      {"an inner bracket that takes the outer one's end", "[127.0.0.[2;3]", 1, "no \"]\""},
      {"a bracket that nothing opened", "127.0.0.2]", 10, "expected the end"},
      {"brackets around an octet too few", "[127.0.0]", 9, "four octets"},
      {"an endless text", std::string(5000, '['), 4097, "longer than"},
      {"a deep text", std::string(4000, '[') + std::string(4000, ']'), 4097, "longer than"},
      {"a deep text that fits", std::string(2000, '[') + std::string(2000, ']'), 3, "0 to 255"},
  };
  for (const Row& row : rows) {
    const auto pattern = parse_code_pattern(row.text);
    ASSERT_FALSE(pattern) << row.what;
    EXPECT_EQ(pattern.error().column, row.column) << row.what << ": " << pattern.error().text;
    EXPECT_NE(pattern.error().text.find(row.words), std::string::npos)
        << row.what << ": " << pattern.error().text;
  }
}

}  // namespace
}  // namespace lychgate::config
