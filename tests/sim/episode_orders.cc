// The part of a run in which the operator has orders: what the shard reports must be so, an order
// to end sessions ends those it tells of and no others, and the counters say the same.

#include <set>
#include <vector>

#include "core/daemon/orders.h"
#include "tests/sim/episode.h"

namespace lychgate::sim {
namespace {

constexpr uint16_t phases(std::initializer_list<Phase> these) {
  unsigned bits = 0;
  for (const Phase phase : these) bits |= 1U << static_cast<unsigned>(phase);
  return static_cast<uint16_t>(bits);
}

}  // namespace

void Episode::plan_orders() {
  for (const Time when : scenario_.orders) {
    agenda_.at(when, [this] {
      ++orders_due_;
      reactor_.interrupt();
    });
  }
}

daemon::Order Episode::draw_order() {
  daemon::Order order;
  order.id = static_cast<uint32_t>(random_.next());
  if (random_.one_in(2)) {
    order.from_slot = static_cast<uint32_t>(random_.between(0, uint64_t{slots_.size()} + 5));
  }
  order.slots_max = random_.pick<uint32_t>({1, 64, daemon::kSlotsPerOrder});
  order.rows_max = random_.pick<uint16_t>({0, 1, 5, daemon::kRowsPerReport});
  order.kill = random_.one_in(2);
  order.filter.phases = random_.pick<uint16_t>({0xffff, phases({Phase::kSilentWait}),
                                                phases({Phase::kQueued, Phase::kRelay}),
                                                phases({Phase::kDialogue, Phase::kTarpit})});
  order.filter.age_min = random_.pick<Tick>({0, 0, 1000});
  if (random_.one_in(3)) {
    const auto number = static_cast<uint32_t>(random_.between(0, scenario_.addresses));
    order.filter.network = {.base = client_address(number), .prefix = 128};
  }
  return order;
}

void Episode::check_row(const daemon::Order& order, const daemon::SessionRow& row, uint32_t index) {
  if (index == kNobody) return reactor_.violation("a session of nobody");
  const ClientScript& script = world_.clients()[index]->script();
  const uint8_t listener = shard_->retired() ? scenario_.carry.listeners[script.listener]
                                             : static_cast<uint8_t>(script.listener);
  const bool balancer = script.proxied() && row.address == script.peer.address;
  const bool same = (row.address == script.from.address || balancer) &&
                    row.port == script.from.port && row.listener == listener;
  if (!same) reactor_.violation("a session under another's name");
  const Network& network = order.filter.network;
  const bool meant = (order.filter.phases >> static_cast<unsigned>(row.phase) & 1) != 0 &&
                     row.age >= order.filter.age_min &&
                     (network.prefix == 0 || network.contains(row.address));
  if (!meant) reactor_.violation("a session that was not asked for");
  if (row.killed) world_.clients()[index]->killed();
}

void Episode::give_order() {
  struct Before {
    ConnId id;
    Phase phase;
    uint32_t client;
  };
  const daemon::Order order = draw_order();
  std::vector<Before> before;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    before.push_back({slots_.id(i), slots_[i].phase, reactor_.client_of(i)});
  }
  const uint64_t killed_before = count(Counter::kKilled);
  const daemon::Report report = shard_->obey(order, tick());
  expect(report.order, order.id, "a report's order");
  if (report.rows.size() > order.rows_max) reactor_.violation("more sessions than asked for");
  if (order.rows_max > 0) expect(report.rows.size(), report.matched, "sessions told of");
  std::set<uint32_t> ended;  // clients
  for (const daemon::SessionRow& row : report.rows) {
    const Before& was = before[row.id.slot];
    if (was.id != row.id || was.phase != row.phase) reactor_.violation("a session that is none");
    check_row(order, row, was.client);
    if (!row.killed) continue;
    if (!order.kill) reactor_.violation("a session was ended unasked");
    ended.insert(was.client);
  }
  expect(count(Counter::kKilled) - killed_before, ended.size(), "sessions counted as killed");
  // The connection to its backend goes with a client.
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const bool touched = slots_.id(i) != before[i].id || slots_[i].phase != before[i].phase;
    if (touched && !ended.contains(before[i].client)) {
      reactor_.violation("an order touched somebody else");
    }
  }
}

}  // namespace lychgate::sim
