// Site lines and the catalogue made into lists: joining, weights, bounds, test points, keys.

#include "core/config/lists.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

constexpr const char* kCatalogue = R"(
[[list]]
zone = "zen.example"
families = ["ip4", "ip6"]
daily_budget = 300000
codes = [
  {code = "127.0.0.2", is = "listed", weight = 6},
  {code = "127.0.0.[3..4]", is = "listed", weight = 8},
  {code = "127.0.0.9", is = "neutral"},
]
[[list]]
zone = "mixed.example"
reply_name = "mixed"
test_points = ["127.0.0.7", ""]
codes = [
  {code = "127.0.0.1", is = "allow", weight = -2},
  {code = "127.0.0.2", is = "allow", weight = -5},
  {code = "127.0.0.3", is = "listed", weight = 3},
]
[[list]]
zone = "dq.example"
keyed = true
codes = [{code = "127.0.0.2", is = "listed", weight = 6}]
[[list]]
zone = "silent.example"
test_points = "none"
codes = [{code = "127.0.0.2", is = "listed", weight = 6}]
[[list]]
zone = "six.example"
families = ["ip6"]
codes = [{code = "127.0.0.2", is = "listed", weight = 6}]
[[list]]
zone = "dead.example"
dead = "June 2024"
[[list]]
zone = "domains.example"
families = ["domain"]
)";

const std::string kKey = "ABCDEFGHIJKLMNOPQRSTUVWX24";

std::vector<NamedSecret> secrets(const std::string& value = kKey) {
  std::vector<NamedSecret> out(1);
  out[0].name = "k";
  out[0].value = std::move(*Secret::create());
  out[0].value.append(value);
  return out;
}

tl::expected<Lists, std::vector<std::string>> lists_of(const std::vector<std::string>& sites,
                                                       const std::string& value = kKey,
                                                       int32_t threshold = 1) {
  Dnsl dnsl;
  dnsl.threshold = threshold;
  for (const std::string& text : sites) {
    auto site = parse_site(text);
    if (!site) return tl::unexpected(std::vector{site.error().text});
    dnsl.sites.push_back(std::move(*site));
  }
  const Source source{"catalogue", kCatalogue};
  const auto catalogue = parse_catalogue({&source, 1});
  if (!catalogue) return tl::unexpected(std::vector{joined(catalogue.error())});
  return make_lists(dnsl, *catalogue, secrets(value));
}

std::string lines_of(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TEST(Lists, LinesOfOneDomainJoinInTheirOrder) {
  const auto made = lists_of({"zen.example=127.0.0.2*3", "b.example=127.0.0.2", "Zen.example*2",
                              "zen.example=127.0.0.4*-1"});
  ASSERT_TRUE(made) << lines_of(made.error());
  ASSERT_EQ(made->lists.size(), 2u);
  EXPECT_EQ(made->lists[0].name, "zen.example");
  EXPECT_EQ(made->lists[1].name, "b.example");
  ASSERT_EQ(made->lists[0].lines.size(), 3u);
  EXPECT_EQ(made->lists[0].lines[0].weight, 3);
  EXPECT_EQ(made->lists[0].lines[1].weight, 2);
  EXPECT_FALSE(made->lists[0].lines[1].pattern);
  EXPECT_EQ(made->lists[0].lines[2].weight, -1);
  EXPECT_TRUE(made->lists[0].lines[2].pattern->matches(0x7f000004));
  EXPECT_TRUE(made->warnings.empty()) << lines_of(made->warnings);
}

TEST(Lists, TheWeightIsTheLinesElseTheCataloguesElseOne) {
  struct Row {
    const char* what;
    std::vector<std::string> sites;
    std::optional<int32_t> weight;  // of the first line
    int32_t gain;
    int32_t loss;
  };
  const Row rows[] = {
      {"of a catalogued list alone: the code's", {"zen.example"}, std::nullopt, 8, 0},
      {"given", {"zen.example*3"}, 3, 3, 0},
      {"with a pattern and none: 1, as in Postfix", {"zen.example=127.0.0.2"}, 1, 1, 0},
      {"of a list nobody described: 1", {"b.example=127.0.0.2"}, 1, 1, 0},
      {"both ways", {"mixed.example"}, std::nullopt, 3, -5},
      {"a negative one", {"zen.example=127.0.0.2*-4"}, -4, 0, -4},
      {"all lines together",
       {"zen.example", "zen.example*2", "zen.example=127.0.0.2*3", "zen.example=127.0.0.3*-7"},
       std::nullopt,
       13,
       -7},
      {"a line that never counts adds nothing", {"b.example*5", "b.example=127.0.0.2*2"}, 5, 2, 0},
  };
  for (const Row& row : rows) {
    const auto made = lists_of(row.sites);
    ASSERT_TRUE(made) << row.what << lines_of(made.error());
    ASSERT_EQ(made->lists.size(), 1u) << row.what;
    EXPECT_EQ(made->lists[0].lines[0].weight, row.weight) << row.what;
    EXPECT_EQ(made->lists[0].gain_max, row.gain) << row.what;
    EXPECT_EQ(made->lists[0].loss_max, row.loss) << row.what;
  }
}

TEST(Lists, WhatTheCatalogueSaysIsTakenOver) {
  const auto two = IpAddress::parse("127.0.0.2");
  const auto one = IpAddress::parse("127.0.0.1");
  struct Row {
    const char* site;
    bool ip4;
    bool ip6;
    bool strict;
    TestPoints test4;
    TestPoints test6;
    const char* reply_name;
  };
  const Row rows[] = {
      {"zen.example", true, true, true, {two, one}, {two, one}, "zen.example"},
      {"mixed.example", true, false, true, {IpAddress::parse("127.0.0.7"), {}}, {}, "mixed"},
      {"six.example", false, true, true, {}, {two, one}, "six.example"},
      {"silent.example", true, false, true, {}, {}, "silent.example"},
      {"$k.dq.example", true, false, true, {two, one}, {}, "dq.example"},
      {"b.example=127.0.0.2", true, true, false, {two, one}, {two, one}, "b.example"},
      {"$k.b.example=127.0.0.2", true, true, false, {two, one}, {two, one}, "b.example"},
  };
  for (const Row& row : rows) {
    const auto made = lists_of({row.site});
    ASSERT_TRUE(made) << row.site << lines_of(made.error());
    const List& list = made->lists.at(0);
    EXPECT_EQ(list.catalogued, row.strict) << row.site;
    EXPECT_EQ(list.strict_test_points, row.strict) << row.site;
    EXPECT_EQ(list.ip4, row.ip4) << row.site;
    EXPECT_EQ(list.ip6, row.ip6) << row.site;
    EXPECT_EQ(list.test4.listed, row.test4.listed) << row.site;
    EXPECT_EQ(list.test4.unlisted, row.test4.unlisted) << row.site;
    EXPECT_EQ(list.test6.listed, row.test6.listed) << row.site;
    EXPECT_EQ(list.test6.unlisted, row.test6.unlisted) << row.site;
    EXPECT_EQ(list.reply_name, row.reply_name) << row.site;
  }
  const auto zen = lists_of({"zen.example"});
  EXPECT_EQ(zen->lists[0].daily_budget, 300000u);
  EXPECT_EQ(zen->lists[0].codes.size(), 3u);
}

TEST(Lists, AKeyIsFilledIntoTheZoneAndNowhereElse) {
  const auto made = lists_of({"$k.dq.example", "a.$k.b.example=127.0.0.2"});
  ASSERT_TRUE(made) << lines_of(made.error());
  const std::string lower = "abcdefghijklmnopqrstuvwx24";
  EXPECT_EQ(made->lists[0].zone.reveal(), lower + ".dq.example");
  EXPECT_EQ(made->lists[0].name, "$k.dq.example");
  EXPECT_EQ(made->lists[1].zone.reveal(), "a." + lower + ".b.example");
  EXPECT_EQ(made->lists[1].reply_name, "b.example");
}

TEST(Lists, EveryProblemNamesItsSiteAndNoKey) {
  struct Row {
    const char* what;
    std::vector<std::string> sites;
    std::string value;
    const char* want;
  };
  const std::string bad_value =
      "dnsl.sites: $k.dq.example: the value of [[secret]] \"k\" is no label of a name, expected 1 "
      "to 63 letters, digits and hyphens\n";
  const std::string keyed = "put it into a [[secret]] and write $name.dq.example\n";
  const Row rows[] = {
      {"two at once",
       {"dead.example", "domains.example*2"},
       kKey,
       "dnsl.sites: dead.example: the list has been shut down (June 2024), take it out\n"
       "dnsl.sites: domains.example*2: the list is one of domains and must not be asked about "
       "addresses, take it out\n"},
      {"a keyed list without its key",
       {"dq.example"},
       kKey,
       "dnsl.sites: dq.example: the list wants a customer's key in front: put it into a [[secret]] "
       "and write $name.dq.example\n"},
      {"a short key in the configuration",
       {"hunter2.dq.example"},
       kKey,
       "dnsl.sites: a key does not belong into the configuration: put it into a [[secret]] and "
       "write $name.dq.example\n"},
      {"a secret nobody has",
       {"a.$other.example*2"},
       kKey,
       "dnsl.sites: a.$other.example*2: column 3: no [[secret]] is called \"other\", expected the "
       "name of one\n"},
      {"the case of a secret's name matters",
       {"$K.dq.example"},
       kKey,
       "dnsl.sites: $K.dq.example: column 1: no [[secret]] is called \"K\", expected the name of "
       "one\n"},
      {"an empty key", {"$k.dq.example"}, "", bad_value.c_str()},
      {"a key with a dot", {"$k.dq.example"}, "abc.def", bad_value.c_str()},
      {"a key with a line break", {"$k.dq.example"}, "abc\n", bad_value.c_str()},
      {"a key too long for a label", {"$k.dq.example"}, std::string(64, 'x'), bad_value.c_str()},
      {"a key that begins with a hyphen", {"$k.dq.example"}, "-abc", bad_value.c_str()},
      {"a domain too long once its keys are in",
       {"$k.$k.$k.example"},
       std::string(63, 'x'),
       "dnsl.sites: $k.$k.$k.example: longer than 189 bytes with its key: no room for an IPv6 "
       "address\n"},
  };
  for (const Row& row : rows) {
    const auto made = lists_of(row.sites, row.value);
    ASSERT_FALSE(made) << row.what;
    EXPECT_EQ(lines_of(made.error()), row.want) << row.what;
    EXPECT_EQ(lines_of(made.error()).find("hunter2"), std::string::npos) << row.what;
  }
}

TEST(Lists, TheLongestDomainWithItsKeyFits) {
  const auto made = lists_of({"$k.$k.a23456789-123456789-123456789-123456789-123456789-123456789b"},
                             std::string(63, 'x'));
  ASSERT_TRUE(made) << lines_of(made.error());
  EXPECT_EQ(made->lists[0].zone.size(), 188u);
}

TEST(Lists, ThereAreNoMoreThanOneCanAsk) {
  std::vector<std::string> sites;
  for (uint32_t i = 0; i < kListsMax; ++i) sites.push_back(fmt::format("l{}.example*2", i));
  sites.emplace_back("l0.example=127.0.0.2");
  EXPECT_TRUE(lists_of(sites)) << "another line of a list is not another list";
  sites.emplace_back("more.example");
  sites.emplace_back("still-more.example");
  const auto made = lists_of(sites);
  ASSERT_FALSE(made);
  EXPECT_EQ(lines_of(made.error()),
            "dnsl.sites: more.example: one list too many, expected at most 32\n");
}

TEST(Lists, ALineThatNeverCountsIsWarnedAbout) {
  struct Row {
    const char* what;
    const char* site;
    const char* want;
  };
  const char* const never =
      "never counts: its pattern takes no code outside 127.255.255.0/24, where lists put their "
      "errors, and inside 127.0.0.0/8\n";
  const std::string errors =
      fmt::format("dnsl.sites: zen.example=127.255.255.[0..255]*2: {}", never);
  const std::string outside = fmt::format("dnsl.sites: b.example=10.0.0.1: {}", never);
  const Row rows[] = {
      {"a list nobody described, without a pattern", "b.example*2",
       "dnsl.sites: b.example*2: never counts: the catalogue does not describe the list, so its "
       "codes say nothing; write =127.0.0.2, or describe the list in catalogue.d\n"},
      {"a pattern of errors alone", "zen.example=127.255.255.[0..255]*2", errors.c_str()},
      {"a pattern outside of the loopback", "b.example=10.0.0.1", outside.c_str()},
      {"a pattern that takes more than errors", "zen.example=127.[0;255].[0;255].2", ""},
      {"a list that is described", "zen.example", ""},
  };
  for (const Row& row : rows) {
    const auto made = lists_of({row.site});
    ASSERT_TRUE(made) << row.what << lines_of(made.error());
    EXPECT_EQ(lines_of(made->warnings), row.want) << row.what;
  }
}

// A list's TXT reason may repeat the name that was asked for.
TEST(Lists, KnowTheirKeyInAnyText) {
  const auto made = lists_of({"$k.dq.example", "zen.example"});
  ASSERT_TRUE(made) << lines_of(made.error());
  const List& keyed = made->lists[0];
  EXPECT_TRUE(tells_a_key(keyed, "see http://dq.example/?1.2.0.192." + kKey + ".dq.example"));
  EXPECT_TRUE(tells_a_key(keyed, "abcdefghijklmnopqrstuvwx24")) << "in any case of letters";
  EXPECT_FALSE(tells_a_key(keyed, "see http://dq.example/?192.0.2.1"));
  EXPECT_FALSE(tells_a_key(keyed, ""));
  EXPECT_FALSE(tells_a_key(made->lists[1], kKey + " zen.example")) << "it has none";
}

TEST(Lists, WarnWhenNoSumCanReachTheThreshold) {
  const auto warned = [](const std::vector<std::string>& sites, int32_t threshold) {
    const auto made = lists_of(sites, kKey, threshold);
    return made && !made->warnings.empty();
  };
  EXPECT_TRUE(warned({"b.example=127.0.0.2*3", "c.example=127.0.0.2*4"}, 8));
  EXPECT_FALSE(warned({"b.example=127.0.0.2*3", "c.example=127.0.0.2*5"}, 8));
  EXPECT_FALSE(warned({"b.example=127.0.0.2*-3"}, 8)) << "for routes and the allow threshold alone";
}

TEST(Lists, EqualOnesAskTheSame) {
  const auto first = lists_of({"$k.dq.example", "zen.example*2"});
  ASSERT_TRUE(first) << lines_of(first.error());
  const struct {
    const char* what;
    std::vector<std::string> sites;
    std::string key;
    bool equal;
  } rows[] = {
      {"the same lines and key", {"$k.dq.example", "zen.example*2"}, kKey, true},
      {"another key", {"$k.dq.example", "zen.example*2"}, "B" + kKey.substr(1), false},
      {"another weight", {"$k.dq.example", "zen.example*3"}, kKey, false},
      {"another order", {"zen.example*2", "$k.dq.example"}, kKey, false},
  };
  for (const auto& row : rows) {
    const auto second = lists_of(row.sites, row.key);
    ASSERT_TRUE(second) << row.what << ": " << lines_of(second.error());
    EXPECT_EQ(*first == *second, row.equal) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::config
