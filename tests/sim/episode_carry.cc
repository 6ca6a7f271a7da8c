// The part of a run in which clients are carried: from the shard to itself at random times, and
// away when it retires; and what must be true of each of them.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/daemon/carry.h"
#include "tests/sim/episode.h"

namespace lychgate::sim {
namespace {

// A timer that was due when its client was carried is due with the next grain.
constexpr Tick kDueSoon = 2 * kTimerGrainMs;
// From the kernel's accept to the gate's hearing of it.
constexpr Tick kAcceptDelay = 1000;

}  // namespace

void Episode::plan_carries() {
  for (const Time when : scenario_.carry.loops) {
    agenda_.at(when, [this] {
      ++loops_due_;
      reactor_.interrupt();
    });
  }
  if (!scenario_.carry.retires) return;
  agenda_.at(*scenario_.carry.retires, [this] {
    retires_now_ = true;
    reactor_.interrupt();
  });
}

void Episode::begin_carry() {
  daemon::CarryOrder order{.same_lists = scenario_.carry.same_lists,
                           .listeners = scenario_.carry.listeners};
  const bool leaving = shard_->stopping() || shard_->retired();
  if (loops_due_ > 0 && !loop_goes_on_ && !leaving) {
    --loops_due_;
    ++loops_begun_;
    loop_goes_on_ = true;
    order.fd = reactor_.make_carry_start(carry_end_);
    shard_->carry(order, daemon::CarryWalk::kOnce, tick());
  }
  const bool was_last = leaving || loops_begun_ == scenario_.carry.loops.size();
  if (was_last && !loop_goes_on_ && carry_end_ >= 0) {
    reactor_.end_carry(std::exchange(carry_end_, -1));
  }
  if (!retires_now_ || loop_goes_on_) return;
  retires_now_ = false;
  if (shard_->stopping()) return;
  accepted_at_retirement_ = accepted_so_far();
  if (scenario_.carry.others_take_over) {
    order.fd =
        reactor_.make_carry_start([this](auto lot, auto sockets) { taken_over(lot, sockets); });
  }
  shard_->retire(order, tick());
}

// By the kernel: the gate counts who comes through a balancer when it knows who that is.
uint64_t Episode::accepted_so_far() const {
  return static_cast<uint64_t>(std::ranges::count_if(
      world_.clients(), [](const auto& client) { return client->was_accepted(); }));
}

void Episode::look_at_carry() {
  const auto result = shard_->take_carry_result();
  if (!result) return;
  if (loop_goes_on_) {
    loop_goes_on_ = false;
    told_carried_ += result->carried;
    return;
  }
  expect(result->carried, carried_away_, "clients carried away");
  if (shard_->stopping()) return;
  const uint64_t closing = counters().phases[static_cast<size_t>(Phase::kClosing)] +
                           counters().phases[static_cast<size_t>(Phase::kRetiring)];
  if (result->stayed > counters().held || result->stayed + closing < counters().held) {
    reactor_.violation(
        fmt::format("{} clients stayed, and {} are held", result->stayed, counters().held.load()));
  }
}

void Episode::taken_over(std::span<const uint8_t> lot, std::span<const SocketPtr> sockets) {
  if (shard_->stopping()) reactor_.violation("carries clients although it was told to stop");
  std::vector<daemon::CarriedClient> clients;
  if (!daemon::decode_lot(lot, clients)) reactor_.violation("a lot that nobody can read");
  expect(clients.size(), sockets.size(), "descriptors of a lot");
  for (size_t i = 0; i < std::min(clients.size(), sockets.size()); ++i) {
    Client& client = *world_.clients().at(sockets[i]->client);
    check_taken_over(client, clients[i]);
    client.carried_away();
  }
  carried_away_ += clients.size();
}

void Episode::check_taken_over(const Client& client, const daemon::CarriedClient& told) {
  const ClientScript& script = client.script();
  const bool same = told.address == script.from.address && told.port == script.from.port &&
                    told.listener == script.listener;
  if (!same) reactor_.violation("a client is carried under another's name");
  const Tick accepted = scenario_.first_tick + static_cast<Tick>(client.accepted_at());
  if (told.started - accepted > kAcceptDelay && !script.proxied())
    reactor_.violation("its wait is carried as a new one");
  const config::Config& config = scenario_.config;
  const Tick wait = told.deadline - told.started;
  const bool whole = wait == to_ticks(config.greet.wait) + 1;
  const bool shorter = scenario_.talks && wait <= to_ticks(config.greet.wait);
  const bool first_part =
      config.greet.early_look > milliseconds(0) && wait == to_ticks(config.greet.early_look) + 1;
  const bool for_lists = scenario_.kernel_wait > 0 && wait <= to_ticks(config.dns.timeout) + 1;
  const bool due = told.deadline - tick() <= kDueSoon;
  if (!whole && !shorter && !first_part && !for_lists && !due) {
    reactor_.violation(fmt::format("a wait of {} ms is carried", wait));
  }
  if (told.answer_count > scenario_.lists.size())
    reactor_.violation("answers of lists that are none");
}

// Who was sent came in or was lost by the kernel's doing; and nobody came after the retirement but
// by accepts that were in flight.
void Episode::check_carried() {
  expect(count(Counter::kCarryLost), reactor_.carry_lost(), "lost on their way");
  if (!loop_goes_on_) {
    expect(count(Counter::kCarried) + count(Counter::kCarryLost), told_carried_,
           "carried and heard of");
  }
  if (accepted_at_retirement_ && accepted_so_far() > *accepted_at_retirement_ + kAcceptBatchMax) {
    reactor_.violation("accepts after it has retired");
  }
}

}  // namespace lychgate::sim
