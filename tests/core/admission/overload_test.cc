// Levels as tables: what a level begins at, what keeps it, when it is left, and what it changes.

#include "core/admission/overload.h"

#include <vector>

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::OverloadLevel;

constexpr auto kNormal = OverloadLevel::kNormal;
constexpr auto kBusy = OverloadLevel::kBusy;
constexpr auto kStress = OverloadLevel::kStress;
constexpr auto kEmergency = OverloadLevel::kEmergency;

// 70, 90, 97; relief 20.
config::Overload example() {
  config::Overload overload;
  overload.calm = milliseconds{1000};
  return overload;
}

TEST(Overload, TheFullestOfAllCounts) {
  EXPECT_EQ(Load{}.fullest(), 0U);
  EXPECT_EQ((Load{.clients = 9, .backends = 1, .waiting = 2, .memory = 3}.fullest()), 9U);
  EXPECT_EQ((Load{.clients = 1, .backends = 9}.fullest()), 9U);
  EXPECT_EQ((Load{.clients = 1, .waiting = 9}.fullest()), 9U);
  EXPECT_EQ((Load{.clients = 1, .memory = 9}.fullest()), 9U);
}

TEST(Overload, OneStepFromEachLevel) {
  struct Row {
    const char* what;
    OverloadLevel from;
    uint32_t calm_for;  // since there was a reason for the level
    uint32_t fullest;
    OverloadLevel want;
    bool reason;  // for the new level, now
  };
  const Row rows[] = {
      {"nothing to do", kNormal, 0, 0, kNormal, true},
      {"just below", kNormal, 0, 69, kNormal, true},
      {"a level begins where it says", kNormal, 0, 70, kBusy, true},
      {"two levels at once", kNormal, 0, 90, kStress, true},
      {"all levels at once", kNormal, 0, 97, kEmergency, true},
      {"far over everything", kNormal, 0, 300, kEmergency, true},
      {"up from the middle", kBusy, 0, 99, kEmergency, true},
      {"kept below its beginning, within the relief", kBusy, 5000, 51, kBusy, true},
      {"no reason any more, but not calm for long enough", kBusy, 999, 50, kBusy, false},
      {"calm for long enough", kBusy, 1000, 50, kNormal, true},
      {"of two levels only one is left", kStress, 1000, 0, kBusy, true},
      {"of three, too", kEmergency, 1000, 0, kStress, true},
      {"left for the next lower one even where that one's reason has gone", kEmergency, 5000, 60,
       kStress, true},
      {"the relief of the highest level", kEmergency, 5000, 78, kEmergency, true},
      {"one below it", kEmergency, 1000, 77, kStress, true},
  };
  constexpr Tick kNow = 100000;
  for (const Row& row : rows) {
    const OverloadState from{row.from, kNow - row.calm_for};
    const OverloadState got = next_level(from, {.clients = row.fullest}, example(), kNow);
    EXPECT_EQ(got.level, row.want) << row.what;
    EXPECT_EQ(got.since, row.reason ? kNow : from.since) << row.what;
  }
}

// A load over time, one value a hundred ms; the levels that follow.
struct Story {
  explicit Story(config::Overload rules, Tick start = 0) : overload(rules), now(start) {}
  OverloadLevel at(uint32_t fullest, uint32_t times = 1) {
    for (uint32_t i = 0; i < times; ++i) {
      now += 100;
      state = next_level(state, {.clients = fullest}, overload, now);
    }
    return state.level;
  }
  config::Overload overload;
  OverloadState state;
  Tick now;
};

TEST(Overload, FallsOneLevelAfterEachCalm) {
  Story story(example());
  EXPECT_EQ(story.at(100), kEmergency);
  EXPECT_EQ(story.at(0, 9), kEmergency);
  EXPECT_EQ(story.at(0), kStress);
  EXPECT_EQ(story.at(0, 9), kStress);
  EXPECT_EQ(story.at(0), kBusy);
  EXPECT_EQ(story.at(0, 10), kNormal);
  EXPECT_EQ(story.at(0, 100), kNormal);
}

TEST(Overload, FlappingAtTheEdgeNeverLeavesEarly) {
  Story story(example());
  EXPECT_EQ(story.at(70), kBusy);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(story.at(50, 9), kBusy);
    EXPECT_EQ(story.at(51), kBusy) << "one moment of it and the calm begins anew";
  }
  EXPECT_EQ(story.at(50, 9), kBusy);
  EXPECT_EQ(story.at(50), kNormal);
}

TEST(Overload, ARiseDuringTheCalmOfAHigherLevelKeepsIt) {
  Story story(example());
  EXPECT_EQ(story.at(97), kEmergency);
  EXPECT_EQ(story.at(0, 9), kEmergency);
  EXPECT_EQ(story.at(90), kEmergency) << "a reason for stress, and within relief of emergency";
  EXPECT_EQ(story.at(0, 9), kEmergency);
  EXPECT_EQ(story.at(0), kStress);
}

TEST(Overload, TheTickMayWrap) {
  Story story(example(), 0U - 500);
  EXPECT_EQ(story.at(70), kBusy);
  EXPECT_EQ(story.at(0, 9), kBusy);
  EXPECT_EQ(story.at(0), kNormal);
  EXPECT_LT(story.now, 1000U);
}

TEST(Overload, OddRulesDoNoHarm) {
  struct Row {
    const char* what;
    uint32_t busy_at;
    uint32_t relief;
    uint32_t calm_ms;
    std::vector<uint32_t> loads;
    OverloadLevel want;
  };
  const Row rows[] = {
      {"more relief than there is: left when nothing is there", 10, 20, 0, {10, 0}, kNormal},
      {"and not before", 10, 20, 0, {10, 1}, kBusy},
      {"no calm: left at once", 70, 20, 0, {70, 50}, kNormal},
      {"no relief: kept only above", 70, 0, 0, {71, 70, 69}, kNormal},
      {"without relief its beginning is a reason, too", 70, 0, 0, {70, 70}, kBusy},
      {"a level that begins where the next does is passed over", 90, 20, 0, {90}, kStress},
      {"a level that begins behind the next is never there", 95, 20, 0, {90}, kStress},
  };
  for (const Row& row : rows) {
    config::Overload rules;
    rules.busy_at = row.busy_at;
    rules.relief = row.relief;
    rules.calm = milliseconds{row.calm_ms};
    Story story(rules);
    for (const uint32_t load : row.loads) story.at(load);
    EXPECT_EQ(story.state.level, row.want) << row.what;
  }
}

TEST(Overload, AnOverrideNeverMakesASettingLarger) {
  config::Config config;
  config.overload.busy = {.greet_wait = milliseconds{9000},
                          .command_time_limit = milliseconds{600000},
                          .dns_timeout = milliseconds{3000},
                          .per_address = 60,
                          .tarpit_clients = 1000};
  config.overload.stress = {};
  config.overload.emergency = {};
  config.limits.per_shard = 200;
  const LevelConfigs levels = level_configs(config);
  for (size_t i = 0; i < levels.size(); ++i) {
    EXPECT_EQ(levels[i].greet.wait, config.greet.wait);
    EXPECT_EQ(levels[i].dialogue.command_time_limit, config.dialogue.command_time_limit);
    EXPECT_EQ(levels[i].dns.timeout, config.dns.timeout);
    EXPECT_EQ(levels[i].limits.per_address, config.limits.per_address);
    EXPECT_EQ(tarpit_clients(config, static_cast<OverloadLevel>(i)), 100U);
  }
}

TEST(Overload, EachOverrideIsApplied) {
  config::Config config;
  config.overload.busy = {};
  config.overload.stress = {.greet_wait = milliseconds{2000},
                            .command_time_limit = milliseconds{10000},
                            .dns_timeout = milliseconds{500},
                            .per_address = 3,
                            .tarpit_clients = 7};
  config.overload.emergency = {};
  config.tarpit.clients = 50;
  const LevelConfigs levels = level_configs(config);
  EXPECT_EQ(levels[0], config);
  EXPECT_EQ(levels[1], config);
  EXPECT_EQ(levels[2].greet.wait, milliseconds{2000});
  EXPECT_EQ(levels[2].greet.early_look, config.greet.early_look);
  EXPECT_EQ(levels[2].dialogue.command_time_limit, milliseconds{10000});
  EXPECT_EQ(levels[2].dns.timeout, milliseconds{500});
  EXPECT_EQ(levels[2].limits.per_address, 3U);
  EXPECT_EQ(levels[3], levels[2]) << "what a level has, a worse one has, too";
  EXPECT_EQ(tarpit_clients(config, kNormal), 50U);
  EXPECT_EQ(tarpit_clients(config, kBusy), 50U);
  EXPECT_EQ(tarpit_clients(config, kStress), 7U);
  EXPECT_EQ(tarpit_clients(config, kEmergency), 7U);
}

TEST(Overload, TheStricterOfTwoLevelsIsKept) {
  config::Overload overload;
  overload.busy = {.greet_wait = milliseconds{1000}, .per_address = 5};
  overload.stress = {.greet_wait = milliseconds{2000}, .per_address = 2};
  EXPECT_EQ(level_settings(overload, kStress).greet_wait, milliseconds{1000});
  EXPECT_EQ(level_settings(overload, kStress).per_address, 2);
  EXPECT_EQ(level_settings(overload, kBusy).per_address, 5);
  EXPECT_EQ(level_settings(overload, kNormal), config::LevelSettings{});
}

TEST(Overload, SettingsThatAreNoBoundGetOne) {
  config::Config config;
  config.limits.per_address = 0;
  config.greet.wait = milliseconds{0};
  config.greet.early_look = milliseconds{0};
  config.overload.busy = {.greet_wait = milliseconds{2000}, .per_address = 5};
  const LevelConfigs levels = level_configs(config);
  EXPECT_EQ(levels[0].limits.per_address, 0U);
  EXPECT_EQ(levels[1].limits.per_address, 5U) << "0 is no limit";
  EXPECT_EQ(levels[1].greet.wait, milliseconds{0}) << "0 is no wait";
}

TEST(Overload, AnEarlyLookBehindTheWaitIsNone) {
  config::Config config;
  config.overload.busy = {.greet_wait = milliseconds{1000}};
  const LevelConfigs levels = level_configs(config);
  EXPECT_EQ(levels[0].greet.early_look, milliseconds{1000});
  EXPECT_EQ(levels[1].greet.early_look, milliseconds{0});
}

TEST(Overload, ATarpitMayBeClosed) {
  config::Config config;
  config.limits.per_shard = 9;
  EXPECT_EQ(tarpit_clients(config, kStress), 4U) << "half of the shard, where nothing is set";
  EXPECT_EQ(tarpit_clients(config, kEmergency), 0U) << "the default of that level";
}

}  // namespace
}  // namespace lychgate::admission
