// Runs in which clients are remembered: for how long, and how the steward fares.

#include "tests/sim/scenario.h"

namespace lychgate::sim {

void draw_memory(Random& random, Scenario& scenario) {
  if (random.one_in(3)) return;
  scenario.remembers = true;
  config::Config& config = scenario.config;
  const auto seconds = [&](std::initializer_list<int> choices) {
    return milliseconds(1000 * random.pick(choices));
  };
  config.greet.life = seconds({0, 2, 10, 86400, 86400});
  config.dnsl.life_min = seconds({1, 5, 60});
  config.dnsl.life_max = seconds({3, 3600});
  config.store.failures = seconds({0, 3, 600, 600});
  config.store.ipv6_prefix = random.pick<uint32_t>({64, 128});
  config.store.ipv4_prefix = random.pick<uint32_t>({32, 32, 31});
  if (random.one_in(2)) {
    scenario.steward_dies = random.between(0, scenario.arrivals_last);
    scenario.steward_dead_for = random.pick<Time>({50, 1000, 20000, 1000000});
  }
  // Routes by history go before all others.
  config::Condition when;
  const auto add = [&] {
    config::Route route;
    route.pool_index = static_cast<uint32_t>(random.between(0, config.pools.size() - 1));
    route.pool = config.pools[route.pool_index].name;
    route.when = std::exchange(when, {});
    config.routes.insert(config.routes.begin(), route);
  };
  when.min_passes = random.pick({1, 2, 5});
  if (random.one_in(2)) add();
  when = {};
  when.seen_for = seconds({1, 5});
  if (random.one_in(3)) add();
  when = {};
  when.known = random.one_in(2);
  if (random.one_in(4)) add();
}

}  // namespace lychgate::sim
