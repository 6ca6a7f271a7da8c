// What answers are worth, as tables; and by brute force that a standing, once it is not open, is
// what every order of the answers still to come arrives at.

#include "core/admission/score.h"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::CodePattern;
using config::CodeRow;
using config::List;
using config::ListLine;
using config::Meaning;
using Codes = std::vector<uint32_t>;

constexpr uint32_t code(uint32_t last) {
  return 0x7f000000 | last;  // 127.0.0.last
}
constexpr uint32_t kRefusal = 0x7ffffffe;  // 127.255.255.254

// 127.0.0.first to 127.0.0.last.
CodePattern codes_between(uint32_t first, uint32_t last) {
  CodePattern pattern;
  auto& octets = pattern.octets();
  octets[0].set(127);
  octets[1].set(0);
  octets[2].set(0);
  for (uint32_t i = first; i <= last; ++i) octets[3].set(i);
  return pattern;
}

CodePattern every_code() {
  CodePattern pattern;
  for (auto& octet : pattern.octets()) octet.set();
  return pattern;
}

CodeRow row(const CodePattern& codes, Meaning meaning, int32_t weight = 0) {
  return {.codes = codes, .meaning = meaning, .weight = weight, .text = {}};
}

// 2..11 listed (2: 3 points, 4: 5 points, others 1), 20 neutral, 30 allow -2, 31 allow -5,
// 255 error, 254 over quota, 253 dead.
List example(std::vector<ListLine> lines) {
  List list;
  list.catalogued = true;
  list.codes = {row(codes_between(2, 2), Meaning::kListed, 3),
                row(codes_between(4, 4), Meaning::kListed, 5),
                row(codes_between(2, 11), Meaning::kListed, 1),
                row(codes_between(20, 20), Meaning::kNeutral),
                row(codes_between(30, 30), Meaning::kAllow, -2),
                row(codes_between(31, 31), Meaning::kAllow, -5),
                row(codes_between(253, 253), Meaning::kDead),
                row(codes_between(254, 254), Meaning::kOverQuota),
                row(codes_between(255, 255), Meaning::kError)};
  list.lines = std::move(lines);
  return list;
}

const ListLine kPlain = {.pattern = {}, .weight = {}};
const ListLine kDouble = {.pattern = {}, .weight = 2};

ListLine line(uint32_t first, uint32_t last, int32_t weight) {
  return {.pattern = codes_between(first, last), .weight = weight};
}

struct Row {
  const char* what;
  std::vector<ListLine> lines;
  Codes codes;
  ListScore want;
};

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& each : rows) {
    const ListScore got = score_answer(example(each.lines), each.codes);
    EXPECT_EQ(got.meaning, each.want.meaning) << each.what;
    EXPECT_EQ(got.weight, each.want.weight) << each.what;
    EXPECT_EQ(got.code, each.want.code) << each.what;
  }
}

TEST(Score, CountsTheCatalogueForALineWithoutPattern) {
  expect_rows({
      {"not listed", {kPlain}, {}, {Meaning::kNeutral, 0, 0}},
      {"listed, with the catalogue's weight", {kPlain}, {code(2)}, {Meaning::kListed, 3, code(2)}},
      {"the first row that matches says it", {kPlain}, {code(3)}, {Meaning::kListed, 1, code(3)}},
      {"of several records the heaviest, once",
       {kPlain},
       {code(2), code(4), code(3)},
       {Meaning::kListed, 5, code(4)}},
      {"allow is heavier the further below zero",
       {kPlain},
       {code(30), code(31)},
       {Meaning::kAllow, -5, code(31)}},
      {"magnitude decides between listed and allow",
       {kPlain},
       {code(2), code(31)},
       {Meaning::kAllow, -5, code(31)}},
      {"of equal magnitudes the client's favour, named is the first",
       {kPlain},
       {code(4), code(31)},
       {Meaning::kListed, -5, code(4)}},
      {"the line's own weight, once for all records",
       {kDouble},
       {code(2), code(4)},
       {Meaning::kListed, 2, code(2)}},
      {"a code of the catalogue that says nothing", {kDouble}, {code(20)}, {{}, 0, code(20)}},
      {"a code that nobody knows", {kDouble}, {code(99)}, {{}, 0, code(99)}},
      {"a neutral record beside one that counts",
       {kDouble},
       {code(99), code(3)},
       {Meaning::kListed, 2, code(3)}},
  });
}

TEST(Score, CountsPatternsOfTheSite) {
  expect_rows({
      {"a pattern picks the record",
       {line(4, 4, 7)},
       {code(2), code(4)},
       {Meaning::kListed, 7, code(4)}},
      {"a listing outside of the pattern does not count",
       {line(4, 4, 7)},
       {code(2)},
       {{}, 0, code(2)}},
      {"a pattern counts codes that the catalogue does not know",
       {line(99, 99, 4)},
       {code(99)},
       {Meaning::kListed, 4, code(99)}},
      {"and vouches with a negative weight",
       {line(99, 99, -4)},
       {code(99)},
       {Meaning::kAllow, -4, code(99)}},
      {"a weight of 0 only shows the listing",
       {line(99, 99, 0)},
       {code(99)},
       {Meaning::kListed, 0, code(99)}},
      {"a listing may be given a negative weight and stays a listing",
       {line(2, 2, -1)},
       {code(2)},
       {Meaning::kListed, -1, code(2)}},
      {"a pattern without weight takes the catalogue's",
       {{.pattern = codes_between(2, 4), .weight = {}}},
       {code(2), code(4)},
       {Meaning::kListed, 5, code(4)}},
      {"several lines of one list are added",
       {line(2, 11, 2), line(4, 4, 3), kDouble},
       {code(4)},
       {Meaning::kListed, 7, code(4)}},
      {"each at most once, whatever the number of records",
       {line(2, 11, 2), line(4, 4, 3)},
       {code(2), code(3), code(4), code(5)},
       {Meaning::kListed, 5, code(4)}},
      {"lines may cancel each other: the listing is still named",
       {line(2, 2, 3), line(2, 11, -3)},
       {code(2)},
       {Meaning::kListed, 0, code(2)}},
      {"of records worth the same the first is named",
       {line(2, 11, 2)},
       {code(7), code(3)},
       {Meaning::kListed, 2, code(7)}},
  });
}

TEST(Score, NeverCountsWhatAListSaysAboutItself) {
  const ListLine greedy = {.pattern = every_code(), .weight = 9};
  expect_rows({
      {"error, though a pattern wants it", {greedy}, {code(255)}, {Meaning::kError, 0, code(255)}},
      {"over quota", {greedy}, {code(254)}, {Meaning::kOverQuota, 0, code(254)}},
      {"dead", {greedy}, {code(253)}, {Meaning::kDead, 0, code(253)}},
      {"127.255.255.0/24 without a row", {greedy}, {kRefusal}, {Meaning::kError, 0, kRefusal}},
      {"its first address", {greedy}, {0x7fffff00}, {Meaning::kError, 0, 0x7fffff00}},
      {"the one before is a code like others",
       {greedy},
       {0x7ffffeff},
       {Meaning::kListed, 9, 0x7ffffeff}},
      {"a parked domain's web server", {greedy}, {0xc0000201}, {Meaning::kError, 0, 0xc0000201}},
      {"just below 127.0.0.0/8", {greedy}, {0x7effffff}, {Meaning::kError, 0, 0x7effffff}},
      {"just above it", {greedy}, {0x80000000}, {Meaning::kError, 0, 0x80000000}},
      {"one error among listings spoils the answer, wherever it stands",
       {greedy},
       {code(2), code(4), kRefusal},
       {Meaning::kError, 0, kRefusal}},
      {"the worst news is told",
       {greedy},
       {code(255), code(253), code(254)},
       {Meaning::kDead, 0, code(253)}},
      {"an allow code does not count beside an error either",
       {kPlain},
       {code(255), code(31)},
       {Meaning::kError, 0, code(255)}},
  });
}

TEST(Score, TheCatalogueMayNameARefusalButNotMakeItCount) {
  List list = example({kDouble});
  list.codes.insert(list.codes.begin(), row(every_code(), Meaning::kListed, 9));
  EXPECT_EQ(score_answer(list, Codes{kRefusal}), (ListScore{Meaning::kError, 0, kRefusal}));
  EXPECT_EQ(score_answer(list, Codes{1}), (ListScore{Meaning::kError, 0, 1}));
  list.codes[0].meaning = Meaning::kOverQuota;
  EXPECT_EQ(score_answer(list, Codes{kRefusal}), (ListScore{Meaning::kOverQuota, 0, kRefusal}));
}

TEST(Score, OfAListNobodyHasDescribedOnlyPatternsCount) {
  List list;
  list.lines = {kDouble};
  EXPECT_EQ(score_answer(list, Codes{code(2)}), (ListScore{Meaning::kNeutral, 0, code(2)}));
  list.lines = {line(2, 2, 2)};
  EXPECT_EQ(score_answer(list, Codes{code(2)}), (ListScore{Meaning::kListed, 2, code(2)}));
  EXPECT_EQ(score_answer(list, Codes{kRefusal}), (ListScore{Meaning::kError, 0, kRefusal}));
}

constexpr uint32_t kPool[] = {code(2),  code(3),  code(4),   code(20),   code(30),  code(31),
                              code(99), code(98), code(255), 0x7fffff01, 0x01020304};

// Between 1 and 3 lines: with and without pattern, with and without weight.
std::vector<ListLine> random_lines(std::mt19937& random) {
  std::vector<ListLine> lines(1 + random() % 3);
  for (ListLine& each : lines) {
    const auto first = static_cast<uint32_t>(2 + random() % 30);
    if (random() % 2 == 0) each.pattern = codes_between(first, first + 70);
    if (random() % 4 != 0) each.weight = static_cast<int32_t>(random() % 13) - 4;
  }
  return lines;
}

TEST(Score, DoesNotDependOnTheOrderOfTheRecords) {
  std::mt19937 random(20240501);
  for (int round = 0; round < 3000; ++round) {
    const List list = example(random_lines(random));
    Codes codes;
    for (const uint32_t each : kPool) {
      if (codes.size() < 4 && random() % 4 == 0) codes.push_back(each);
    }
    std::sort(codes.begin(), codes.end());
    const ListScore first = score_answer(list, codes);
    do {
      const ListScore other = score_answer(list, codes);
      ASSERT_EQ(other.weight, first.weight) << "round " << round;
      ASSERT_EQ(other.code == 0, codes.empty()) << "round " << round;
    } while (std::next_permutation(codes.begin(), codes.end()));
  }
}

config::Dnsl thresholds(int32_t threshold, int32_t allow) {
  config::Dnsl dnsl;
  dnsl.threshold = threshold;
  dnsl.allow_threshold = allow;
  return dnsl;
}

TEST(Standing, IsOpenAsLongAsAnAnswerCanChangeIt) {
  struct StandingRow {
    const char* what;
    Tally tally;
    Standing want;
    int32_t allow = -4;
  };
  const StandingRow rows[] = {
      {"nothing to come, below", {7, 0, 0}, Standing::kPassed},
      {"nothing to come, at the threshold", {8, 0, 0}, Standing::kFailed},
      {"nothing to come, at the allow threshold", {-4, 0, 0}, Standing::kAllowed},
      {"nothing to come, just above it", {-3, 0, 0}, Standing::kPassed},
      {"over, and nothing can be taken away", {8, 5, 0}, Standing::kFailed},
      {"over, but an allow list is out", {8, 0, -1}, Standing::kOpen},
      {"so far over that no allow list can help", {10, 3, -2}, Standing::kFailed},
      {"just enough to fail may come", {3, 5, 0}, Standing::kOpen},
      {"not enough to fail may come", {3, 4, 0}, Standing::kPassed},
      {"not enough to fail, but enough to be allowed", {1, 4, -5}, Standing::kOpen},
      {"not enough to be allowed either", {1, 4, -4}, Standing::kPassed},
      {"allowed, and nothing to come adds", {-6, 0, -3}, Standing::kAllowed},
      {"allowed, but a list may add too much", {-6, 3, 0}, Standing::kOpen},
      {"allowed even after the rest", {-6, 2, 0}, Standing::kAllowed},
      {"allow is off: only failing matters", {-6, 13, -9}, Standing::kPassed, 0},
      {"allow is off: far below is not allowed", {-60, 0, 0}, Standing::kPassed, 0},
      {"allow is off: may still fail", {-6, 14, 0}, Standing::kOpen, 0},
      {"allow is off: failed", {8, 0, 0}, Standing::kFailed, 0},
  };
  for (const StandingRow& each : rows) {
    EXPECT_EQ(standing(each.tally, thresholds(8, each.allow)), each.want) << each.what;
  }
}

// What each of four lists says to one client, and the bounds of what it might have said.
struct Answers {
  std::array<int32_t, 4> weight{};
  std::array<int32_t, 4> gain_max{};
  std::array<int32_t, 4> loss_max{};
};

Answers random_answers(std::mt19937& random) {
  Answers out;
  for (size_t i = 0; i < out.weight.size(); ++i) {
    const List list = example(random_lines(random));
    for (int any = 0; any < 12; ++any) {
      Codes codes;
      for (const uint32_t each : kPool) {
        if (random() % 5 == 0) codes.push_back(each);
      }
      out.weight[i] = score_answer(list, codes).weight;
      out.gain_max[i] = std::max(out.gain_max[i], out.weight[i]);
      out.loss_max[i] = std::min(out.loss_max[i], out.weight[i]);
    }
  }
  return out;
}

// Every order in which the answers may come, and at each point the wait may end, or the rest may
// never come: whoever was told a final standing was told the truth.
TEST(Standing, OnceFinalIsTheTruth) {
  std::mt19937 random(7);
  std::array<int, 4> seen{};
  int early = 0;
  for (int round = 0; round < 4000; ++round) {
    const Answers answers = random_answers(random);
    const config::Dnsl dnsl =
        thresholds(static_cast<int32_t>(1 + random() % 12), -static_cast<int32_t>(random() % 8));
    Tally whole;
    for (const int32_t weight : answers.weight) whole.score += weight;
    const Standing last = standing(whole, dnsl);
    ASSERT_NE(last, Standing::kOpen) << "when all have answered nothing is open";
    ++seen[static_cast<size_t>(last)];
    std::array<size_t, 4> order = {0, 1, 2, 3};
    do {
      Tally tally;
      for (const size_t i : order) {
        tally.gain_max += answers.gain_max[i];
        tally.loss_max += answers.loss_max[i];
      }
      for (const size_t i : order) {
        const Standing now = standing(tally, dnsl);
        if (now != Standing::kOpen) {
          ++early;
          ASSERT_EQ(now, last) << "round " << round;
          ASSERT_EQ(now, standing({.score = tally.score}, dnsl))
              << "the rest may also say nothing, round " << round;
        }
        tally.score += answers.weight[i];
        tally.gain_max -= answers.gain_max[i];
        tally.loss_max -= answers.loss_max[i];
      }
      ASSERT_EQ(tally.score, whole.score);
    } while (std::next_permutation(order.begin(), order.end()));
  }
  EXPECT_GT(seen[static_cast<size_t>(Standing::kFailed)], 100);
  EXPECT_GT(seen[static_cast<size_t>(Standing::kAllowed)], 100);
  EXPECT_GT(seen[static_cast<size_t>(Standing::kPassed)], 100);
  EXPECT_GT(early, 1000) << "it must also stop early";
}

}  // namespace
}  // namespace lychgate::admission
