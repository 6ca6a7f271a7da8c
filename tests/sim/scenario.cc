// Random configurations: legal ones, as the configuration reader would accept them.

#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::sim {
namespace {

using config::Action;

Endpoint endpoint(const std::string& text) {
  const auto parsed = Endpoint::parse(text);
  LYCH_CHECK(parsed.has_value());
  return *parsed;
}

void draw_listens(Random& random, config::Config& config) {
  const uint64_t count = random.between(1, 3);
  for (uint64_t i = 0; i < count; ++i) {
    config::Listen listen;
    listen.name = fmt::format("listen-{}", i);
    const std::string address =
        random.pick<const char*>({"192.0.2.1", "0.0.0.0", "[2001:db8::25]", "[::]"});
    listen.address = endpoint(fmt::format("{}:{}", address, 25 + i));
    listen.backlog = static_cast<uint32_t>(random.pick({4, 64, 4096}));
    config.listens.push_back(listen);
  }
}

config::Backend draw_backend(Random& random, uint32_t pool, uint32_t index) {
  config::Backend backend;
  backend.weight = static_cast<uint32_t>(random.pick({1, 1, 3}));
  const std::string path = fmt::format("/run/backend-{}-{}", pool, index);
  switch (random.between(0, 4)) {
    case 0:
    case 1:
      backend.method = config::HandoffMethod::kPass;
      backend.text = "pass:" + path;
      backend.address = *SocketAddress::unix_path(path);
      break;
    case 2:
      backend.text = "unix:" + path;
      backend.address = *SocketAddress::unix_path(path);
      break;
    default:
      backend.text = fmt::format("tcp:198.51.100.{}:{}", pool, 1000 + index);
      backend.address = SocketAddress::from(endpoint(backend.text.substr(4)));
      break;
  }
  return backend;
}

void draw_pools(Random& random, config::Config& config) {
  const auto count = static_cast<uint32_t>(random.between(1, 3));
  for (uint32_t i = 0; i < count; ++i) {
    config::Pool pool;
    pool.name = fmt::format("pool-{}", i);
    const auto backends = static_cast<uint32_t>(random.between(1, 3));
    for (uint32_t n = 0; n < backends; ++n) pool.backends.push_back(draw_backend(random, i, n));
    pool.proxy = random.pick(
        {config::ProxyHeader::kNone, config::ProxyHeader::kV1, config::ProxyHeader::kV2});
    pool.connections = random.pick<uint32_t>({1, 5, 50, 1000, 1000});
    pool.connect_timeout = milliseconds(random.pick({50, 500, 3000}));
    pool.greeting_timeout = milliseconds(random.pick({100, 1000, 5000}));
    pool.take_timeout = milliseconds(random.pick({50, 500, 5000}));
    pool.wait = milliseconds(random.pick({0, 100, 1000, 5000}));
    if (i + 1 < count && random.chance(50)) {
      pool.fallback_index = static_cast<uint32_t>(random.between(i + 1, count - 1));
      pool.fallback = fmt::format("pool-{}", *pool.fallback_index);
    }
    config.pools.push_back(pool);
  }
}

void draw_routes(Random& random, config::Config& config) {
  const auto add = [&](const config::Condition& when) {
    config::Route route;
    route.pool_index = static_cast<uint32_t>(random.between(0, config.pools.size() - 1));
    route.pool = config.pools[route.pool_index].name;
    route.when = when;
    config.routes.push_back(route);
  };
  config::Condition when;
  when.allowlisted = true;
  if (random.chance(50)) add(when);
  when = {};
  when.listener = 0;
  if (random.chance(30)) add(when);
  when = {};
  when.networks = {*Network::parse("10.3.0.0/16")};
  if (random.chance(30)) add(when);
  when = {};
  when.max_score = random.pick({-1, 0, 3});
  if (random.chance(40)) add(when);
  if (!random.one_in(10)) add({});
}

void draw_screening(Random& random, config::Config& config) {
  config.limits.per_address = random.pick<uint32_t>({0, 0, 2, 5, 50, 50});
  config.limits.per_shard = random.pick<uint32_t>({0, 0, 0, 0, 10, 50});
  config.limits.held = random.pick<uint32_t>({0, 0, 0, 0, 30, 80});
  config.access.reject = random.pick({Action::kIgnore, Action::kDrop, Action::kDrop});
  config.greet.banner = random.pick<const char*>({"", "$hostname ESMTP"});
  config.greet.wait = milliseconds(random.pick({0, 20, 1000, 3000, 6000}));
  config.greet.pregreet = random.pick({Action::kIgnore, Action::kDrop, Action::kDrop});
  const auto wait = static_cast<uint64_t>(config.greet.wait.count());
  if (wait > 1 && random.chance(60)) {
    config.greet.early_look = milliseconds(random.between(1, wait - 1));
  } else {
    config.greet.early_look = milliseconds(0);
  }
}

// As before there was a dialogue: nobody talks to the gate and nothing checks backends or load.
void say_nothing(config::Config& config) {
  config::Dialogue& dialogue = config.dialogue;
  for (auto* test : {&dialogue.pipelining, &dialogue.non_smtp_command, &dialogue.bare_newline}) {
    test->enable = false;
  }
  for (config::Pool& pool : config.pools) pool.check_interval = milliseconds(0);
  config.overload.busy_at = config.overload.stress_at = config.overload.emergency_at = 100000;
}

Faults draw_faults(Random& random) {
  Faults faults;
  if (random.one_in(4)) return faults;  // a kernel on its best behaviour
  faults.late_percent = random.pick<uint64_t>({0, 5, 30});
  faults.late_max = random.pick<Time>({2, 20, 100});
  faults.busy_percent = random.pick<uint64_t>({0, 10, 50});
  faults.multishot_end_percent = random.pick<uint64_t>({0, 2, 20});
  faults.short_read_percent = random.pick<uint64_t>({0, 5, 30});
  faults.slice_percent = random.pick<uint64_t>({0, 10, 50});
  faults.no_descriptor_percent = random.pick<uint64_t>({0, 0, 1, 10});
  faults.log_error_percent = random.pick<uint64_t>({0, 5});
  faults.log_delay_max = random.pick<Time>({0, 5, 500});
  faults.pipes_max = random.pick<uint32_t>({0, 1, 3, kPipesMax, kPipesMax});
  return faults;
}

}  // namespace

IpAddress client_address(uint32_t n) {
  if (n % 7 == 3) {
    IpAddress v6 = *IpAddress::parse("2001:db8:1::");
    v6.bytes[15] = static_cast<uint8_t>(n);
    v6.bytes[14] = static_cast<uint8_t>(n >> 8);
    return v6;
  }
  // 10.1/16 is allowlisted, 10.2/16 denylisted, 10.3/16 has a route of its own.
  return IpAddress::from_v4(10u << 24 | (n % 5 + 1) << 16 | n);
}

Scenario draw_scenario(Random& random, uint32_t sessions) {
  Scenario out;
  draw_listens(random, out.config);
  draw_pools(random, out.config);
  draw_routes(random, out.config);
  draw_screening(random, out.config);
  say_nothing(out.config);
  // A buffer that trickles through a small socket counts as activity only when it is through.
  out.config.relay.idle_timeout = milliseconds(random.pick({8000, 20000, 60000}));
  out.config.drain = milliseconds(random.pick({0, 2000, 30000}));
  out.config.log.target = random.pick(
      {config::LogTarget::kStderr, config::LogTarget::kSyslog, config::LogTarget::kJournal});
  auto access = admission::AccessList::parse(
      "10.1.0.0/16 permit\n10.2.0.0/16 reject\n2001:db8:1::/48 dunno\n");
  LYCH_CHECK(access.has_value());
  out.access = std::move(*access);

  out.kernel.slots = random.pick<uint32_t>({64, 64, 128, 600});
  out.kernel.tables = random.pick<uint32_t>({1, 1, 2, 5});
  out.kernel.reserve = out.kernel.tables > 1 ? out.kernel.slots / 2 : out.kernel.slots / 16;
  out.kernel.buffers = random.pick<uint32_t>({2, 16, kRelayBuffers, kRelayBuffers});
  out.kernel.faults = draw_faults(random);
  out.bulk_relays_max = random.pick<uint32_t>({0, 2, 1000, 1000});
  // Near the wrap of the tick, which comes every 49 days.
  out.first_tick = random.one_in(3) ? 0xffffffff - static_cast<Tick>(random.between(0, 20000))
                                    : static_cast<Tick>(random.next());
  out.sessions = static_cast<uint32_t>(random.between(1, uint64_t{2} * sessions));
  out.arrivals_last = random.pick<Time>({10, 1000, 10000, 60000});
  out.addresses = random.pick<uint32_t>({5, 100, 1000, 1000});
  if (random.one_in(4)) out.stop_at = random.between(0, out.arrivals_last + 5000);
  out.rude_percent = random.pick<uint64_t>({0, 10, 50});
  out.bulk_percent = random.pick<uint64_t>({0, 5, 20});
  out.sick_percent = random.pick<uint64_t>({0, 10, 30, 100});
  out.held_elsewhere = random.pick<uint32_t>({0, 0, 20});
  out.open_elsewhere = random.pick<uint32_t>({0, 0, 2});
  // At most 600 relays with some nine buffers each cannot all stop reading when few are rude.
  const bool pipes = out.kernel.faults.pipes_max == kPipesMax || out.bulk_relays_max == 0;
  out.plenty = out.kernel.buffers == kRelayBuffers && pipes && out.rude_percent <= 10;
  draw_lists(random, out);
  draw_hold(random, out);
  draw_memory(random, out);
  draw_carry(random, out);
  draw_orders(random, out);
  if (random.one_in(2)) draw_talk(random, out);
  return out;
}

}  // namespace lychgate::sim
