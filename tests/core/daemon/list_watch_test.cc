// The watch over DNS lists, told the time and the answers: what a round proves, what is published,
// what is logged, and how budgets and suspicion work. No packet is sent.

#include "core/daemon/list_watch.h"

#include <algorithm>
#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr auto kL = PointAnswer::kListed;
constexpr auto kU = PointAnswer::kUnlisted;
constexpr auto kE = PointAnswer::kErrorCode;
constexpr auto kQ = PointAnswer::kOverQuota;
constexpr auto kR = PointAnswer::kRefused;
constexpr auto kT = PointAnswer::kTimedOut;

constexpr const char* kPoints[kProbePoints] = {"127.0.0.2", "127.0.0.1", "::ffff:7f00:2",
                                               "2001:db8::1"};

config::List make_list(std::string name, bool strict) {
  config::List list;
  list.name = std::move(name);
  list.strict_test_points = strict;
  list.test4 = {IpAddress::parse(kPoints[0]), IpAddress::parse(kPoints[1])};
  list.test6 = {IpAddress::parse(kPoints[2]), IpAddress::parse(kPoints[3])};
  return list;
}

// A gate of two shards with a watch over its lists; answers are given by hand.
struct Gate {
  template <typename... Lists>
  explicit Gate(Lists&&... of) {
    (lists.push_back(std::forward<Lists>(of)), ...);
    dnsl.stop_over_budget = true;
    start();
  }

  // A new watch on the old boards, too.
  void start() {
    pending.clear();
    watch.emplace(ListWatchParts{.dnsl = dnsl,
                                 .cells = cells,
                                 .lists = lists,
                                 .shared = shared,
                                 .counters = shards,
                                 .seed = 7},
                  now);
    step(milliseconds{0});
  }
  void step(milliseconds span) {
    now += to_ticks(span);
    wall += span;
    watch->advance(now, wall);
  }
  // The probes that are due now and have not been answered.
  const std::vector<Probe>& due() {
    while (const auto probe = watch->next_probe()) pending.push_back(*probe);
    return pending;
  }
  // Goes on until the list's next round is due and answers it, point by point.
  void answer_round(uint32_t list, const std::array<PointAnswer, kProbePoints>& answers) {
    const auto is_ours = [list](const Probe& probe) { return probe.list == list; };
    while (std::none_of(due().begin(), due().end(), is_ours)) step(milliseconds{50});
    for (const Probe& probe : due()) {
      if (is_ours(probe)) watch->probed(probe, answers[probe.point], now, wall);
    }
    std::erase_if(pending, is_ours);
  }
  std::vector<std::string> lines() {
    std::vector<std::string> out;
    while (auto line = watch->next_line()) out.push_back(*line);
    return out;
  }
  ListState state(uint32_t list) const {
    return static_cast<ListState>(shared.boards[list].state.load());
  }
  ListFault fault(uint32_t list) const {
    return static_cast<ListFault>(shared.boards[list].fault.load());
  }

  config::Dnsl dnsl;
  std::vector<config::List> lists;
  Cells cells;
  SharedLists shared;
  std::vector<ShardCounters> shards{2};
  Tick now = 4294960000u;  // the ticks wrap soon
  WallTime wall = WallTime(hours(24 * 20000 + 12));
  std::optional<ListWatch> watch;
  std::vector<Probe> pending;
};

TEST(ListWatch, RoundsProveWhatTheyProve) {
  struct Row {
    const char* what;
    bool strict;
    std::array<PointAnswer, kProbePoints>
        answers;  // listed v4, unlisted v4, listed v6, unlisted v6
    ListFault want;
  };
  const std::vector<Row> rows = {
      {"all points right", true, {kL, kU, kL, kU}, ListFault::kNone},
      {"v6 point not listed, catalogued", true, {kL, kU, kU, kU}, ListFault::kListedMissing},
      {"unlisted v6 point listed", true, {kL, kU, kL, kL}, ListFault::kAnswersEverything},
      {"one error code", true, {kL, kE, kL, kU}, ListFault::kErrorCodes},
      {"over quota beats error code", true, {kQ, kE, kL, kU}, ListFault::kOverQuota},
      {"answers everything beats all", true, {kQ, kL, kE, kT}, ListFault::kAnswersEverything},
      {"refused beats silence", true, {kT, kR, kT, kT}, ListFault::kRefused},
      {"undescribed, all points right", false, {kL, kU, kL, kU}, ListFault::kNone},
      {"undescribed, lists IPv4 alone", false, {kL, kU, kU, kU}, ListFault::kNone},
      {"undescribed, lists IPv6 alone", false, {kU, kU, kL, kU}, ListFault::kNone},
      {"undescribed, one family is silent", false, {kL, kU, kT, kT}, ListFault::kNone},
      {"undescribed, one family is refused", false, {kR, kR, kL, kU}, ListFault::kNone},
      {"undescribed, lists neither point", false, {kU, kU, kU, kU}, ListFault::kListedMissing},
      {"undescribed, IPv4 refused, IPv6 missing", false, {kR, kU, kU, kU}, ListFault::kRefused},
      {"undescribed, IPv4 missing, IPv6 refused", false, {kU, kU, kR, kU}, ListFault::kRefused},
      {"undescribed, all refused", false, {kR, kR, kR, kR}, ListFault::kRefused},
      {"undescribed, answers everything", false, {kL, kL, kT, kT}, ListFault::kAnswersEverything},
      {"undescribed, an error code", false, {kL, kU, kE, kU}, ListFault::kErrorCodes},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Gate gate(make_list("bl.example.net", row.strict));
    gate.answer_round(0, row.answers);
    if (row.want == ListFault::kRefused) gate.answer_round(0, row.answers);  // believed then
    EXPECT_EQ(gate.fault(0), row.want);
    EXPECT_EQ(gate.state(0), row.want == ListFault::kNone ? ListState::kUp : ListState::kDisabled);
    EXPECT_EQ(gate.lines().size(), row.want == ListFault::kNone ? 0u : 1u);
    EXPECT_TRUE(gate.watch->all_proven());
  }
}

TEST(ListWatch, SilenceIsBelievedTheSecondTime) {
  for (const bool strict : {true, false}) {
    Gate gate(make_list("bl.example.net", strict));
    gate.answer_round(0, {kT, kT, kT, kT});
    EXPECT_EQ(gate.state(0), ListState::kUnproven);
    EXPECT_FALSE(gate.watch->all_proven());
    gate.answer_round(0, {kT, kT, kT, kT});
    EXPECT_EQ(gate.fault(0), ListFault::kTimedOut);
    EXPECT_EQ(gate.lines().size(), 1u);
  }
}

TEST(ListWatch, AsksEachPointOncePerRoundAndOneRoundAtATime) {
  Gate gate(make_list("bl.example.net", true), make_list("wl.example.net", true));
  gate.step(seconds{1});
  std::set<std::pair<uint32_t, uint32_t>> asked;
  for (const Probe& probe : gate.due()) {
    EXPECT_EQ(probe.address, IpAddress::parse(kPoints[probe.point]));
    asked.insert({probe.list, probe.point});
  }
  EXPECT_EQ(asked.size(), 8u);
  gate.step(seconds{600});
  EXPECT_EQ(gate.due().size(), 8u) << "nothing more before the answers";
}

TEST(ListWatch, OneFamilyWithoutPointsIsNotAsked) {
  config::List list = make_list("bl.example.net", true);
  list.test6 = {};
  Gate gate(std::move(list));
  gate.step(milliseconds{1000});
  const auto& probes = gate.due();
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_EQ(probes[0].point, 0u);
  EXPECT_EQ(probes[1].point, 1u);
}

TEST(ListWatch, WithoutTestPointsAListIsTrustedAndNeverProbed) {
  config::List list = make_list("bl.example.net", true);
  list.test4 = list.test6 = {};
  std::vector<config::List> lists;
  lists.push_back(std::move(list));
  const config::Dnsl dnsl;
  Cells cells;
  SharedLists shared;
  std::vector<ShardCounters> shards(1);
  ListWatch watch(
      {.dnsl = dnsl, .cells = cells, .lists = lists, .shared = shared, .counters = shards}, 0);
  EXPECT_EQ(shared.boards[0].state.load(), static_cast<uint8_t>(ListState::kUp)) << "at once";
  EXPECT_EQ(shared.version.load(), 1u);
  EXPECT_TRUE(watch.all_proven());
  watch.advance(0, WallTime(seconds(86400)));
  EXPECT_EQ(shared.boards[0].since.load(), 86400);
  for (Tick now = 0; now < 300000; now += 1000) watch.advance(now, WallTime(seconds(86400)));
  EXPECT_FALSE(watch.next_probe());
  EXPECT_FALSE(watch.next_line());
}

TEST(ListWatch, SaysOnceThatAListIsAwayAndOnceThatItIsBack) {
  Gate gate(make_list("bl.example.net", true));
  gate.answer_round(0, {kL, kU, kL, kU});
  const uint32_t version = gate.shared.version.load();
  EXPECT_TRUE(gate.lines().empty()) << "a good start is no news";
  gate.answer_round(0, {kL, kU, kL, kU});
  EXPECT_EQ(gate.shared.version.load(), version);

  gate.answer_round(0, {kE, kE, kE, kE});
  EXPECT_EQ(gate.shared.boards[0].epoch.load(), 1);
  EXPECT_EQ(gate.shared.version.load(), version + 1);
  const int64_t since = gate.shared.boards[0].since.load();
  EXPECT_EQ(gate.lines(),
            std::vector<std::string>{
                "warning: DNS list bl.example.net disabled: answers with an error code: the "
                "resolver is not welcome there, or the zone name is wrong"});
  gate.answer_round(0, {kU, kU, kU, kU});
  EXPECT_EQ(gate.fault(0), ListFault::kListedMissing) << "the newest reason is shown";
  EXPECT_TRUE(gate.lines().empty()) << "but it was disabled before";
  EXPECT_EQ(gate.shared.boards[0].since.load(), since);
  EXPECT_EQ(gate.shared.boards[0].epoch.load(), 1);

  gate.step(seconds{1000});
  gate.answer_round(0, {kL, kU, kL, kU});
  EXPECT_EQ(gate.state(0), ListState::kUp);
  const auto lines = gate.lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].starts_with("DNS list bl.example.net is back after 1")) << lines[0];
  gate.answer_round(0, {kL, kL, kL, kU});
  EXPECT_EQ(gate.shared.boards[0].epoch.load(), 2);
}

TEST(ListWatch, ANewWatchKeepsWhatTheOldOneKnew) {
  Gate gate(make_list("down.example.net", true), make_list("up.example.net", true));
  gate.answer_round(0, {kE, kE, kE, kE});
  gate.answer_round(1, {kL, kU, kL, kU});
  EXPECT_EQ(gate.lines().size(), 1u);
  const int64_t since = gate.shared.boards[0].since.load();
  gate.step(seconds{125});

  gate.start();
  EXPECT_EQ(gate.state(0), ListState::kDisabled);
  EXPECT_EQ(gate.fault(0), ListFault::kErrorCodes);
  EXPECT_EQ(gate.shared.boards[0].since.load(), since);
  EXPECT_EQ(gate.state(1), ListState::kUp);
  EXPECT_FALSE(gate.watch->all_proven()) << "but both are asked again";
  const Tick begin = gate.now;
  gate.answer_round(0, {kL, kU, kL, kU});
  EXPECT_LE(gate.now - begin, 1000u) << "at once, not after a long pause";
  EXPECT_EQ(gate.lines(), std::vector<std::string>{"DNS list down.example.net is back after 2m5s"});
}

TEST(ListWatch, ErrorsAndSilenceOfLookupsBringAProbeForward) {
  struct Row {
    const char* what;
    uint64_t errors, failed, timeouts, answered;
    bool want_probe;
  };
  const std::vector<Row> rows = {
      {"nothing happens", 0, 0, 0, 0, false},
      {"one error code", 1, 0, 0, 50, true},
      {"ten lost and nothing answered", 0, 4, 6, 0, true},
      {"nine lost", 0, 0, 9, 0, false},
      {"many lost, but some answered", 0, 100, 100, 1, false},
      {"many answered", 0, 0, 0, 1000, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Gate gate(make_list("bl.example.net", true));
    ListCounters::add(gate.shards[1].lists[0].errors, 5);  // before the watch looked first
    gate.start();
    gate.answer_round(0, {kL, kU, kL, kU});
    gate.step(seconds{5});
    EXPECT_TRUE(gate.due().empty());
    ListCounters& counts = gate.shards[1].lists[0];
    ListCounters::add(counts.errors, row.errors);
    ListCounters::add(counts.failed, row.failed);
    ListCounters::add(counts.timeouts, row.timeouts);
    ListCounters::add(counts.answered, row.answered);
    gate.step(seconds{1});
    EXPECT_EQ(!gate.due().empty(), row.want_probe);
  }
}

TEST(ListWatch, ABudgetIsTwiceWarnedOfAndThenKept) {
  config::List list = make_list("bl.example.net", true);
  list.daily_budget = 1000;
  Gate gate(std::move(list));
  gate.answer_round(0, {kL, kU, kL, kU});
  const auto use = [&](uint64_t queries) {
    ListCounters::add(gate.shards[0].lists[0].queries, queries / 2);
    ListCounters::add(gate.shards[1].lists[0].queries, queries - queries / 2);
    gate.step(seconds{1});
    return gate.lines();
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(use(499), Lines{});
  EXPECT_EQ(use(1),
            Lines{"warning: DNS list bl.example.net: 50 % of its 1000 queries a day are used up"});
  EXPECT_EQ(use(200), Lines{});
  EXPECT_EQ(use(100),
            Lines{"warning: DNS list bl.example.net: 80 % of its 1000 queries a day are used up"});
  EXPECT_EQ(use(250),
            Lines{"warning: DNS list bl.example.net disabled: has had its queries of the day "
                  "(1000); it is asked again from 00:00 UTC"});
  EXPECT_EQ(gate.fault(0), ListFault::kOverBudget);
  EXPECT_EQ(use(1), Lines{});

  gate.start();  // a new shard on the same day
  EXPECT_EQ(gate.fault(0), ListFault::kOverBudget);
  gate.step(seconds{3600});
  EXPECT_TRUE(gate.due().empty()) << "probes are queries too";
  EXPECT_EQ(gate.lines(), Lines{});
  EXPECT_EQ(queries_today(gate.shared, gate.shards, 0), 1051u);

  gate.step(hours{12});
  EXPECT_EQ(queries_today(gate.shared, gate.shards, 0), 0u);
  gate.answer_round(0, {kL, kU, kL, kU});
  EXPECT_EQ(gate.state(0), ListState::kUp);
  EXPECT_EQ(gate.lines(), Lines{"DNS list bl.example.net is back after 13h0m"});
  EXPECT_EQ(use(500),
            Lines{"warning: DNS list bl.example.net: 50 % of its 1000 queries a day are used up"});
  gate.start();
  EXPECT_EQ(use(1), Lines{}) << "the predecessor has said it";
}

// By default: the lookups that we count may have been answered by a resolver's cache.
TEST(ListWatch, ABudgetThatStopsNothingIsWarnedOfThreeTimes) {
  config::List list = make_list("bl.example.net", false);
  list.daily_budget = 10;
  Gate gate(std::move(list));
  gate.dnsl.stop_over_budget = false;
  gate.start();
  gate.answer_round(0, {kL, kU, kL, kU});
  size_t lines = 0;
  for (int queries = 0; queries < 20; ++queries) {
    ListCounters::add(gate.shards[0].lists[0].queries);
    gate.step(seconds{1});
    lines += gate.lines().size();
  }
  EXPECT_EQ(lines, 3u);
  EXPECT_EQ(gate.state(0), ListState::kUp);
}

// A flood once disabled every list: its probes had been given up in our own queue.
TEST(ListWatch, AProbeThatWasNeverSentSaysNothing) {
  constexpr auto kN = PointAnswer::kNotAsked;
  Gate gate(make_list("bl.example.net", true));
  gate.answer_round(0, {kL, kU, kL, kU});
  for (int round = 0; round < 5; ++round) gate.answer_round(0, {kN, kT, kN, kU});
  EXPECT_EQ(gate.state(0), ListState::kUp);
  EXPECT_EQ(gate.lines().size(), 0u);
  gate.answer_round(0, {kE, kU, kL, kU});
  EXPECT_EQ(gate.fault(0), ListFault::kErrorCodes) << "the next whole round counts";
}

TEST(ListWatch, ATrustedListComesBackWhenTheDayEnds) {
  config::List list = make_list("bl.example.net", false);
  list.test4 = list.test6 = {};
  list.daily_budget = 10;
  Gate gate(std::move(list));
  ListCounters::add(gate.shards[0].lists[0].queries, 10);
  gate.step(seconds{1});
  EXPECT_EQ(gate.fault(0), ListFault::kOverBudget);
  gate.start();
  EXPECT_EQ(gate.fault(0), ListFault::kOverBudget) << "a new shard forgets nothing";
  EXPECT_EQ(gate.lines().size(), 0u);
  gate.step(hours{13});
  EXPECT_EQ(gate.state(0), ListState::kUp);
  EXPECT_EQ(gate.lines().size(), 1u);
}

TEST(ListWatch, WakesForTheNextProbeAndOnceASecond) {
  Gate none;
  EXPECT_FALSE(none.watch->next_wake());
  Gate gate(make_list("bl.example.net", true));
  EXPECT_LE(*gate.watch->next_wake() - gate.now, 200u) << "the first probe";
  gate.answer_round(0, {kL, kU, kL, kU});
  EXPECT_LE(*gate.watch->next_wake() - gate.now, 1000u);
}

}  // namespace
}  // namespace lychgate::daemon
