// What was not said: the defaults an operator would expect, and what does not fit together.

#include "bench/flood/planning.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

Plan plan_of(Options options, std::vector<Manners> mix = {}) {
  if (options.targets.empty()) options.targets = {"127.0.0.1:2525"};
  auto wishes = read_wishes(options);
  if (!mix.empty()) wishes->mix = std::move(mix);
  return *make_plan(options, *wishes);
}

Options with(Profile profile) {
  Options out;
  out.manners.profile = profile;
  return out;
}

TEST(Plan, OfNothingButATarget) {
  const Plan plan = plan_of({});
  EXPECT_EQ(plan.targets, std::vector<Network>{*Network::parse("127.0.0.1")});
  EXPECT_EQ(plan.port, 2525);
  EXPECT_EQ(plan.sources, std::vector<Network>{*Network::parse("127.64.0.0/10")});
  EXPECT_EQ(plan.mix.size(), 1U);
  EXPECT_EQ(plan.schedule.arrivals, Arrivals::kClosed);
  EXPECT_EQ(plan.count, 1000U);
  EXPECT_EQ(plan.parallel, 1000U);
  EXPECT_EQ(plan.duration, milliseconds(60'000));
  EXPECT_EQ(plan.grace, milliseconds(30'000));
}

TEST(Plan, HoldsAllAtOnceAndLetsTheOthersTakeTurns) {
  Options zombies = with(Profile::kZombie);
  zombies.count = 1'000'000;
  EXPECT_EQ(plan_of(zombies).parallel, 1'000'000U);
  Options mail = with(Profile::kLegit);
  mail.count = 1'000'000;
  EXPECT_EQ(plan_of(mail).parallel, 1000U);
  mail.count = 5;
  EXPECT_EQ(plan_of(mail).parallel, 5U);
  Options both;
  both.count = 50'000;
  EXPECT_EQ(plan_of(both, {{.profile = Profile::kZombie}, {.profile = Profile::kLegit}}).parallel,
            1000U);
  Options wide;
  wide.parallel = 5000;
  EXPECT_EQ(plan_of(wide).count, 5000U) << "room that nobody would use is not what was meant";
  wide.parallel = 10;
  EXPECT_EQ(plan_of(wide).count, 1000U);
}

TEST(Plan, TakesADurationAsTheOnlyBound) {
  Options options = with(Profile::kHangup);
  options.duration = milliseconds(5000);
  const Plan plan = plan_of(options);
  EXPECT_EQ(plan.count, kConnectionsMax);
  EXPECT_EQ(plan.parallel, 1000U);
  EXPECT_EQ(plan.duration, milliseconds(5000));
  EXPECT_EQ(plan_of([&] {
              options.manners.profile = Profile::kZombie;
              return options;
            }())
                .parallel,
            1000U)
      << "a billion at once is not what was meant";
}

TEST(Plan, OfTheOpenLoopHasRoomForALife) {
  Options options;
  options.rate = 500;
  Plan plan = plan_of(options);
  EXPECT_EQ(plan.schedule.arrivals, Arrivals::kOpen);
  EXPECT_EQ(plan.count, 30'000U) << "a minute of them";
  EXPECT_EQ(plan.parallel, 6000U) << "10 s of them are held, and a margin";
  options.duration = milliseconds(2000);
  plan = plan_of(options);
  EXPECT_EQ(plan.count, 1000U);
  EXPECT_EQ(plan.parallel, 1000U) << "never more than there are";
  options.storm = Storm{5000, milliseconds(1000), milliseconds(100)};
  EXPECT_EQ(plan_of(options).count, 10'000U) << "a bound, not a forecast";
}

TEST(Plan, GivesACountTheTimeItNeeds) {
  Options options;
  options.rate = 100;
  options.count = 60'000;
  EXPECT_EQ(plan_of(options).duration, milliseconds(601'000));
  options.rate = 0.001;
  EXPECT_EQ(plan_of(options).duration, milliseconds(kDurationMax)) << "but no more than a day";
  options.duration = milliseconds(1000);
  EXPECT_EQ(plan_of(options).duration, milliseconds(1000)) << "what was said is said";
  Options ramp;
  ramp.ramp = Ramp{0, 100, milliseconds(10'000)};
  ramp.count = 1000;
  EXPECT_EQ(plan_of(ramp).duration, milliseconds(21'000));
  EXPECT_EQ(plan_of(ramp).schedule.rate, 100);
}

TEST(Plan, WaitsForTheLongestStay) {
  Options options;
  options.manners.hold = milliseconds(120'000);
  EXPECT_EQ(plan_of(options).grace, milliseconds(125'000));
  options.grace = milliseconds(1000);
  EXPECT_EQ(plan_of(options).grace, milliseconds(1000));
  Options quick = with(Profile::kReset);
  quick.manners.hold = milliseconds(120'000);
  EXPECT_EQ(plan_of(quick).grace, milliseconds(30'000)) << "its hold is nobody's business";
}

TEST(Plan, ChoosesSourcesWhereTheyWork) {
  struct Row {
    const char* what;
    std::vector<std::string> targets;
    std::vector<std::string> sources;
    size_t want;
  };
  const Row rows[] = {
      {"IPv4 loopback", {"127.1.0.0/22:25"}, {}, 1},
      {"IPv6 loopback", {"[::1]:25"}, {}, 0},
      {"another address", {"192.0.2.1:25"}, {}, 0},
      {"one of them another address", {"127.0.0.1:25", "192.0.2.1:25"}, {}, 0},
      {"none", {"127.0.0.1:25"}, {"none"}, 0},
      {"two that were named", {"127.0.0.1:25"}, {"127.2.0.0/16", "127.3.0.0/16"}, 2},
  };
  for (const Row& row : rows) {
    Options options;
    options.targets = row.targets;
    options.sources = row.sources;
    EXPECT_EQ(plan_of(options).sources.size(), row.want) << row.what;
  }
}

TEST(Wishes, NameTheWordThatIsWrong) {
  struct Row {
    const char* what;
    std::vector<std::string> targets;
    std::vector<std::string> sources;
    const char* want;
  };
  const Row rows[] = {
      {"a target", {"127.0.0.1"}, {}, "TARGET 127.0.0.1: no port"},
      {"two ports", {"127.0.0.1:25", "127.0.0.2:26"}, {}, "all targets of a run share one"},
      {"a source", {"127.0.0.1:25"}, {"eth0"}, "--sources: eth0 is neither"},
  };
  for (const Row& row : rows) {
    Options options;
    options.targets = row.targets;
    options.sources = row.sources;
    const auto got = read_wishes(options);
    ASSERT_FALSE(got) << row.what;
    EXPECT_EQ(got.error().code, ExitCode::kUsage) << row.what;
    EXPECT_NE(got.error().text.find(row.want), std::string::npos) << got.error().text;
  }
}

TEST(Schedule, HasAPeak) {
  EXPECT_EQ(peak_rate({.arrivals = Arrivals::kOpen, .rate = 5}), 5);
  EXPECT_EQ(peak_rate({.rate = 5, .ramp_from = 9, .ramp_over = milliseconds(1)}), 9);
  EXPECT_EQ(peak_rate({.rate = 5, .storm_rate = 7, .storm_for = milliseconds(1)}), 7);
  EXPECT_EQ(peak_rate({.rate = 5, .ramp_from = 9, .storm_rate = 7}), 5) << "neither takes place";
}

}  // namespace
}  // namespace lychgate::flood
