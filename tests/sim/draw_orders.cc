// Runs in which an operator asks for sessions, and has some ended.

#include "tests/sim/scenario.h"

namespace lychgate::sim {

void draw_orders(Random& random, Scenario& scenario) {
  if (!random.one_in(4)) return;
  const uint64_t orders = random.pick<uint64_t>({1, 5, 50});
  for (uint64_t i = 0; i < orders; ++i) {
    scenario.orders.push_back(random.between(0, scenario.arrivals_last + 10000));
  }
}

}  // namespace lychgate::sim
