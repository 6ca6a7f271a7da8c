// The catalogue's reader: each key, each mistake with its place, sources that replace each other.

#include "core/config/catalogue.h"

#include <gtest/gtest.h>

#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

tl::expected<Catalogue, std::vector<Problem>> parse_catalogues(
    const std::vector<std::string>& texts) {
  std::vector<Source> sources;
  for (size_t i = 0; i < texts.size(); ++i) {
    sources.push_back({std::string(1, static_cast<char>('a' + i)), texts[i]});
  }
  return parse_catalogue(sources);
}

std::string list(const std::string& zone, const std::string& rest) {
  return "[[list]]\nzone = \"" + zone + "\"\n" + rest + "\n";
}
const std::string kOneCode = "codes = [{code = \"127.0.0.2\", is = \"listed\", weight = 3}]";

TEST(Catalogue, EveryKeyReachesItsField) {
  const auto catalogue = parse_catalogues(
      {"date = \"2026-11-21\"\n" +
       list("Zen.Example",
            "keyed = true\nfamilies = [\"ip4\", \"ip6\"]\nreply_name = \"zen\"\n"
            "checked = \"2026-11-20\"\ndaily_budget = 100000\nweight = 5\n"
            "test_points = [\"127.0.0.7\", \"\"]\ntest_points6 = [\"\", \"::ffff:7f00:1\"]\n"
            "codes = [{code = \"127.0.0.2\", is = \"listed\", text = \"bad\"},\n"
            "{code = \"127.0.0.3\", is = \"allow\", weight = -2},\n"
            "{code = \"127.0.0.4\", is = \"neutral\"}, {code = \"127.0.0.5\", is = \"error\"},\n"
            "{code = \"127.0.0.6\", is = \"over quota\"}, {code = \"127.0.0.7\", is = \"dead\"}]") +
       list("dead.example", "dead = \"2024, by its owner\"") +
       list("domains.example", "families = [\"domain\"]") +
       list("plain.example", "test_points = \"none\"\n" + kOneCode)});
  ASSERT_TRUE(catalogue) << joined(catalogue.error());
  EXPECT_EQ(catalogue->date, "2026-11-21");
  ASSERT_EQ(catalogue->lists.size(), 4u);
  const CatalogueList& zen = catalogue->lists[0];
  EXPECT_EQ(zen.zone, "zen.example");
  EXPECT_TRUE(zen.keyed && zen.ip4 && zen.ip6 && zen.has_test_points);
  EXPECT_FALSE(zen.domain);
  EXPECT_EQ(zen.reply_name, "zen");
  EXPECT_EQ(zen.checked, "2026-11-20");
  EXPECT_EQ(zen.daily_budget, 100000u);
  EXPECT_EQ(zen.test4.listed, IpAddress::parse("127.0.0.7"));
  EXPECT_FALSE(zen.test4.unlisted);
  EXPECT_FALSE(zen.test6.listed);
  EXPECT_EQ(zen.test6.unlisted, IpAddress::parse("::ffff:127.0.0.1"));
  ASSERT_EQ(zen.codes.size(), 6u);
  const Meaning meanings[] = {Meaning::kListed, Meaning::kAllow,     Meaning::kNeutral,
                              Meaning::kError,  Meaning::kOverQuota, Meaning::kDead};
  const int32_t weights[] = {5, -2, 0, 0, 0, 0};
  for (size_t i = 0; i < zen.codes.size(); ++i) {
    EXPECT_EQ(zen.codes[i].meaning, meanings[i]) << i;
    EXPECT_EQ(zen.codes[i].weight, weights[i]) << i;
    EXPECT_TRUE(zen.codes[i].codes.matches(0x7f000002 + static_cast<uint32_t>(i))) << i;
  }
  EXPECT_EQ(zen.codes[0].text, "bad");
  EXPECT_EQ(catalogue->lists[1].dead, "2024, by its owner");
  EXPECT_TRUE(catalogue->lists[2].domain);
  EXPECT_FALSE(catalogue->lists[2].ip4);
  const CatalogueList& plain = catalogue->lists[3];
  EXPECT_TRUE(plain.ip4);
  EXPECT_FALSE(plain.ip6 || plain.keyed || plain.has_test_points);
}

TEST(Catalogue, AListIsFoundByItsZoneAndAKeyedOneBehindOneLabel) {
  const auto catalogue = parse_catalogues(
      {list("dq.example", "keyed = true\n" + kOneCode) + list("open.example", kOneCode)});
  ASSERT_TRUE(catalogue) << joined(catalogue.error());
  struct Row {
    const char* domain;
    const char* want;  // nullptr: not in the catalogue
  };
  const Row rows[] = {
      {"open.example", "open.example"},
      {"$k.open.example", nullptr},
      {"example", nullptr},
      {"xopen.example", nullptr},
      {"dq.example", "dq.example"},
      {"$k.dq.example", "dq.example"},
      {"short.dq.example", "dq.example"},
      {"a.$k.dq.example", nullptr},
      {"xdq.example", nullptr},
      {"", nullptr},
  };
  for (const Row& row : rows) {
    const CatalogueList* found = catalogue->find(row.domain);
    EXPECT_EQ(found ? found->zone : "", row.want ? row.want : "") << row.domain;
  }
}

TEST(Catalogue, ALaterSourceReplacesWholeListsAndAddsOthers) {
  const auto catalogue = parse_catalogues(
      {"date = \"2026-11-21\"\n" +
           list("a.example", "reply_name = \"first\"\ndaily_budget = 5\n" + kOneCode) +
           list("b.example", kOneCode),
       "date = \"2027-01-01\"\n" + list("A.example", "dead = \"2027\"") +
           list("c.example", kOneCode)});
  ASSERT_TRUE(catalogue) << joined(catalogue.error());
  EXPECT_EQ(catalogue->date, "2026-11-21") << "how old the whole is, not its newest line";
  ASSERT_EQ(catalogue->lists.size(), 3u);
  const CatalogueList* a = catalogue->find("a.example");
  EXPECT_EQ(a->dead, "2027");
  EXPECT_TRUE(a->codes.empty() && a->reply_name.empty() && a->daily_budget == 0)
      << "nothing of the earlier one is left";
  EXPECT_NE(catalogue->find("b.example"), nullptr);
  EXPECT_NE(catalogue->find("c.example"), nullptr);
}

struct ErrorRow {
  const char* what;
  std::string text;
  const char* want;
};

void expect_errors(const std::vector<ErrorRow>& rows) {
  for (const ErrorRow& row : rows) {
    const auto catalogue = parse_catalogues({row.text});
    EXPECT_EQ(catalogue ? "" : joined(catalogue.error()), row.want) << row.what;
  }
}

TEST(Catalogue, MistakesOfAListHaveTheirPlace) {
  expect_errors({
      {"no TOML", "date = ",
       "a:1:8: not valid TOML: Error while parsing key-value pair: encountered end-of-file\n"},
      {"an unknown word at the top", "data = \"2026-11-21\"",
       "a:1:1: unknown key \"data\", expected date or [[list]]\n"},
      {"a date of another form", "date = \"21.11.2026\"",
       "a:1:8: date: expected a day such as \"2026-11-21\"\n"},
      {"a date that TOML knows", "date = 2026-11-21",
       "a:1:8: found a date, expected date: a text\n"},
      {"a table for the lists", "[list]\nzone = \"a.example\"",
       "a:1:1: found a table, expected [[list]] entries\n"},
      {"an unknown word of a list", list("a.example", "zones = 1\n" + kOneCode),
       "a:3:1: unknown key \"zones\" in [[list]], expected one of zone, keyed, families, dead, "
       "reply_name, checked, weight, daily_budget, test_points, test_points6, codes\n"},
      {"no zone", "[[list]]\n" + kOneCode,
       "a:1:1: [[list]] without zone, expected the list's name\n"},
      {"a zone that is none", list("a..example", kOneCode),
       "a:2:8: zone: \"a..example\": column 3: an empty label, expected letters or digits before "
       "each dot\n"},
      {"a whole site for a zone", list("a.example*3", kOneCode),
       "a:2:8: zone: \"a.example*3\": expected the list's name alone, without a pattern, a weight "
       "or "
       "a key\n"},
      {"a key in a zone", list("abcdefghijklmnopqrstuvwxyz.dq.example", kOneCode),
       "a:2:8: zone: \"....dq.example\": column 1: a key does not belong into the configuration: "
       "name it in a [[secret]] and write $name\n"},
      {"a zone twice", list("a.example", kOneCode) + list("A.example", kOneCode),
       "a:5:8: zone: \"a.example\" is described twice in this file, expected once\n"},
      {"an unknown family", list("a.example", "families = [\"ipv4\"]\n" + kOneCode),
       "a:3:13: found the string \"ipv4\", expected families: one or both of \"ip4\" and \"ip6\", "
       "or "
       "[\"domain\"]\n"},
      {"no family", list("a.example", "families = []\n" + kOneCode),
       "a:3:12: found none, expected families: one or both of \"ip4\" and \"ip6\", or "
       "[\"domain\"]\n"},
      {"both kinds", list("a.example", "families = [\"ip4\", \"domain\"]\n" + kOneCode),
       "a:3:12: found addresses and domains in one list, expected families: one or both of \"ip4\" "
       "and \"ip6\", or [\"domain\"]\n"},
      {"a reply name of two words", list("a.example", "reply_name = \"a b\"\n" + kOneCode),
       "a:3:14: reply_name: has a space, expected none\n"},
      {"a reply name of two lines", list("a.example", "reply_name = \"a\\r\\nb\"\n" + kOneCode),
       "a:3:14: reply_name: has a line break, expected one line: the gate writes the line end "
       "itself\n"},
      {"a budget below nothing", list("a.example", "daily_budget = -1\n" + kOneCode),
       "a:3:16: daily_budget: is -1, expected 0 to 4294967295\n"},
      {"one test point", list("a.example", "test_points = [\"127.0.0.2\"]\n" + kOneCode),
       "a:3:15: found 1 entries, expected test_points: an address that must be listed and one that "
       "must not, such as [\"127.0.0.2\", \"127.0.0.1\"] (or \"none\")\n"},
      {"a test point of the other family",
       list("a.example", "test_points = [\"::ffff:7f00:2\", \"\"]\n" + kOneCode),
       "a:3:16: found the string \"::ffff:7f00:2\", expected test_points: an address that must be "
       "listed and one that must not, such as [\"127.0.0.2\", \"127.0.0.1\"] (or \"none\")\n"},
      {"test points of a family it has not",
       list("a.example", "test_points6 = [\"\", \"::1\"]\n" + kOneCode),
       "a:3:16: test_points6: of a list without \"ip6\" in its families\n"},
      {"no codes", list("a.example", ""),
       "a:1:1: [[list]] a.example without codes, expected at least one: an answer that no code "
       "describes never counts\n"},
      {"codes of the dead", list("a.example", "dead = \"2024\"\n" + kOneCode),
       "a:4:9: codes: of a list that is never asked (dead, or of domains), expected none\n"},
      {"death without a word", list("a.example", "dead = \"\"\n" + kOneCode),
       "a:3:8: dead: is 0 bytes long, expected 1 to 200\n"},
  });
}

TEST(Catalogue, MistakesOfACodeHaveTheirPlace) {
  const auto row = [](const std::string& text) {
    return list("a.example", "codes = [" + text + "]");
  };
  expect_errors({
      {"not a table", row("\"127.0.0.2\""),
       "a:3:10: found the string \"127.0.0.2\", expected a table such as {code = \"127.0.0.2\", is "
       "= "
       "\"listed\"}\n"},
      {"no meaning", row("{code = \"127.0.0.2\"}"),
       "a:3:10: codes: a row without code or is, expected both\n"},
      {"an unknown meaning", row("{code = \"127.0.0.2\", is = \"bad\"}"),
       "a:3:36: found the string \"bad\", expected is: \"listed\", \"allow\", \"neutral\", "
       "\"error\", "
       "\"over quota\" or \"dead\"\n"},
      {"an unknown word", row("{code = \"127.0.0.2\", is = \"error\", why = \"x\"}"),
       "a:3:45: unknown key \"why\" in codes, expected one of code, is, weight, text\n"},
      {"a pattern that is none", row("{code = \"127.0.0\", is = \"error\"}"),
       "a:3:18: code: \"127.0.0\": column 8: expected \".\": a pattern has four octets, such as "
       "127.0.0.[2..11]\n"},
      {"a code outside of the loopback", row("{code = \"[127;128].0.0.2\", is = \"error\"}"),
       "a:3:18: code: \"[127;128].0.0.2\": expected codes in 127.0.0.0/8: no list may answer "
       "anything else (RFC 5782 section 2.1)\n"},
      {"a listing among the errors",
       row("{code = \"127.[0;255].255.[0..255]\", is = \"listed\", weight = 1}"),
       "a:3:18: code: 127.255.255.0/24 is where lists put their errors and never counts, expected "
       "a "
       "pattern without it\n"},
      {"an error among the errors", row("{code = \"127.255.255.[0..255]\", is = \"error\"}"), ""},
      {"no weight", row("{code = \"127.0.0.2\", is = \"listed\"}"),
       "a:3:10: codes: a row that counts without a weight, expected one here or for the list\n"},
      {"a listing that lowers", row("{code = \"127.0.0.2\", is = \"listed\", weight = -1}"),
       "a:3:55: weight: is -1, expected more than 0 for a code that is listed\n"},
      {"a listing of nothing", row("{code = \"127.0.0.2\", is = \"listed\", weight = 0}"),
       "a:3:55: weight: is 0, expected more than 0 for a code that is listed\n"},
      {"trust that raises", row("{code = \"127.0.0.2\", is = \"allow\", weight = 1}"),
       "a:3:54: weight: is 1, expected less than 0 for a code that is allow\n"},
      {"trust with the weight of the list's listings",
       list("a.example", "weight = 3\ncodes = [{code = \"127.0.0.2\", is = \"allow\"}]"),
       "a:4:10: weight: is 3, expected less than 0 for a code that is allow\n"},
      {"an error with a weight", row("{code = \"127.0.0.2\", is = \"error\", weight = 1}"),
       "a:3:54: weight: of a code that is error, expected none: only listed and allow count\n"},
      {"too great a weight", row("{code = \"127.0.0.2\", is = \"listed\", weight = 256}"),
       "a:3:55: weight: is 256, expected -255 to 255\n"},
  });
}

TEST(Catalogue, AllMistakesOfAllSourcesAreToldInOrder) {
  const auto catalogue = parse_catalogues(
      {list("b.example", "daily_budget = \"x\"\ncodes = [{code = 1, is = 2}]") + "date = 1",
       "[[list]", list("c.example", "keyed = 1\n" + kOneCode)});
  ASSERT_FALSE(catalogue);
  EXPECT_EQ(
      joined(catalogue.error()),
      "a:3:16: found the string \"x\", expected daily_budget: an integer\n"
      "a:4:18: found the integer 1, expected code: a pattern such as \"127.0.0.[2..11]\"\n"
      "a:4:26: found the integer 2, expected is: \"listed\", \"allow\", \"neutral\", \"error\", "
      "\"over quota\" or \"dead\"\n"
      "a:5:1: unknown key \"date\" in [[list]], expected one of zone, keyed, families, dead, "
      "reply_name, checked, weight, daily_budget, test_points, test_points6, codes\n"
      "b:1:8: not valid TOML: Error while parsing table header: encountered end-of-file\n"
      "c:3:9: found the integer 1, expected keyed: true or false\n");
}

}  // namespace
}  // namespace lychgate::config
