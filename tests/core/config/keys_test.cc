// The table of keys against the structs: every row's default, range and printing agree, and no
// field of the structs is without a row.

#include "core/config/keys.h"

#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/config/fields.h"
#include "core/config/values.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

// A file that gives one key a value, with what its section requires beside it.
std::string file_with(const Key& key, std::string_view value) {
  const std::string_view section = key.section();
  if (section.empty()) return fmt::format("{} = {}\n", key.leaf(), value);
  if (find_section(section)->count == nullptr) {
    return fmt::format("[{}]\n{} = {}\n", section, key.leaf(), value);
  }
  std::string out = fmt::format("[[{}]]\n", section.substr(0, section.size() - 2));
  for (const Key& other : keys()) {
    if (!other.required() || other.section() != section || other.name == key.name) continue;
    const std::string_view text = other.type == Type::kAddress    ? "\"127.0.0.1:0\""
                                  : other.type == Type::kBackends ? "[\"pass:/a\"]"
                                                                  : "\"p\"";
    out += fmt::format("{} = {}\n", other.leaf(), text);
  }
  out += fmt::format("{} = {}\n", key.leaf(), value);
  const bool has_source = key.name == "secret[].file" || key.name == "secret[].credential";
  if (section == "secret[]" && (!has_source || value == "\"\"")) {
    out += key.name == "secret[].credential" ? "file = \"/k\"\n" : "credential = \"k\"\n";
  }
  if (key.name == "listen[].proxy_protocol" && value == "true") out += "trusted = [\"::1\"]\n";
  if (key.name == "listen[].trusted") out += "proxy_protocol = true\n";
  if (section == "route[]") out += "[[pool]]\nname = \"p\"\nbackends = [\"pass:/a\"]\n";
  return out;
}

Config with_one_of_each() {
  Config config;
  config.listens.resize(1);
  config.pools.resize(1);
  config.routes.resize(1);
  config.secrets.resize(1);
  return config;
}

TEST(Keys, EveryDefaultIsTheStructsOwn) {
  for (const Key& key : keys()) {
    if (!key.has_standard()) continue;
    Config structs = with_one_of_each();
    EXPECT_EQ(field_text(key, structs, 0), key.standard) << key.name;
  }
}

TEST(Keys, EveryDefaultCanBeWrittenDown) {
  for (const Key& key : keys()) {
    if (!key.has_standard()) continue;
    const std::string text = file_with(key, key.standard);
    const auto loaded = parse_texts({text});
    ASSERT_TRUE(loaded) << text << joined(loaded.error());
    Config config = *loaded->config;
    EXPECT_EQ(field_text(key, config, 0), key.standard) << key.name;
  }
}

// Two values other than the default for each type, or for a key that takes only some.
std::vector<std::string> samples(const Key& key) {
  if (key.name == "pool[].fallback" || key.name == "route[].pool") return {"\"p\""};
  switch (key.type) {
    case Type::kInteger:
      return {fmt::format("{}", key.range.max), fmt::format("{}", key.range.min)};
    case Type::kDuration:
      return {toml_quoted(duration_text(milliseconds(key.range.max)))};
    case Type::kBoolean:
      return {"true", "false"};
    case Type::kWords:
      return {"[\"a\", \"B-2\"]"};
    case Type::kReplyText:
      return {"\"Call +1 555 0100.\""};
    case Type::kLevel:
      return {"\"busy\"", "\"emergency\""};
    case Type::kAction:
      return {"\"drop\"", "\"ignore\""};
    case Type::kHold:
      return {"\"kernel\""};
    case Type::kSync:
      return {"\"commit\"", "\"none\""};
    case Type::kProxyHeader:
      return {"\"v1\"", "\"none\""};
    case Type::kLogTarget:
      return {"\"journal\"", "\"file:/var/log/gate\""};
    case Type::kMetricsAddress:
    case Type::kAddress:
      return {"\"0.0.0.0:25\"", "\"[2001:db8::1]:25\""};
    case Type::kName:
      return {"\"name-1\""};
    case Type::kPath:
      return {"\"/a \\\"b\\\"/c\""};
    case Type::kBanner:
      return {"\"$hostname says \\\"hello\\\"\"", "\"\""};
    case Type::kBackends:
      return {"[\"tcp:192.0.2.7:25*3\", \"unix:/a\"]"};
    case Type::kNetworks:
      return {"[\"192.0.2.0/24\", \"2001:db8::/32\"]"};
    case Type::kListener:
      return {"\"127.0.0.1:0\""};
    case Type::kServers:
      return {"[\"192.0.2.53:53\", \"[2001:db8::53]:5353\"]"};
    case Type::kSites:
      return {"[\"a.example=127.0.0.[2..11]*-3\", \"$k.b.example\", \"C.example\"]"};
    case Type::kSecretName:
      return {"\"k_1-b\""};
    case Type::kCredential:
      return {"\"lychgate.k\""};
  }
  return {};
}

TEST(Keys, EveryRowReadsAndPrintsItsOwnField) {
  for (const Key& key : keys()) {
    if (key.name == "pool[].fallback") continue;  // its loop and its target are rules_test's
    for (const std::string& value : samples(key)) {
      std::string text = file_with(key, value);
      if (key.name == "greet.early_look") text = "greet = {wait = \"60s\", early_look = \"59s\"}";
      if (key.type == Type::kListener) text += "[[listen]]\naddress = \"127.0.0.1:0\"\n";
      const auto loaded = parse_texts({text});
      ASSERT_TRUE(loaded) << text << joined(loaded.error());
      Config config = *loaded->config;
      const std::string want = key.name == "greet.early_look" ? "\"59s\"" : value;
      EXPECT_EQ(field_text(key, config, 0), want) << key.name;
    }
  }
}

TEST(Keys, EveryRangeIsKeptAtBothEnds) {
  for (const Key& key : keys()) {
    if (!key.range.is_given()) continue;
    const auto value = [&](int64_t n) -> std::string {
      if (key.type == Type::kInteger) return fmt::format("{}", n);
      // Numbers are of 32 bits: longer ones in seconds.
      if (key.type == Type::kDuration && n > UINT32_MAX) {
        return toml_quoted(fmt::format("{}s", (n + 999) / 1000));
      }
      if (key.type == Type::kDuration) return toml_quoted(fmt::format("{}ms", n));
      return "";
    };
    if (value(0).empty()) continue;  // lengths of strings and lists: reader_test
    const std::string beyond = errors_of({file_with(key, value(key.range.max + 1))});
    EXPECT_NE(beyond.find(fmt::format("{}: is ", key.name)), std::string::npos) << beyond;
    EXPECT_NE(beyond.find("expected " + range_text(key)), std::string::npos) << beyond;
    if (key.range.min == 0) continue;
    EXPECT_NE(errors_of({file_with(key, value(key.range.min - 1))}), "") << key.name;
    EXPECT_EQ(errors_of({file_with(key, value(key.range.min))}), "") << key.name;
  }
}

TEST(Keys, EveryRowIsWrongAboutATableAndSaysSo) {
  for (const Key& key : keys()) {
    const std::string got = errors_of({file_with(key, "{}")});
    const std::string want =
        fmt::format("{}: found a table, expected {}\n", key.name, type_example(key.type));
    EXPECT_NE(got.find(want), std::string::npos) << got;
  }
}

// Each field has its own row: the structs bind to exactly this many names, or this does not
// compile.
TEST(Keys, EveryFieldOfTheStructsHasItsRow) {
  [[maybe_unused]] const auto& [shards, user, listens, limits, access, greet, dialogue, greylist,
                                tarpit, overload, dns, dnsl, secrets, pools, routes, store, relay,
                                log, control, metrics, drain, cells] = Config{};
  [[maybe_unused]] const auto& [listen_name, address, backlog, proxy_protocol, trusted,
                                proxy_timeout] = Listen{};
  [[maybe_unused]] const auto& [per_address, per_shard, held] = limits;
  [[maybe_unused]] const auto& [access_file, reject] = access;
  [[maybe_unused]] const auto& [banner, wait, early_look, hold, syn_feed, pregreet, life] = greet;
  [[maybe_unused]] const auto& [pool_name, backends, proxy, connections, connect, greeting, take,
                                pool_wait, check_interval, fallback, fallback_index] = Pool{};
  [[maybe_unused]] const auto& [route_pool, pool_index, when] = Route{};
  [[maybe_unused]] const auto& [allowlisted, networks, listener, max_score, known, min_passes,
                                seen_for, overload_level] = when;
  [[maybe_unused]] const auto& [pipelining, non_smtp, bare_newline, time_limit, count_limit,
                                error_limit, helo_required, disable_vrfy, hide, exempt, footer] =
      dialogue;
  [[maybe_unused]] const auto& [enable, test_action, test_life] = pipelining;
  [[maybe_unused]] const auto& [delay, window, grey_life] = greylist;
  [[maybe_unused]] const auto& [interval, tarpit_clients, tarpit_time] = tarpit;
  [[maybe_unused]] const auto& [busy_at, stress_at, emergency_at, relief, calm, busy, stress,
                                emergency] = overload;
  [[maybe_unused]] const auto& [greet_wait, command_limit, dns_timeout, address_limit,
                                tarpit_limit] = busy;
  [[maybe_unused]] const auto& [servers, timeout, in_flight, sockets, cache, mix_case] = dns;
  [[maybe_unused]] const auto& [sites, threshold, allow_threshold, action, life_min, life_max,
                                reason, catalogue, probe_interval, stop_over_budget] = dnsl;
  [[maybe_unused]] const auto& [secret_name, secret_file, credential] = SecretSource{};
  [[maybe_unused]] const auto& [target, file, ident] = log;
  [[maybe_unused]] const auto& [store_file, size_max, sync, ipv4_prefix, ipv6_prefix, retention,
                                failures] = store;
  [[maybe_unused]] const auto& [idle_timeout] = relay;
  [[maybe_unused]] const auto& [socket] = control;
  [[maybe_unused]] const auto& [metrics_address] = metrics;
  const size_t top = 3, listen = 6, limit = 3, access_list = 2, greeting_keys = 7;
  const size_t pool = 10;           // fallback_index follows from fallback
  const size_t route = 9;           // pool and eight conditions; pool_index follows from pool
  const size_t lists = 6 + 10 + 3;  // dns, dnsl, secret
  const size_t memory = 7;
  const size_t talk = 3 * 3 + 8 + 3;    // dialogue, greylist
  const size_t strain = 3 + 5 + 3 * 5;  // tarpit, overload
  const size_t rest = 1 + 2 + 1 + 1;    // relay; log, whose file is part of its target; control;
                                        // metrics
  EXPECT_EQ(keys().size(), top + listen + limit + access_list + greeting_keys + lists + pool +
                               route + memory + talk + strain + rest);
}

TEST(Keys, NamesAreUniqueAndSectionsStandTogether) {
  std::set<std::string_view> names;
  std::set<std::string_view> closed;
  std::string_view section;
  for (const Key& key : keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_TRUE(key.section().empty() || find_section(key.section())) << key.name;
    EXPECT_TRUE(key.sentence.ends_with('.')) << key.name;
    if (key.section() == section) continue;
    EXPECT_TRUE(closed.insert(section).second) << key.name;
    section = key.section();
  }
}

TEST(Keys, TheNearestNameIsWhatTheOperatorMeant) {
  struct Row {
    const char* what;
    const char* name;
    const char* want;
  };
  const Row rows[] = {
      {"a letter left out", "greet.wit", "greet.wait"},
      {"letters swapped", "limits.per_adress", "limits.per_address"},
      {"in a list", "pool[].backend", "pool[].backends"},
      {"at the top", "shard", "shards"},
      {"the right word in the wrong table", "early_look", "greet.early_look"},
      {"a table misspelt", "gret", "greet"},
      {"a condition outside of when", "route[].allowlisted", "route[].when.allowlisted"},
  };
  for (const Row& row : rows) EXPECT_EQ(nearest_name(row.name), row.want) << row.what;
}

}  // namespace
}  // namespace lychgate::config
