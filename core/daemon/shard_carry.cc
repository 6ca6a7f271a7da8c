// The shard's part in a change of generations: to retire, to give its held clients away, and to
// take over those of the shard before.

#include "core/daemon/shard.h"

namespace lychgate::daemon {

void Shard::retire(const CarryOrder& order, Tick now) {
  if (leaving()) {
    if (order.fd >= 0) reactor_.close_fd(order.fd);
    return;
  }
  retired_ = true;
  drain_until_ = now + to_ticks(config_.drain + longest_silence(config_));
  acceptor_.stop();
  if (checks_) checks_->stop();
  // Nobody waits for us longer than it takes: the next generation has a tarpit of its own.
  tarpit_.set_clients_max(0);
  if (lookups_) lookups_->stop_watching();
  carry(order, CarryWalk::kUntilNobody, now);
}

void Shard::carry(const CarryOrder& order, CarryWalk walk, Tick now) {
  if (carry_out_ && !carry_out_->over()) return;
  carry_told_ = false;
  carry_out_.emplace(order, walk, connections_, lookups_.get(), now);
}

std::optional<CarryResult> Shard::take_carry_result() {
  if (!carry_out_ || !carry_out_->over() || carry_told_) return std::nullopt;
  carry_told_ = true;
  return carry_out_->result();
}

// An accept in flight may bring somebody, and so may the shard before while it lives: whoever has
// been sent here has nobody else to tell it that the gate stops.
bool Shard::nobody_left() const {
  return clients() == 0 && acceptor_.idle() && (!carry_out_ || carry_out_->over()) &&
         (!carry_in_ || carry_in_->over());
}

void Shard::carry_on(Tick now) {
  if (carry_out_) carry_out_->advance(!acceptor_.idle(), now);
  if (carry_in_) {
    carry_in_->advance();
    if (carry_in_->over()) carry_in_.reset();
  }
  const bool ends = retired_ && (nobody_left() || tick_reached(now, drain_until_));
  if (ends && outbox_) outbox_->hurry();
}

void Shard::adopted(const ring::Completion& completion, Tick now) {
  for (const uint32_t slot : carry_in_->adopted(completion, now)) {
    if (stopping_) send_away(slot, now);
  }
}

void Shard::installed(uint32_t slot, const ring::Completion& completion, Tick now) {
  carry_out_->installed(slot, completion.result, now);
  const bool back = slots_[slot].phase == Phase::kSilentWait;
  if (back && stopping_) send_away(slot, now);
}

}  // namespace lychgate::daemon
