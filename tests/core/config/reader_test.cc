// Texts as files: what the reader makes of single values, shapes, unknown words and several files.
// Each row gives the files a, b, ... and every error they must draw, whole and in reading order.

#include "core/config/reader.h"

#include <gtest/gtest.h>

#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

struct ErrorRow {
  const char* what;
  std::vector<std::string> files;
  const char* want;
};

void expect_errors(const std::vector<ErrorRow>& rows) {
  for (const ErrorRow& row : rows) EXPECT_EQ(errors_of(row.files), row.want) << row.what;
}

TEST(Reader, WrongTypesSayWhatWasFoundAndExpected) {
  expect_errors({
      {"a string for an integer",
       {"[limits]\nper_address = \"50\""},
       "a:2:15: limits.per_address: found the string \"50\", expected an integer such as 50\n"},
      {"a float for an integer",
       {"shards = 1.5"},
       "a:1:10: shards: found a floating-point number, expected an integer such as 50\n"},
      {"a bare number for a duration",
       {"[greet]\nwait = 6"},
       "a:2:8: greet.wait: found the integer 6, write a unit: \"6ms\", \"6s\", m, h or d\n"},
      {"a duration without its unit",
       {"[greet]\nwait = \"6\""},
       "a:2:8: greet.wait: \"6\": has no unit, write one: \"6ms\", \"6s\", m, h or d\n"},
      {"a time of day for a duration",
       {"[greet]\nwait = 00:00:06"},
       "a:2:8: greet.wait: found a time of day, expected a duration with its unit such as "
       "\"6s\"\n"},
      {"a boolean for an action",
       {"[greet]\npregreet = true"},
       "a:2:12: greet.pregreet: found the boolean true, expected \"ignore\", \"enforce\", "
        "\"defer\", \"drop\" or \"hold\"\n"},
      {"one backend without its list",
       {"[[pool]]\nname = \"p\"\nbackends = \"pass:/a\""},
       "a:3:12: pool[].backends: found the string \"pass:/a\", expected a list of backends such "
       "as [\"pass:/path\"]\n"},
      {"a number among the backends, at its own place",
       {"[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\", 25]"},
       "a:3:24: pool[].backends: found the integer 25, expected a string: a list of backends such "
       "as [\"pass:/path\"]\n"},
  });
}

TEST(Reader, ValuesOutsideTheirRangeNameIt) {
  expect_errors({
      {"an integer too large",
       {"shards = 65"},
       "a:1:10: shards: is 65, expected 0 to 64 processes\n"},
      {"an integer below zero",
       {"[limits]\nheld = -1"},
       "a:2:8: limits.held: is -1, expected 0 to 268435456 clients\n"},
      {"a duration too long",
       {"[greet]\nwait = \"2m\""},
       "a:2:8: greet.wait: is 2m, expected 0s to 1m\n"},
      {"a duration too short",
       {"[relay]\nidle_timeout = \"999ms\""},
       "a:2:16: relay.idle_timeout: is 999ms, expected 1s to 1d\n"},
      {"a banner longer than a reply may be",
       {"[greet]\nbanner = \"" + std::string(401, 'x') + "\""},
       "a:2:10: greet.banner: is 401 bytes long, expected 0 to 400 bytes\n"},
      {"the longest banner is well", {"greet.banner = \"" + std::string(400, 'x') + "\""}, ""},
      {"a banner of two lines",
       {"[greet]\nbanner = \"a\\r\\n220 b\""},
       "a:2:10: greet.banner: \"a\\u000d\\u000a220 b\": has a line break, expected one line: the "
       "gate writes the line end itself\n"},
      {"a banner in another script",
       {"[greet]\nbanner = \"gr\xc3\xbc\xc3\x9f\""},
       "a:2:10: greet.banner: \"gr\xc3\xbc\xc3\x9f\": expected printable ASCII only (RFC 5321 "
       "section 4.2)\n"},
      {"a socket path the kernel cannot take",
       {"control.socket = \"/" + std::string(107, 'x') + "\""},
       "a:1:18: control.socket: is 108 bytes long, expected 0 to 107 bytes\n"},
      {"a relative path",
       {"access.file = \"access.cidr\""},
       "a:1:15: access.file: \"access.cidr\": expected an absolute path, starting with \"/\"\n"},
      {"an empty name",
       {"[[listen]]\naddress = \"127.0.0.1:0\"\nname = \"\""},
       "a:3:8: listen[].name: is empty, expected 1 to 64 bytes\n"},
      {"a name with a blank",
       {"log.ident = \"my gate\""},
       "a:1:13: log.ident: \"my gate\": expected printable ASCII without spaces, quotes or "
       "backslashes\n"},
      {"a zero byte hidden in an address",
       {"[[listen]]\naddress = \"127.0.0.1\\u0000:25\""},
       "a:2:11: listen[].address: \"127.0.0.1\\u0000:25\" has a control character\n"},
  });
}

TEST(Reader, AWrongSiteIsToldAtItsEntryWithItsColumn) {
  expect_errors({
      {"the second of two entries",
       {"[dnsl]\nsites = [\n  \"a.example\",\n  \"b.example=127.0.0.[11..2]*3\",\n]"},
       "a:4:3: dnsl.sites: \"b.example=127.0.0.[11..2]*3\": column 20: not a range, expected n..m "
       "with n no greater than m\n"},
      {"several in one entry, as Postfix has them",
       {"dnsl.sites = [\"a.example, b.example\"]"},
       "a:1:15: dnsl.sites: \"a.example, b.example\": column 10: a comma or space, expected one "
       "site per entry and no space in it\n"},
      {"a server by its name",
       {"dns.servers = [\"localhost\"]"},
       "a:1:16: dns.servers: \"localhost\": expected a literal address, with or without a port, "
       "such as \"192.0.2.53\" or \"[2001:db8::53]:5353\"\n"},
      {"a score over nothing is a range too",
       {"dnsl.allow_threshold = 1"},
       "a:1:24: dnsl.allow_threshold: is 1, expected -32767 to 0 points\n"},
      {"a secret without a name",
       {"[[secret]]\nname = \"\"\nfile = \"/k\""},
       "a:2:8: secret[].name: is empty, expected 1 to 63 bytes\n"},
      {"a secret's name that no label can hold",
       {"[[secret]]\nname = \"a.b\"\nfile = \"/k\""},
       "a:2:8: secret[].name: \"a.b\": not the name of a secret, expected 1 to 63 letters, digits, "
       "\"_\" and \"-\"\n"},
      {"a credential with a path",
       {"[[secret]]\nname = \"a\"\ncredential = \"/run/k\""},
       "a:3:14: secret[].credential: \"/run/k\": expected the name of a credential, not a path (a "
       "path is the business of `file`)\n"},
  });
}

// Wherever an operator puts a key by mistake: the error is told and the key is not.
TEST(Reader, NoErrorRepeatsAKey) {
  const std::string key = "abcdefghijklmnopqrstuvwx24";
  const char* texts[] = {
      "dnsl.sites = [\"{}.zen.dq.spamhaus.net\"]",
      "dnsl.sites = [\"${}.zen.dq.spamhaus.net\"]",
      "dnsl.sites = [\"{}.zen.dq.spamhaus.net=127.0.0.300\"]",
      "dnsl.sites = [\"a.example*3,{}.zen.dq.spamhaus.net\"]",
      "dnsl.sites = [\"a-b.example, {}.zen.dq.spamhaus.net*3\"]",
      "dnsl.sites = [\"a.example={}\"]",
      "dnsl.sites = [\"a.example*{}\"]",
      "dnsl.sites = [\"a.example\\u0000{}\"]",
      "dnsl.sites = [\"a-{}.example*x\"]",
      "dnsl.sites = \"{}.zen.dq.spamhaus.net\"",
      "dnsl.catalogue = \"{}\"",
      "dnsl = \"{}\"",
      "secret = \"{}\"",
      "secret = [\"{}\"]",
      "[[secret]]\nname = \"{}\"\nfile = \"/k\"",
      "[[secret]]\nname = \"a {}\"\nfile = \"/k\"",
      "[[secret]]\nname = \"a\"\nfile = \"{}\"",
      "[[secret]]\nname = \"a\"\ncredential = \"k/{}\"",
      "[[secret]]\nname = \"a\"\nvalue = \"{}\"",
  };
  for (const char* text : texts) {
    std::string file = text;
    file.replace(file.find("{}"), 2, key);
    const std::string got = errors_of({file});
    EXPECT_NE(got, "") << text;
    EXPECT_EQ(got.find(key), std::string::npos) << got;
  }
}

TEST(Reader, UnknownWordsNameTheNearestKnownOne) {
  expect_errors({
      {"a key misspelt",
       {"[greet]\nwiat = \"6s\""},
       "a:2:1: unknown key \"greet.wiat\", the nearest known one is greet.wait\n"},
      {"a table misspelt, told once whatever is in it",
       {"[limit]\nper_address = 1\nheld = 2"},
       "a:1:2: unknown key \"limit\", the nearest known one is limits\n"},
      {"a key of a pool",
       {"[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\"]\nfall_back = \"q\""},
       "a:4:1: unknown key \"pool[].fall_back\", the nearest known one is pool[].fallback\n"},
      {"a quoted key is not a path",
       {"\"greet.wait\" = \"6s\""},
       "a:1:1: unknown key \"greet.wait\", the nearest known one is greet.wait\n"},
  });
}

TEST(Reader, WrongShapesSayWhichShapeWasExpected) {
  expect_errors({
      {"a value for a table",
       {"greet = 1"},
       "a:1:9: greet: found the integer 1, expected a table of keys\n"},
      {"an array of tables for a table",
       {"[[greet]]\nwait = \"1s\""},
       "a:1:1: greet: found a list, expected a table of keys\n"},
      {"a table for an array of tables",
       {"[listen]\naddress = \"127.0.0.1:0\""},
       "a:1:1: listen: found a table, expected [[listen]] entries\n"},
      {"a string among the entries",
       {"pool = [\"pass:/a\"]"},
       "a:1:9: pool: found the string \"pass:/a\", expected [[pool]] entries\n"},
      {"conditions that are no table",
       {"[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\"]\n[[route]]\npool = \"p\"\nwhen = true"},
       "a:6:8: route[].when: found the boolean true, expected a table of keys\n"},
      {"entries without what they need",
       {"[[listen]]\n[[pool]]\n[[route]]"},
       "a:1:1: [[listen]] without address, expected an address and port such as \"0.0.0.0:25\"\n"
       "a:2:1: [[pool]] without name, expected a name in quotes\n"
       "a:2:1: [[pool]] without backends, expected a list of backends such as [\"pass:/path\"]\n"
       "a:3:1: [[route]] without pool, expected a name in quotes\n"},
      {"a list deeper than any of ours",
       {"shards = [[[[[[[[[[[[1]]]]]]]]]]]]"},
       "a:1:10: shards: found a list, expected an integer such as 50\n"},
  });
}

TEST(Reader, AllErrorsOfAllFilesAreToldInOrder) {
  expect_errors({
      {"one of each kind, over three files",
       {"[greet]\nwait = 6\n[limits]\nheld = \"many\"\nshards = 1",
        "[[listen]]\naddress = \"localhost:25\"\n", "drain = \"2h\"\nusr = \"x\""},
       "a:2:8: greet.wait: found the integer 6, write a unit: \"6ms\", \"6s\", m, h or d\n"
       "a:4:8: limits.held: found the string \"many\", expected an integer such as 50\n"
       "a:5:1: unknown key \"limits.shards\", the nearest known one is shards\n"
       "b:2:11: listen[].address: \"localhost:25\": expected ADDRESS:PORT or [IPv6]:PORT with a "
       "literal address, such as \"0.0.0.0:25\" or \"[::]:25\"\n"
       "c:1:9: drain: is 2h, expected 0s to 1h\n"
       "c:2:1: unknown key \"usr\", the nearest known one is user\n"},
      {"what may stand in a file that cannot be parsed is not said to be missing",
       {"[[route]]\npool = \"p\"\nwhen.listener = \"l\"\n[limits]\nheld = -1",
        "[[pool]]\nname = \"p\nbackends = [\"pass:/a\"]"},
       "a:5:8: limits.held: is -1, expected 0 to 268435456 clients\n"
       "b:2:10: not valid TOML: Error while parsing string: unescaped control characters other "
       "than "
       "TAB (U+0009) are explicitly prohibited\n"},
  });
}

// The first four of these ended the process inside toml++ instead of coming back as an error.
TEST(Reader, BrokenTomlNeverEndsTheProcess) {
  std::string dotted_key = "a";
  while (dotted_key.size() < 500'000) dotted_key += ".a";
  struct Row {
    const char* what;
    std::string text;
    const char* want_words;
  };
  const Row rows[] = {
      {"three brackets", "[[[1]]]", "a:1:3: not valid TOML"},
      {"no key in the brackets", "[[=", "a:1:3: not valid TOML"},
      {"a letter beyond ASCII in the brackets", "[\xc3\xa4]", "a:1:2: not valid TOML"},
      {"a key of too many parts", "\n" + dotted_key + " = 1", "a:2:1: line longer than 16384"},
      {"a key of many parts", dotted_key.substr(0, 16001) + "= 1", "a:1:1: unknown key \"a\""},
      {"lists within lists", "a = " + std::string(10'000, '['), "not valid TOML"},
      {"bytes that are no text", "a = \"\xff\"", "not valid TOML"},
      {"the middle of a key", "a.", "not valid TOML"},
  };
  for (const Row& row : rows) {
    const std::string got = errors_of({row.text});
    EXPECT_NE(got.find(row.want_words), std::string::npos) << row.what << ": " << got;
  }
}

TEST(Reader, ALaterFileOverridesValuesAndAddsEntries) {
  const auto loaded = parse_texts({
      "drain = \"1s\"\ngreet = {wait = \"3s\", early_look = \"2s\"}\n"
      "[[listen]]\naddress = \"127.0.0.1:0\"\n[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\"]\n"
      "[[route]]\npool = \"p\"\nwhen.allowlisted = true\n",
      "[greet]\nwait = \"9s\"\n[[listen]]\naddress = \"[::0]:25\"\n",
      "[[pool]]\nname = \"q\"\nbackends = [\"unix:/b\"]\n[[route]]\npool = \"q\"\n",
  });
  ASSERT_TRUE(loaded) << joined(loaded.error());
  const Config& config = *loaded->config;
  EXPECT_EQ(config.drain, milliseconds(1000));
  EXPECT_EQ(config.greet.wait, milliseconds(9000));
  EXPECT_EQ(config.greet.early_look, milliseconds(2000));
  ASSERT_EQ(config.listens.size(), 2u);
  EXPECT_EQ(config.listens[1].name, "[::0]:25") << "the address as written";
  ASSERT_EQ(config.pools.size(), 2u);
  ASSERT_EQ(config.routes.size(), 2u);
  EXPECT_EQ(config.routes[1].pool_index, 1u);
  EXPECT_EQ(loaded->origins.at("greet.wait"), "b:2");
  EXPECT_EQ(loaded->origins.at("greet.early_look"), "a:2");
  EXPECT_EQ(loaded->origins.at("pool[1].name"), "c:2");
  EXPECT_FALSE(loaded->origins.contains("pool[1].wait"));
  EXPECT_TRUE(loaded->warnings.empty()) << joined(loaded->warnings);
}

TEST(Reader, RoutesFindListenersOfLaterFiles) {
  const auto loaded = parse_texts(
      {"[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\"]\n"
       "[[route]]\npool = \"p\"\nwhen = {listener = \"inside\"}\n[[route]]\npool = \"p\"\n"
       "when = {allowlisted = false, networks = [\"192.0.2.0/24\", \"2001:db8::1\"]}\n",
       "[[listen]]\naddress = \"127.0.0.1:0\"\n"
       "[[listen]]\naddress = \"127.0.0.1:0\"\nname = \"inside\"\n"});
  ASSERT_TRUE(loaded) << joined(loaded.error());
  const auto& routes = loaded->config->routes;
  EXPECT_EQ(routes[0].when.listener, 1u);
  EXPECT_EQ(routes[0].when.allowlisted, std::nullopt);
  EXPECT_EQ(routes[1].when.allowlisted, false);
  ASSERT_EQ(routes[1].when.networks.size(), 2u);
  EXPECT_EQ(routes[1].when.networks[1].prefix, 128);
}

TEST(Reader, TheControlSocketDependsOnWhoRuns) {
  struct Row {
    const char* what;
    uint32_t uid;
    const char* runtime_dir;
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"root", 0, "", "", "/run/lychgate/control.sock"},
      {"root, even with a runtime folder", 0, "/run/user/0", "", "/run/lychgate/control.sock"},
      {"a user with a runtime folder", 1000, "/run/user/1000", "", "/run/user/1000/lychgate.sock"},
      {"a user without one", 1000, "", "", "/tmp/lychgate-1000.sock"},
      {"a relative runtime folder is ignored", 1000, "run", "", "/tmp/lychgate-1000.sock"},
      {"a path in the file", 0, "", "control.socket = \"/run/x\"", "/run/x"},
      {"turned off", 0, "", "control.socket = \"\"", ""},
  };
  for (const Row& row : rows) {
    const Source source{"a", row.text};
    const auto loaded = parse({&source, 1}, {row.uid, row.runtime_dir});
    ASSERT_TRUE(loaded) << row.what << joined(loaded.error());
    EXPECT_EQ(loaded->config->control.socket, row.want) << row.what;
  }
}

TEST(Reader, TheHostNameStaysAWordForTheDaemon) {
  const auto loaded = parse_texts({"greet.banner = \"$hostname hello\""});
  EXPECT_EQ(loaded->config->greet.banner, "$hostname hello");
}

}  // namespace
}  // namespace lychgate::config
