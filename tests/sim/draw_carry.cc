// Runs in which held clients are carried from the shard to itself, or away when it retires.

#include <algorithm>

#include "core/daemon/carry.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {

void draw_carry(Random& random, Scenario& scenario) {
  CarryModel& carry = scenario.carry;
  Faults& faults = scenario.kernel.faults;
  for (uint8_t i = 0; i < kListenersMax; ++i) {
    carry.listeners[i] = random.one_in(8) ? daemon::kNoListener : i;
  }
  carry.same_lists = !random.one_in(4);
  faults.carry_full_percent = random.pick<uint64_t>({0, 0, 10, 95});
  faults.carry_break_percent = random.pick<uint64_t>({0, 0, 0, 3});
  if (random.one_in(4)) {
    carry.retires = random.between(0, scenario.arrivals_last + 5000);
    carry.others_take_over = !random.one_in(3);
  }
  if (!random.one_in(3)) return;
  const uint64_t loops = random.pick<uint64_t>({1, 3, 30});
  for (uint64_t i = 0; i < loops; ++i) {
    carry.loops.push_back(random.between(0, scenario.arrivals_last + 5000));
  }
  std::sort(carry.loops.begin(), carry.loops.end());
  // While it is on its way a client counts twice or not at all.
  scenario.config.limits.per_address = 0;
  scenario.config.limits.per_shard = 0;
  scenario.config.limits.held = 0;
}

}  // namespace lychgate::sim
