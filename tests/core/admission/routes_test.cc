// Routes as tables: the first whose conditions all hold, or none.

#include "core/admission/routes.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/slots.h"

namespace lychgate::admission {
namespace {

config::Route route(config::Condition when) {
  config::Route out;
  out.when = std::move(when);
  return out;
}

Network network(const char* text) {
  return Network::parse(text).value();
}

// 0: allowlisted; 1: two networks on listener 1; 2: a network; 3: not allowlisted on listener 2.
config::Config example() {
  config::Config config;
  config.routes.push_back(
      route({.allowlisted = true, .networks = {}, .listener = {}, .max_score = {}}));
  config.routes.push_back(route({.allowlisted = {},
                                 .networks = {network("192.0.2.0/24"), network("2001:db8::/32")},
                                 .listener = 1,
                                 .max_score = {}}));
  config.routes.push_back(route({.allowlisted = {},
                                 .networks = {network("192.0.2.128/25")},
                                 .listener = {},
                                 .max_score = {}}));
  config.routes.push_back(
      route({.allowlisted = false, .networks = {}, .listener = 2, .max_score = {}}));
  return config;
}

TEST(Routes, AreTakenInOrder) {
  struct Row {
    const char* what;
    int evidence;
    const char* address;
    uint8_t listener;
    std::optional<uint32_t> want;
  };
  const Row rows[] = {
      {"allowlisted takes the first route", kAllowlisted, "192.0.2.1", 1, 0},
      {"network and listener both hold", 0, "192.0.2.1", 1, 1},
      {"the second network of the same route", 0, "2001:db8::1", 1, 1},
      {"right network, wrong listener: goes on to a later route", 0, "192.0.2.129", 0, 2},
      {"right listener, wrong network: no route", 0, "198.51.100.1", 1, std::nullopt},
      {"the earlier of two matching routes", 0, "192.0.2.129", 1, 1},
      {"allowlisted = false holds for everybody else", kWaited, "198.51.100.1", 2, 3},
      {"nothing matches", 0, "198.51.100.1", 0, std::nullopt},
  };
  const config::Config config = example();
  for (const Row& row : rows) {
    const RouteFacts facts{static_cast<uint16_t>(row.evidence),
                           IpAddress::parse(row.address).value(), row.listener};
    EXPECT_EQ(choose_route(facts, config), row.want) << row.what;
  }
}

// 0: at most -2 and from a network; 1: at most -2; 2: at most 3; 3: everybody.
TEST(Routes, FollowTheScoreOfTheDnsLists) {
  config::Config config;
  for (const int max : {-2, -2, 3}) {
    config.routes.emplace_back();
    config.routes.back().when.max_score = max;
  }
  config.routes[0].when.networks = {network("192.0.2.0/24")};
  config.routes.emplace_back();
  struct Row {
    const char* what;
    const char* address;
    int16_t score;
    uint32_t want;
  };
  const Row rows[] = {
      {"the limit itself holds", "192.0.2.1", -2, 0},
      {"below it too", "192.0.2.1", -300, 0},
      {"score and network must both hold", "198.51.100.1", -2, 1},
      {"one above the limit goes on to a later route", "192.0.2.1", -1, 2},
      {"of whom nothing is known the score is 0", "192.0.2.1", 0, 2},
      {"a positive limit", "192.0.2.1", 3, 2},
      {"over every limit", "192.0.2.1", 4, 3},
  };
  for (const Row& row : rows) {
    const RouteFacts facts{.address = IpAddress::parse(row.address).value(), .score = row.score};
    EXPECT_EQ(choose_route(facts, config), row.want) << row.what;
  }
}

// 0: known; 1: ten visits and a week; 2: three visits; 3: everybody.
TEST(Routes, FollowWhatIsRemembered) {
  config::Config config;
  config.routes.emplace_back().when.known = true;
  config.routes.emplace_back().when.min_passes = 10;
  config.routes.back().when.seen_for = std::chrono::hours(7 * 24);
  config.routes.emplace_back().when.min_passes = 3;
  config.routes.emplace_back();
  constexpr Seconds kWeek = 7 * 86400;
  struct Row {
    const char* what;
    int evidence;
    uint32_t passes;
    Seconds seen_for;
    uint32_t want;
  };
  const Row rows[] = {
      {"a stranger", kWaited, 0, 0, 3},
      {"let on without a test", kRemembered, 1, 5, 0},
      {"allowlisted is not known", kAllowlisted | kRemembered, 0, 0, 3},
      {"often, but not for long", kWaited, 10, kWeek - 1, 2},
      {"often and for long", kWaited, 10, kWeek, 1},
      {"for long, but not often", kWaited, 9, kWeek, 2},
      {"seldom", kWaited, 2, kWeek, 3},
  };
  for (const Row& row : rows) {
    const RouteFacts facts{.evidence = static_cast<uint16_t>(row.evidence),
                           .address = {},
                           .passes = row.passes,
                           .seen_for = row.seen_for};
    EXPECT_EQ(choose_route(facts, config), row.want) << row.what;
  }
  EXPECT_TRUE(routes_by_history(config));
  config.routes.erase(config.routes.begin() + 1, config.routes.begin() + 3);
  EXPECT_FALSE(routes_by_history(config)) << "known is in the evidence";
}

// 0: permitted; 1: under stress; 2: everybody.
TEST(Routes, FollowTheLevelOfOverload) {
  using config::OverloadLevel;
  config::Config config;
  config.routes.emplace_back().when.allowlisted = true;
  config.routes.emplace_back().when.overload = OverloadLevel::kStress;
  config.routes.emplace_back();
  struct Row {
    const char* what;
    int evidence;
    OverloadLevel level;
    uint32_t want;
  };
  const Row rows[] = {
      {"at other times", 0, OverloadLevel::kNormal, 2},
      {"at a lesser level", 0, OverloadLevel::kBusy, 2},
      {"at the level itself", 0, OverloadLevel::kStress, 1},
      {"at a worse one", 0, OverloadLevel::kEmergency, 1},
      {"preferred clients keep their route", kAllowlisted, OverloadLevel::kEmergency, 0},
  };
  for (const Row& row : rows) {
    const RouteFacts facts{
        .evidence = static_cast<uint16_t>(row.evidence), .address = {}, .overload = row.level};
    EXPECT_EQ(choose_route(facts, config), row.want) << row.what;
  }
}

TEST(Routes, AreCertainOnceNoAnswerCanCrossALimit) {
  config::Config config;
  for (const int32_t most : {-8, 3}) config.routes.emplace_back().when.max_score = most;
  config.routes.emplace_back();
  struct Row {
    const char* what;
    Tally tally;
    bool want;
  };
  const Row rows[] = {
      {"nothing is missing", {.score = -8}, true},
      {"nothing that is missing counts", {.score = -5, .gain_max = 3, .loss_max = -2}, true},
      {"may come down to the limit", {.score = -5, .gain_max = 0, .loss_max = -3}, false},
      {"may rise above the limit it holds", {.score = -8, .gain_max = 1}, false},
      {"stays below it", {.score = -9, .gain_max = 1, .loss_max = -20}, true},
      {"may rise above the other", {.score = 3, .gain_max = 1}, false},
  };
  for (const Row& row : rows) EXPECT_EQ(route_is_certain(row.tally, config), row.want) << row.what;
  EXPECT_TRUE(route_is_certain({.score = -5, .gain_max = 100, .loss_max = -100}, {}));
}

TEST(Routes, WithoutConditionsMatchAlways) {
  config::Config config;
  EXPECT_EQ(choose_route({}, config), std::nullopt) << "no route at all";
  config.routes.emplace_back();
  EXPECT_EQ(choose_route({}, config), 0U);
}

}  // namespace
}  // namespace lychgate::admission
