// What values must be to each other, and what the rules fill in. Rows as in reader_test.cc; the
// short files here leave the place of every error easy to count.

#include "core/config/rules.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

std::string pool(std::string_view name, std::string_view more = "") {
  return fmt::format("[[pool]]\nname = \"{}\"\nbackends = [\"pass:/a\"]\n{}\n", name, more);
}

std::string route(std::string_view name, std::string_view when = "") {
  return fmt::format("[[route]]\npool = \"{}\"\n{}\n", name, when);
}

std::string listen(std::string_view address, std::string_view name = "") {
  return fmt::format("[[listen]]\naddress = \"{}\"\n{}\n", address,
                     name.empty() ? "" : fmt::format("name = \"{}\"", name));
}

std::string repeat(uint32_t count, std::string (*entry)(uint32_t)) {
  std::string out;
  for (uint32_t i = 0; i < count; ++i) out += entry(i);
  return out;
}

TEST(Rules, EachMistakeIsToldOnceAtItsPlace) {
  const std::string when = "when.allowlisted = true";
  struct Row {
    const char* what;
    std::string text;
    const char* want;
  };
  const Row rows[] = {
      {"an address twice", listen("0.0.0.0:25") + listen("0.0.0.0:25"),
       "a:5:11: 0.0.0.0:25 is already listened on, expected each address once\n"},
      {"an address twice, spelt differently", listen("[::1]:25") + listen("[0::1]:25"),
       "a:5:11: [::1]:25 is already listened on, expected each address once\n"},
      {"port 0 twice is two ports", listen("127.0.0.1:0") + listen("127.0.0.1:0"), ""},
      {"a listener's name twice", listen("127.0.0.1:1", "x") + listen("127.0.0.1:2", "x"),
       "a:6:8: a listener called \"x\" already exists, expected each name once\n"},
      {"a name that is another's address",
       listen("127.0.0.1:1") + listen("127.0.0.1:2", "127.0.0.1:1"),
       "a:6:8: a listener called \"127.0.0.1:1\" already exists, expected each name once\n"},
      {"a listener nobody has",
       listen("127.0.0.1:1", "x") + pool("p") + route("p") + route("p", "when.listener = \"y\""),
       "a:11:1: is never reached: the route before it has no condition, expected that one last\n"
       "a:13:17: route[].when.listener: no listener is called \"y\", expected \"x\"\n"},
      {"a listener two have",
       listen("127.0.0.1:0") + listen("127.0.0.1:0") + pool("p") +
           route("p", "when.listener = \"127.0.0.1:0\""),
       "a:13:17: route[].when.listener: more than one listener is called \"127.0.0.1:0\", give "
       "them names\n"},
      {"a pool's name twice", pool("p") + pool("p") + route("p"),
       "a:6:8: a pool called \"p\" already exists, expected each name once\n"},
      {"a pool without backends", "[[pool]]\nname = \"p\"\nbackends = []",
       "a:3:12: pool[].backends: has 0 entries, expected 1 to 64 entries\n"},
      {"networks that are none would be no condition at all",
       pool("p") + route("p", "when.networks = []"),
       "a:7:17: route[].when.networks: has 0 entries, expected 1 to 1024 entries\n"},
      {"a route to nowhere", pool("p") + route("q"),
       "a:6:8: no [[pool]] is called \"q\", expected the name of one\n"},
      {"a route to a pool with a mistake in it is no mistake of the route",
       "[[pool]]\nname = \"p q\"\nbackends = 1\n" + route("p q"),
       "a:2:8: pool[].name: \"p q\": expected printable ASCII without spaces, quotes or "
       "backslashes\n"
       "a:3:12: pool[].backends: found the integer 1, expected a list of backends such as "
       "[\"pass:/path\"]\n"
       "a:5:8: route[].pool: \"p q\": expected printable ASCII without spaces, quotes or "
       "backslashes\n"},
      {"a fallback to nowhere", pool("p", "fallback = \"q\""),
       "a:4:12: no [[pool]] is called \"q\", expected the name of one\n"},
      {"a pool that falls back to itself", pool("p", "fallback = \"p\""),
       "a:4:12: the fallback comes back to where it began (\"p\" -> \"p\"), expected an end\n"},
      {"a loop is told once, and not by the pool that leads into it",
       pool("p", "fallback = \"q\"") + pool("q", "fallback = \"r\"") +
           pool("r", "fallback = \"q\"") + route("p"),
       "a:8:12: the fallback comes back to where it began (\"q\" -> \"r\" -> \"q\"), expected an "
       "end\n"},
      {"several pools and no route", pool("p") + pool("q"),
       "a:5:1: several pools but no [[route]], expected at least one that says who goes where\n"},
      {"a route after the one that takes everybody",
       pool("p") + route("p", when) + route("p") + route("p", when) + route("p"),
       "a:11:1: is never reached: the route before it has no condition, expected that one last\n"},
      {"empty conditions are no condition", pool("p") + route("p", "when = {}") + route("p", when),
       "a:8:1: is never reached: the route before it has no condition, expected that one last\n"},
      {"a look as late as the end of the wait", "greet = {wait = \"2s\", early_look = \"2s\"}",
       "a:1:36: greet.early_look: is 2s, expected less than greet.wait (2s)\n"},
      {"a delay longer than the window", "greylist = {delay = \"2m\", window = \"1m\"}",
       "a:1:21: greylist.delay: is 2m, expected at most greylist.window (1m)\n"},
      {"a look later than the default wait", "greet.early_look = \"7s\"",
       "a:1:20: greet.early_look: is 7s, expected less than greet.wait (6s)\n"},
      {"a look without a wait does not matter", "greet = {wait = \"0s\", early_look = \"2s\"}", ""},
  };
  for (const Row& row : rows) EXPECT_EQ(errors_of({row.text}), row.want) << row.what;
}

TEST(Rules, ListsNeedAWaitAndSecretsOneSource) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"lists without a wait", "dnsl.sites = [\"a.example\"]\ngreet.wait = \"0s\"",
       "a:1:14: dnsl.sites: no list could answer in time with greet.wait = \"0s\", expected a wait "
       "such as \"6s\"\n"},
      {"no lists and no wait", "dnsl.sites = []\ngreet.wait = \"0s\"", ""},
      {"a secret from nowhere", "[[secret]]\nname = \"k\"",
       "a:1:1: [[secret]] with neither, expected exactly one of file and credential\n"},
      {"a secret from two places", "[[secret]]\nname = \"k\"\nfile = \"/k\"\ncredential = \"k\"",
       "a:1:1: [[secret]] with both, expected exactly one of file and credential\n"},
      {"a secret's name twice",
       "[[secret]]\nname = \"k\"\nfile = \"/k\"\n[[secret]]\nname = \"k\"\nfile = \"/l\"",
       "a:5:8: a secret called \"k\" already exists, expected each name once\n"},
  };
  for (const Row& row : rows) EXPECT_EQ(errors_of({row.text}), row.want) << row.what;
}

TEST(Rules, CountsAreBounded) {
  struct Row {
    const char* what;
    uint32_t most;
    std::string (*entry)(uint32_t);
    const char* want;
    std::string rest;
  };
  const Row rows[] = {
      {"listeners", kListenersMax,
       [](uint32_t i) { return listen(fmt::format("127.0.0.1:{}", i + 1)); },
       "one [[listen]] too many, expected at most 32", ""},
      {"pools", kPoolsMax, [](uint32_t i) { return pool(fmt::format("p{}", i)); },
       "one [[pool]] too many, expected at most 32", route("p0")},
      {"routes", kRoutesMax, [](uint32_t) { return route("p", "when.allowlisted = true"); },
       "one [[route]] too many, expected at most 256", pool("p")},
      {"secrets", kListsMax,
       [](uint32_t i) { return fmt::format("[[secret]]\nname = \"k{}\"\nfile = \"/k\"\n", i); },
       "one [[secret]] too many, expected at most 32", ""},
      {"backends", kBackendsPerPoolMax, nullptr, "has 65 entries, expected 1 to 64 entries", ""},
  };
  for (const Row& row : rows) {
    const auto text = [&](uint32_t count) {
      if (row.entry) return repeat(count, row.entry) + row.rest;
      return "[[pool]]\nname = \"p\"\nbackends = [" +
             repeat(count, [](uint32_t) -> std::string { return "\"pass:/a\", "; }) + "]";
    };
    EXPECT_EQ(errors_of({text(row.most)}), "") << row.what;
    const std::string got = errors_of({text(row.most + 1)});
    EXPECT_NE(got.find(row.want), std::string::npos) << row.what << ": " << got;
    EXPECT_EQ(std::count(got.begin(), got.end(), '\n'), 1) << row.what << ": " << got;
  }
}

TEST(Rules, WhatFollowsIsFilledIn) {
  const auto empty = parse_texts({""});
  ASSERT_TRUE(empty);
  ASSERT_EQ(empty->config->listens.size(), 1u) << "no [[listen]]: one on the loopback";
  EXPECT_EQ(empty->config->listens[0].address, Endpoint::parse("127.0.0.1:2525"));
  EXPECT_EQ(empty->config->listens[0].name, "127.0.0.1:2525");
  EXPECT_TRUE(empty->config->routes.empty());

  const auto one_pool = parse_texts({pool("p")});
  ASSERT_EQ(one_pool->config->routes.size(), 1u) << "one pool and no route: everybody goes there";
  EXPECT_EQ(one_pool->config->routes[0].pool, "p");
  EXPECT_FALSE(one_pool->config->routes[0].when.listener);
  EXPECT_TRUE(one_pool->warnings.empty());

  const auto two_pools = parse_texts({pool("p", "fallback = \"q\"") + pool("q") + route("q")});
  EXPECT_EQ(two_pools->config->pools[0].fallback_index, 1u);
  EXPECT_EQ(two_pools->config->pools[1].fallback_index, std::nullopt);
  EXPECT_EQ(two_pools->config->routes[0].pool_index, 1u);
}

TEST(Rules, TheDefaultLookGivesWayToAShortWait) {
  struct Row {
    const char* what;
    const char* text;
    int64_t want;  // ms
  };
  const Row rows[] = {
      {"the default wait has room for it", "", 1000},
      {"a short wait has none", "greet.wait = \"1s\"", 0},
      {"no wait, no look", "greet.wait = \"0s\"", 0},
      {"a look that was asked for stays", "greet = {wait = \"1s\", early_look = \"500ms\"}", 500},
  };
  for (const Row& row : rows) {
    const auto loaded = parse_texts({row.text});
    ASSERT_TRUE(loaded) << row.what;
    EXPECT_EQ(loaded->config->greet.early_look.count(), row.want) << row.what;
  }
}

TEST(Rules, WhatTheKernelCannotDoWhileItHoldsIsRefused) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"the kernel cannot keep a client for no time", "greet = {hold = \"kernel\", wait = \"0s\"}",
       "a:1:34: greet.wait: is 0s, expected 1s to 31s with greet.hold = \"kernel\"\n"},
      {"nor for longer than its steps reach", "greet = {hold = \"kernel\", wait = \"32s\"}",
       "a:1:34: greet.wait: is 32s, expected 1s to 31s with greet.hold = \"kernel\"\n"},
      {"nor does it look or speak meanwhile",
       "greet = {hold = \"kernel\", banner = \"x\", early_look = \"1s\"}",
       "a:1:36: greet.banner: the kernel says nothing with greet.hold = \"kernel\", expected \"\"\n"
       "a:1:54: greet.early_look: early talkers come at once with greet.hold = \"kernel\", "
       "expected \"0s\"\n"},
      {"what does nothing may be said",
       "greet = {hold = \"kernel\", wait = \"31s\", banner = \"\", early_look = \"0s\"}", ""},
  };
  for (const Row& row : rows) EXPECT_EQ(errors_of({row.text}), row.want) << row.what;
}

TEST(Rules, TheKernelHoldsWithoutTeaserAndEarlyLook) {
  const auto loaded = parse_texts({"greet.hold = \"kernel\""});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config->greet.hold, Hold::kKernel);
  EXPECT_EQ(loaded->config->greet.banner, "");
  EXPECT_EQ(loaded->config->greet.early_look, milliseconds(0));
}

TEST(Rules, TheKernelRoundsAWaitUp) {
  struct Row {
    int64_t asked;  // ms
    int64_t want;
  };
  const Row rows[] = {{1, 1000},     {1000, 1000},   {1001, 3000},   {3000, 3000},  {6000, 7000},
                      {7001, 15000}, {15000, 15000}, {15001, 31000}, {31000, 31000}};
  for (const Row& row : rows) {
    EXPECT_EQ(kernel_wait(milliseconds(row.asked)), milliseconds(row.want)) << row.asked;
  }
}

TEST(Rules, WarningsTellWhatHasNoEffect) {
  struct Row {
    const char* what;
    std::vector<std::string> files;
    const char* want;
  };
  const Row rows[] = {
      {"no file at all", {}, "no [[pool]]: approved clients will hear 421\n"},
      {"no pool in the file", {""}, "a: no [[pool]]: approved clients will hear 421\n"},
      {"a last route with conditions",
       {pool("p") + route("p", "when.allowlisted = false")},
       "a:5:1: the last route has conditions: clients that match no route will hear 421\n"},
      {"a last route without any", {pool("p") + route("p")}, ""},
      {"a score without lists",
       {pool("p") + route("p", "when.max_score = -2") + route("p")},
       "a:7:18: no lists are asked (dnsl.sites is empty): every client's score is 0\n"},
      {"history without a store",
       {pool("p") + route("p", "when.known = true") + route("p", "when.min_passes = 3") +
        route("p", "when.seen_for = \"1d\"") + route("p")},
       "a:7:14: nobody is remembered, every client is a stranger: give store.file, or start the "
       "gate with a STATE_DIRECTORY\n"
       "a:10:19: nobody is remembered, every client is a stranger: give store.file, or start the "
       "gate with a STATE_DIRECTORY\n"
       "a:13:17: nobody is remembered, every client is a stranger: give store.file, or start the "
       "gate with a STATE_DIRECTORY\n"},
      {"history with a store",
       {pool("p") + route("p", "when.known = true") + route("p") +
        "[store]\nfile = \"/s/clients.mdb\""},
       ""},
      {"a secret that is only the beginning of a label",
       {pool("p") + "[[secret]]\nname = \"k\"\nfile = \"/k\"\n[dnsl]\nsites = [\"$k2.example\"]"},
       "a:5:1: no site names this secret: write $k as a label of one\n"},
      {"a secret that a site names",
       {pool("p") + "[[secret]]\nname = \"k\"\nfile = \"/k\"\n[dnsl]\nsites = [\"$k.example\"]"},
       ""},
  };
  for (const Row& row : rows) {
    const auto loaded = parse_texts(row.files);
    ASSERT_TRUE(loaded) << row.what << joined(loaded.error());
    EXPECT_EQ(joined(loaded->warnings), row.want) << row.what;
  }
}

TEST(Rules, AStateDirectoryIsAStore) {
  const Source source{"a", pool("p") + route("p", "when.known = true") + route("p")};
  const auto loaded = parse({&source, 1}, {.uid = 1000, .runtime_dir = "", .state_dir = true});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(joined(loaded->warnings), "");
}

}  // namespace
}  // namespace lychgate::config
