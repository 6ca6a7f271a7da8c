// Runs in which the kernel keeps silent clients: what the operator may have written, and what the
// SYN feed may have to bear.

#include "core/daemon/syn_feed.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {
namespace {

void draw_forgers(Random& random, Scenario& scenario) {
  SynModel& syn = scenario.syn;
  syn.forged_from = random.between(0, scenario.arrivals_last);
  syn.of_clients = random.one_in(2);
  // More than the gate asks about in a second; each question costs the simulator too.
  if (random.one_in(3) && scenario.lists.size() == 1) {
    scenario.config.dns.in_flight = 100000;
    syn.forged = 200;
    syn.forged_for = 150;
    syn.ring_bytes = daemon::kSynRingBytes;
    return;
  }
  syn.forged = random.pick<uint32_t>({1, 20, 400});
  syn.forged_for = random.between(1, 2000 / (syn.forged + 3));
}

void draw_syn_feed(Random& random, Scenario& scenario) {
  if (scenario.lists.empty() || random.one_in(4)) return;
  scenario.syn.ring_bytes = random.pick({1024u, 4096u, daemon::kSynRingBytes});
  if (random.one_in(3)) return draw_forgers(random, scenario);
  // Where all questions are answered, what they bring is to be there when the client comes.
  if (scenario.answers_all) scenario.config.dns.cache = 65536;
}

// The first sum of its steps that is no shorter (RFC 6298 doubles the first second).
Time rounded(milliseconds wait) {
  Time sum = 0;
  for (Time step = 1000; sum < static_cast<Time>(wait.count()); step *= 2) sum += step;
  return sum;
}

}  // namespace

void draw_hold(Random& random, Scenario& scenario) {
  if (!random.one_in(4)) return;
  config::Greet& greet = scenario.config.greet;
  greet.hold = config::Hold::kKernel;
  greet.banner.clear();
  greet.early_look = milliseconds(0);
  greet.wait = milliseconds(random.pick({1000, 2000, 3000, 6000, 20000}));
  greet.syn_feed = random.pick({5u, 200u, 20000u});
  scenario.kernel_wait = rounded(greet.wait);
  scenario.kernel.faults.lost_ack_percent = random.pick<uint64_t>({0, 0, 10, 50});
  draw_syn_feed(random, scenario);
}

}  // namespace lychgate::sim
