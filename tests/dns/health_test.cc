// Health of a list: stories of probes, each ending with the state, the fault and the next probe.
// Every story is also told so that the ticks wrap in the middle of it.

#include "dns/health.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::dns {
namespace {

using enum ProbeOutcome;

constexpr Tick kInterval = 60'000;
constexpr std::array<ProbeOutcome, 7> kOutcomes = {
    kGood, kListedMissing, kUnlistedListed, kErrorCode, kOverQuota, kRefused, kTimedOut};

struct Story {
  const char* what;
  std::vector<ProbeOutcome> outcomes;
  ListState state;
  ListFault fault;
  Tick pause;  // from the end of the last probe to the next
  bool changed;
};

void tell(const Story& story, Tick start) {
  Tick now = start;
  ListHealth health({.interval = milliseconds{kInterval}}, now, 0);
  EXPECT_EQ(health.state(), ListState::kUnproven);
  EXPECT_EQ(health.next_probe(), now);
  bool changed = false;
  for (const ProbeOutcome outcome : story.outcomes) {
    EXPECT_TRUE(tick_reached(health.next_probe(), now)) << "never in the past";
    now = health.next_probe();
    health.probe_begun();
    EXPECT_TRUE(health.probing());
    now += 500;
    changed = health.probe_ended(outcome, now, 0);
    EXPECT_FALSE(health.probing());
  }
  EXPECT_EQ(health.state(), story.state);
  EXPECT_EQ(health.fault(), story.fault);
  EXPECT_EQ(health.next_probe() - now, story.pause);
  EXPECT_EQ(changed, story.changed);
}

void tell_all(const std::vector<Story>& stories) {
  for (const Story& story : stories) {
    for (const Tick start : {Tick{5'000'000}, Tick{0} - 100, Tick{0} - kInterval - 200}) {
      SCOPED_TRACE(testing::Message() << story.what << ", from tick " << start);
      tell(story, start);
    }
  }
}

TEST(ListHealth, IsDisabledByAnyWrongAnswer) {
  tell_all({
      {"a good list is up", {kGood}, ListState::kUp, ListFault::kNone, kInterval, true},
      {"and stays up without a word",
       {kGood, kGood},
       ListState::kUp,
       ListFault::kNone,
       kInterval,
       false},
      {"not listing its test point disables at once",
       {kGood, kListedMissing},
       ListState::kDisabled,
       ListFault::kListedMissing,
       kInterval,
       true},
      {"so does listing what nobody may list",
       {kGood, kUnlistedListed},
       ListState::kDisabled,
       ListFault::kAnswersEverything,
       kInterval,
       true},
      {"an unproven list that answers errors is disabled",
       {kErrorCode},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       kInterval,
       true},
      {"over quota disables",
       {kGood, kOverQuota},
       ListState::kDisabled,
       ListFault::kOverQuota,
       kInterval,
       true},
      {"refused once may be a resolver's bad moment: asked again after a second",
       {kGood, kRefused},
       ListState::kUp,
       ListFault::kNone,
       1000,
       false},
      {"refused twice disables",
       {kGood, kRefused, kRefused},
       ListState::kDisabled,
       ListFault::kRefused,
       kInterval,
       true},
  });
}

TEST(ListHealth, IsDisabledBySilenceOnlyTheSecondTime) {
  tell_all({
      {"one silent probe changes nothing and the next comes at once",
       {kGood, kTimedOut},
       ListState::kUp,
       ListFault::kNone,
       0,
       false},
      {"two silent probes disable",
       {kGood, kTimedOut, kTimedOut},
       ListState::kDisabled,
       ListFault::kTimedOut,
       kInterval,
       true},
      {"a good probe between them starts the count again",
       {kGood, kTimedOut, kGood, kTimedOut},
       ListState::kUp,
       ListFault::kNone,
       0,
       false},
      {"an unproven list that is silent once stays unproven",
       {kTimedOut},
       ListState::kUnproven,
       ListFault::kNone,
       0,
       false},
      {"silent twice, it is disabled",
       {kTimedOut, kTimedOut},
       ListState::kDisabled,
       ListFault::kTimedOut,
       kInterval,
       true},
      {"a disabled list keeps its fault over one silent probe",
       {kErrorCode, kTimedOut},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       0,
       false},
  });
}

TEST(ListHealth, IsAskedLessOftenWhileItIsBad) {
  tell_all({
      {"a list that stays bad is asked less often",
       {kErrorCode, kErrorCode},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       2 * kInterval,
       false},
      {"and less often",
       {kErrorCode, kErrorCode, kErrorCode},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       4 * kInterval,
       false},
      {"down to every eighth interval",
       {kErrorCode, kErrorCode, kErrorCode, kErrorCode, kErrorCode, kErrorCode},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       kBackoffMax * kInterval,
       false},
      {"a silent list is asked every second interval, since our DNS may have been away",
       {kTimedOut, kTimedOut, kTimedOut, kTimedOut, kTimedOut},
       ListState::kDisabled,
       ListFault::kTimedOut,
       2 * kInterval,
       false},
      {"so is one that is refused",
       {kRefused, kRefused, kRefused, kRefused},
       ListState::kDisabled,
       ListFault::kRefused,
       2 * kInterval,
       false},
      {"a long fault that becomes a refusal is asked more often again",
       {kErrorCode, kErrorCode, kErrorCode, kErrorCode, kRefused, kRefused},
       ListState::kDisabled,
       ListFault::kRefused,
       2 * kInterval,
       false},
      {"the latest fault is told",
       {kListedMissing, kUnlistedListed},
       ListState::kDisabled,
       ListFault::kAnswersEverything,
       2 * kInterval,
       false},
      {"one good probe brings a list back",
       {kErrorCode, kErrorCode, kErrorCode, kGood},
       ListState::kUp,
       ListFault::kNone,
       kInterval,
       true},
      {"and its backoff begins anew",
       {kErrorCode, kErrorCode, kErrorCode, kGood, kErrorCode},
       ListState::kDisabled,
       ListFault::kErrorCodes,
       kInterval,
       true},
  });
}

TEST(ListHealth, SpreadsProbesByATenthAtMost) {
  for (const uint32_t jitter : {0U, 1U, 5'999U, 6'000U, 6'001U, 123'456'789U, UINT32_MAX}) {
    SCOPED_TRACE(jitter);
    ListHealth health({.interval = milliseconds{kInterval}}, 1000, jitter);
    EXPECT_LT(health.next_probe() - 1000, 1000U) << "clients wait for the first";
    health.probe_begun();
    health.probe_ended(kGood, 2000, jitter);
    EXPECT_GE(health.next_probe() - 2000, kInterval);
    EXPECT_LE(health.next_probe() - 2000, kInterval + kInterval / 10);
  }
}

struct Suspicion {
  const char* what;
  ProbeOutcome last;
  Tick after;  // ms since the last probe ended
  bool probing;
  Tick next;  // likewise
};

void suspect(const Suspicion& row, Tick ended) {
  ListHealth health({.interval = milliseconds{kInterval}}, ended - 500, 0);
  health.probe_begun();
  health.probe_ended(row.last, ended, 0);
  if (row.probing) health.probe_begun();
  health.suspect(ended + row.after);
  EXPECT_EQ(health.next_probe() - ended, row.next);
  health.suspect(ended + row.after);
  EXPECT_EQ(health.next_probe() - ended, row.next) << "twice is once";
}

TEST(ListHealth, ProbesAtOnceWhenSuspected) {
  constexpr std::array<Suspicion, 8> kRows = {{
      {"long after the last probe: now", kGood, 20'000, false, 20'000},
      {"a second after it: now", kGood, 1'000, false, 1'000},
      {"just after it: a second after", kGood, 10, false, 1'000},
      {"at its end: a second after", kGood, 0, false, 1'000},
      {"when a probe is due anyhow: that one", kGood, 70'000, false, kInterval},
      {"while one is under way: no effect", kGood, 20'000, true, kInterval},
      {"a disabled list: no effect", kErrorCode, 20'000, false, kInterval},
      {"silent once, the next due at once: that one", kTimedOut, 10, false, 0},
  }};
  for (const Suspicion& row : kRows) {
    for (const Tick ended : {Tick{5'000'000}, Tick{0} - 5, Tick{0} - 1'000, Tick{0} - 20'000}) {
      SCOPED_TRACE(testing::Message() << row.what << ", last ended at " << ended);
      suspect(row, ended);
    }
  }
}

TEST(ListHealth, ANewListMayBeSuspected) {
  ListHealth health({.interval = milliseconds{kInterval}}, 1000, 199);
  EXPECT_EQ(health.next_probe(), 1199U);
  health.suspect(1000);
  EXPECT_EQ(health.next_probe(), 1000U) << "no probe has ended that would be too near";
}

TEST(ProbeOutcome, TheWorstOfSeveralWins) {
  // From nothing to most; a later one always wins over an earlier one.
  constexpr std::array<ProbeOutcome, 7> kMildestFirst = {
      kGood, kTimedOut, kRefused, kListedMissing, kErrorCode, kOverQuota, kUnlistedListed};
  for (size_t i = 0; i < kMildestFirst.size(); ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const ProbeOutcome mild = kMildestFirst[j];
      const ProbeOutcome worst = kMildestFirst[i];
      EXPECT_EQ(worse_of(mild, worst), worst) << j << " and " << i;
      EXPECT_EQ(worse_of(worst, mild), worst) << i << " and " << j;
    }
  }
}

TEST(ProbeOutcome, EachHasAFaultOfItsOwn) {
  std::array<int, kListFaultCount> seen{};
  for (const ProbeOutcome outcome : kOutcomes) ++seen[static_cast<size_t>(fault_of(outcome))];
  EXPECT_EQ(fault_of(kGood), ListFault::kNone);
  for (size_t fault = 0; fault < kListFaultCount; ++fault) {
    // The budget is the gate's own; no probe says it.
    const bool by_probe = fault != static_cast<size_t>(ListFault::kOverBudget);
    EXPECT_EQ(seen[fault], by_probe ? 1 : 0) << kListFaultWords[fault];
  }
}

}  // namespace
}  // namespace lychgate::dns
