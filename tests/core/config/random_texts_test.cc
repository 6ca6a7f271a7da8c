// Random texts through the parsers of what an operator writes about lists: any of them may be wrong
// and none may do harm. Texts are made of the words of the grammar, so that they reach its depths.
// LYCHGATE_FUZZ_SEED and LYCHGATE_FUZZ_ROUNDS choose others and more.

#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "core/config/catalogue.h"
#include "core/config/site.h"
#include "dns/catalogue.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class RandomTexts : public testing::Test {
 protected:
  RandomTexts() { RecordProperty("seed", std::to_string(seed_)); }

  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }

  std::string of(std::span<const char* const> words, size_t most) {
    std::string text;
    for (size_t i = below(most); i > 0; --i) {
      // One in eight is any byte at all.
      if (below(8) == 0) {
        text += static_cast<char>(below(256));
      } else {
        text += words[below(words.size())];
      }
    }
    return text;
  }

  uint64_t seed_ = number_from("LYCHGATE_FUZZ_SEED", 1);
  uint64_t rounds_ = number_from("LYCHGATE_FUZZ_ROUNDS", 20000);
  std::mt19937_64 random_{seed_};
};

TEST_F(RandomTexts, SitesAreWholeOrHaveAColumnOfTheirs) {
  constexpr const char* kWords[] = {
      ".", "*",   "=",   "[",        "]", ";",           "..", "-", "+",  "$k",          "a", "b",
      "2", "255", "256", "127.0.0.", "_", "zen.example", ",",  "$", "-b", "99999999999", "A"};
  size_t good = 0;
  for (uint64_t round = 0; round < rounds_; ++round) {
    const std::string text = of(kWords, 16);
    const auto site = parse_site(text);
    if (!site) {
      EXPECT_GE(site.error().column, 1u) << text << " of seed " << seed_;
      EXPECT_LE(site.error().column, text.size() + 1) << text << " of seed " << seed_;
      continue;
    }
    ++good;
    // What was taken reads the same in its own spelling.
    EXPECT_EQ(site->text, text);
    EXPECT_EQ(parse_site(site->domain)->domain, site->domain) << text << " of seed " << seed_;
  }
  EXPECT_GT(good, rounds_ / 1000);
}

TEST_F(RandomTexts, PatternsAreWholeOrHaveAColumnOfTheirs) {
  constexpr const char* kWords[] = {".", "[",   "]",   ";",        "..",     "2",    "127",
                                    "0", "255", "256", "127.0.0.", "[2..4]", "[2;3]"};
  size_t good = 0;
  for (uint64_t round = 0; round < rounds_; ++round) {
    const std::string text = of(kWords, 10);
    const auto pattern = parse_code_pattern(text);
    if (pattern) {
      ++good;
      CodePattern copy = *pattern;
      for (const auto& octet : copy.octets()) EXPECT_TRUE(octet.any()) << text;
      continue;
    }
    EXPECT_GE(pattern.error().column, 1u) << text << " of seed " << seed_;
    EXPECT_LE(pattern.error().column, text.size() + 1) << text << " of seed " << seed_;
  }
  EXPECT_GT(good, rounds_ / 1000);
}

TEST_F(RandomTexts, CataloguesOfWordsGiveProblemsAtMost) {
  constexpr const char* kWords[] = {"[[list]]\n",
                                    "zone = \"a.example\"\n",
                                    "zone = ",
                                    "keyed = true\n",
                                    "families = [\"ip4\"]\n",
                                    "families = ",
                                    "dead = \"x\"\n",
                                    "weight = 3\n",
                                    "weight = ",
                                    "daily_budget = 1\n",
                                    "test_points = \"none\"\n",
                                    "test_points = ",
                                    "test_points6 = ",
                                    "codes = ",
                                    "[",
                                    "]",
                                    "{",
                                    "}",
                                    "{code = \"127.0.0.2\", is = \"listed\"}",
                                    "\"127.0.0.1\"",
                                    ", ",
                                    "\n",
                                    "\"\"",
                                    "1",
                                    "true",
                                    "[\"127.0.0.2\", \"\"]\n",
                                    "date = \"2026-11-21\"\n",
                                    "# x\n",
                                    "reply_name = \"x\"\n"};
  for (uint64_t round = 0; round < rounds_ / 4; ++round) {
    const Source source{"a", of(kWords, 14)};
    const auto catalogue = parse_catalogue({&source, 1});
    EXPECT_TRUE(catalogue || !catalogue.error().empty()) << source.text << " of seed " << seed_;
  }
}

TEST_F(RandomTexts, TheBuiltInCatalogueWithMistakesGivesProblemsAtMost) {
  const std::string_view whole = dns::builtin_catalogue();
  for (uint64_t round = 0; round < rounds_ / 400; ++round) {
    Source source{"a", std::string(whole)};
    for (size_t mistakes = 1 + below(4); mistakes > 0; --mistakes) {
      const size_t at = below(source.text.size());
      if (below(2) == 0) {
        source.text[at] = static_cast<char>(below(256));
      } else {
        source.text.erase(at, below(40));
      }
    }
    const auto catalogue = parse_catalogue({&source, 1});
    EXPECT_TRUE(catalogue || !catalogue.error().empty()) << "of seed " << seed_;
  }
}

}  // namespace
}  // namespace lychgate::config
