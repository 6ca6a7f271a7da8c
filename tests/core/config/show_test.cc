// `show` prints TOML that reads back as the same configuration; docs/config.md is the manual as
// the rows give it. LYCHGATE_UPDATE_DOCS=1 writes that file instead of comparing it.

#include "core/config/show.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "core/config/keys.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

const char* const kFull =
    "shards = 2\n"
    "greet = {wait = \"60s\", banner = \"say \\\"hello\\\"\"}\n"
    "[[listen]]\naddress = \"127.0.0.1:0\"\n"
    "[[listen]]\naddress = \"[::]:25\"\nname = \"six\"\n"
    "[[pool]]\nname = \"p\"\nbackends = [\"pass:/a b*3\", \"tcp:[::1]:25\"]\nfallback = \"q\"\n"
    "[[pool]]\nname = \"q\"\nbackends = [\"unix:/b\"]\n"
    "[[route]]\npool = \"p\"\n"
    "when = {allowlisted = true, listener = \"six\", networks = [\"192.0.2.0/24\"]}\n"
    "[[route]]\npool = \"q\"\nwhen.max_score = -2\n"
    "[[route]]\npool = \"q\"\n"
    "[log]\ntarget = \"file:/var/log/gate\"\n"
    "[dns]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\nmix_case = true\n"
    "[dnsl]\nsites = [\"$k.a.example=127.0.0.[2..11]*-3\", \"B.example\"]\nthreshold = 3\n"
    "[[secret]]\nname = \"k\"\ncredential = \"lychgate.k\"\n";

std::string without_comments(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    out += line.substr(0, line.rfind(" #")) + "\n";
  }
  return out;
}

TEST(Show, TellsTheOriginOfEachLine) {
  const auto loaded = parse_texts({kFull, "greet.wait = \"7s\"\n"});
  ASSERT_TRUE(loaded) << joined(loaded.error());
  const std::string text = render(*loaded->config, loaded->origins);
  const char* wanted[] = {
      "shards = 2                               # a:1\n",
      "user = \"\"                                # default\n",
      "\n[greet]\n",
      "banner = \"say \\\"hello\\\"\"                 # a:2\n",
      "wait = \"7s\"                              # b:1\n",
      "\n[[listen]]                               # a:5\n",
      "name = \"127.0.0.1:0\"                     # default\n",
      "\n[[pool]]                                 # a:8\n",
      "backends = [\"pass:/a b*3\", \"tcp:[::1]:25\"] # a:10\n",
      "when.allowlisted = true                  # a:17\n",
      "when.listener = \"six\"                    # a:17\n",
      "when.max_score = -2                      # a:20\n",
      "target = \"file:/var/log/gate\"            # a:24\n",
      "servers = [\"192.0.2.53:53\", \"[2001:db8::53]:5353\"] # a:26\n",
      "sites = [\"$k.a.example=127.0.0.[2..11]*-3\", \"B.example\"] # a:29\n",
      "allow_threshold = -4                     # default\n",
      "credential = \"lychgate.k\"                # a:33\n",
      "socket = \"/tmp/lychgate-1000.sock\"       # default\n",
  };
  for (const char* line : wanted) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "is not in\n" << text;
  }
}

TEST(Show, ReadsBackAsTheSameConfiguration) {
  for (const char* file : {"", kFull, "greet.wait = \"0s\"",
                           "[[listen]]\naddress = \"127.0.0.1:0\"\n"
                           "[[listen]]\naddress = \"127.0.0.1:0\"\n"}) {
    const auto first = parse_texts({file});
    ASSERT_TRUE(first) << joined(first.error());
    const std::string shown = render(*first->config, first->origins);
    const auto again = parse_texts({shown});
    ASSERT_TRUE(again) << shown << joined(again.error());
    EXPECT_EQ(without_comments(render(*again->config, again->origins)), without_comments(shown));
  }
}

TEST(Show, PrintsTheDefaultOfEveryPlainKey) {
  const auto loaded = parse_texts({});
  const std::string text = render(*loaded->config, loaded->origins);
  for (const Key& key : keys()) {
    if (!key.has_standard() || key.section().ends_with("[]")) continue;
    const std::string line = std::string(key.leaf()) + " = " + std::string(key.standard) + " ";
    EXPECT_NE(text.find("\n" + line), text.starts_with(line) ? 0 : std::string::npos) << line;
  }
}

TEST(Show, TheManualHasAnEntryForEveryRow) {
  const std::string manual = render_manual();
  for (const Key& key : keys()) {
    EXPECT_NE(manual.find("\n### `" + std::string(key.name) + "`\n"), std::string::npos)
        << key.name;
  }
  EXPECT_NE(manual.find("\nduration, 0s to 1m; default: `\"6s\"`\n"), std::string::npos);
}

TEST(Show, TheManualInTheTreeIsTheOneTheRowsGive) {
  const char* update = std::getenv("LYCHGATE_UPDATE_DOCS");
  if (update != nullptr && std::string_view(update) == "1") {
    std::ofstream(LYCHGATE_MANUAL) << render_manual();
  }
  std::ostringstream content;
  content << std::ifstream(LYCHGATE_MANUAL).rdbuf();
  EXPECT_EQ(content.str(), render_manual())
      << "docs/config.md is out of date: run LYCHGATE_UPDATE_DOCS=1 core_config_test";
}

}  // namespace
}  // namespace lychgate::config
