// Runs in which clients talk to the gate: the tests of the dialogue, health checks, the tarpit,
// balancers in front of the gate and levels of overload.

#include "tests/sim/scenario.h"

namespace lychgate::sim {
namespace {

using config::Action;

Action draw_action(Random& random) {
  return random.pick({Action::kIgnore, Action::kEnforce, Action::kEnforce, Action::kDefer,
                      Action::kDrop, Action::kHold});
}

void draw_dialogue(Random& random, config::Config& config) {
  config::Dialogue& dialogue = config.dialogue;
  for (auto* test : {&dialogue.pipelining, &dialogue.non_smtp_command, &dialogue.bare_newline}) {
    test->enable = !random.one_in(6);
    test->action = draw_action(random);
    test->life = milliseconds(random.pick({0, 3000, 86400000}));
  }
  dialogue.command_time_limit = milliseconds(random.pick({1000, 5000, 30000, 300000}));
  dialogue.command_count_limit = random.pick<uint32_t>({4, 20, 20});
  dialogue.error_limit = random.pick<uint32_t>({1, 20, 20});
  dialogue.helo_required = random.one_in(2);
  dialogue.disable_vrfy = random.one_in(2);
  if (random.one_in(3)) dialogue.hide = {"DSN", "SIZE"};
  if (random.one_in(2)) dialogue.exempt = {"postmaster", "abuse"};
  if (random.one_in(3)) dialogue.reject_footer = "see gate.example";
  config.access.reject = draw_action(random);
  config.greet.pregreet = draw_action(random);
  config.dnsl.action = draw_action(random);
}

void draw_tarpit(Random& random, config::Tarpit& tarpit) {
  tarpit.interval = milliseconds(random.pick({100, 1000, 30000}));
  tarpit.clients = random.pick<uint32_t>({1, 3, 20});
  tarpit.time = milliseconds(random.pick({1000, 20000, 600000}));
}

void draw_overload(Random& random, Scenario& scenario) {
  config::Overload& overload = scenario.config.overload;
  if (random.one_in(2)) return;
  overload.busy_at = random.pick<uint32_t>({5, 30, 70});
  overload.stress_at = overload.busy_at + random.pick<uint32_t>({0, 10, 20});
  overload.emergency_at = overload.stress_at + random.pick<uint32_t>({0, 5, 10});
  overload.relief = random.pick<uint32_t>({0, 3, 20});
  overload.calm = milliseconds(random.pick({0, 500, 10000}));
  overload.busy.tarpit_clients = random.pick<std::optional<int32_t>>({std::nullopt, 1, 2});
  overload.busy.greet_wait = random.pick<std::optional<milliseconds>>(
      {std::nullopt, milliseconds(100), milliseconds(900)});
  overload.stress.command_time_limit = milliseconds(random.pick({1000, 2000}));
  overload.stress.dns_timeout =
      random.pick<std::optional<milliseconds>>({std::nullopt, milliseconds(200)});
  scenario.loads = random.pick<uint32_t>({0, 3, 30});
  if (scenario.answers_all) {
    overload.busy.greet_wait = overload.stress.greet_wait = overload.emergency.greet_wait =
        std::nullopt;
    overload.stress.dns_timeout = std::nullopt;
  }
  if (!random.one_in(2)) return;
  config::Route route;
  route.pool_index = static_cast<uint32_t>(random.between(0, scenario.config.pools.size() - 1));
  route.pool = scenario.config.pools[route.pool_index].name;
  route.when.overload = random.pick({config::OverloadLevel::kBusy, config::OverloadLevel::kStress});
  scenario.config.routes.insert(scenario.config.routes.begin(), route);
}

void draw_balancers(Random& random, Scenario& scenario) {
  config::Config& config = scenario.config;
  if (scenario.kernel_wait > 0 || !random.one_in(4)) return;
  for (config::Listen& listen : config.listens) {
    if (random.one_in(2)) continue;
    listen.proxy_protocol = true;
    listen.trusted = {*Network::parse("10.250.0.0/16")};
    listen.proxy_timeout = milliseconds(random.pick({200, 5000}));
  }
  // Who is counted under which address, and when, is the gate's affair.
  config.limits.per_address = config.limits.per_shard = config.limits.held = 0;
}

}  // namespace

void draw_talk(Random& random, Scenario& scenario) {
  config::Config& config = scenario.config;
  scenario.talks = true;
  config.overload = {};
  draw_dialogue(random, config);
  draw_tarpit(random, config.tarpit);
  draw_overload(random, scenario);
  draw_balancers(random, scenario);
  for (config::Pool& pool : config.pools) {
    pool.check_interval = milliseconds(random.pick({0, 300, 5000, 60000}));
  }
  // As the process would fill them in; but see draw_carry().
  config.shards = 1;
  const uint32_t all = scenario.kernel.slots * scenario.kernel.tables;
  if (config.limits.per_shard == 0 && scenario.carry.loops.empty()) config.limits.per_shard = all;
}

}  // namespace lychgate::sim
