// One lot at a time: install, send, let go.

#include "core/daemon/carry_out.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/check.h"

namespace lychgate::daemon {

using ring::Op;

namespace {

// The socket may have room later. ETOOMANYREFS: more descriptors are on their way than this user
// may have open (unix(7)).
bool is_full(int error) {
  return error == EAGAIN || error == ENOBUFS || error == ETOOMANYREFS || error == ENOMEM ||
         error == EINTR;
}

}  // namespace

CarryOut::CarryOut(const CarryOrder& order, CarryWalk walk, ring::Connections& connections,
                   Lookups* lookups, Tick now)
    : order_(order),
      walk_(walk),
      connections_(connections),
      lookups_(lookups),
      began_(now),
      lot_size_(lot_size(lookups == nullptr ? 0 : lookups->list_count())),
      stays_(order.fd < 0 ? 0 : connections.slots.size()),
      gone_(order.fd < 0) {}

bool CarryOut::can_go(uint32_t index) const {
  const Slot& slot = connections_.slots[index];
  return !gone_ && order_.listeners[slot.listener] != kNoListener && !stays_[index];
}

void CarryOut::advance(bool more_may_come, Tick now) {
  if (over_) return;
  if (again_at_ && !tick_reached(now, *again_at_)) return;
  again_at_.reset();
  if (count_ > 0) {
    if (uninstalled_ == 0) send(now);
    if (count_ > 0) return;
  }
  some_may_go_ |= more_may_come;
  walk(now);
}

void CarryOut::walk(Tick now) {
  const uint32_t size = connections_.slots.size();
  const uint32_t end = cursor_ + std::min(kCarrySlotsPerTurn, size - cursor_);
  for (; cursor_ < end && count_ < lot_size_; ++cursor_) {
    const Slot& slot = connections_.slots[cursor_];
    switch (slot.phase) {
      case Phase::kFree:
      case Phase::kBackend:
      case Phase::kRetiring:
      case Phase::kClosing:
        continue;
      default:
        break;
    }
    ++clients_seen_;
    const bool waits = slot.phase == Phase::kSilentWait;
    if ((!waits && slot.phase != Phase::kLooking) || !can_go(cursor_)) continue;
    // Whose wait is about to end is looked at here, which may send it back into silence.
    const bool due = tick_reached(now + kTimerGrainMs, slot.timer.deadline);
    if (waits && !due && slot.in_flight == 0) {
      begin(cursor_);
    } else {
      some_may_go_ = true;
    }
  }
  if (cursor_ == size && count_ == 0) end_walk(now);
}

void CarryOut::end_walk(Tick now) {
  const bool again = (some_went_ || some_may_go_) && walk_ == CarryWalk::kUntilNobody && !gone_;
  if (!again) return finish(clients_seen_, now);
  if (!some_went_) again_at_ = now + kCarryRestMs;
  cursor_ = 0;
  clients_seen_ = 0;
  some_went_ = some_may_go_ = false;
}

void CarryOut::begin(uint32_t index) {
  Slot& slot = connections_.slots[index];
  lot_[count_] = {.slot = index, .deadline = slot.timer.deadline};
  LYCH_CHECK(slot.timer_home != TimerHome::kNone && slot.transfer == kNoSlot);
  connections_.timers.cancel(index);
  connections_.set_phase(index, Phase::kMoving);
  slot.transfer = count_++;
  ++uninstalled_;
  some_went_ = true;
  connections_.reactor.install(index, connections_.begin(Op::kCarryInstall, index));
}

void CarryOut::installed(uint32_t index, int result, Tick now) {
  Passenger& passenger = lot_.at(connections_.slots[index].transfer);
  LYCH_CHECK(passenger.slot == index && passenger.fd < 0 && uninstalled_ > 0);
  --uninstalled_;
  passenger.fd = result;
  if (result < 0 || over_) stay(passenger);
  if (uninstalled_ > 0) return;
  if (over_) {
    count_ = 0;
  } else {
    send(now);
  }
}

// It waits on as if nothing had been. Lists may have decided about it meanwhile.
void CarryOut::stay(Passenger& passenger) {
  const uint32_t index = std::exchange(passenger.slot, kNoSlot);
  if (index == kNoSlot) return;
  if (passenger.fd >= 0) connections_.reactor.close_fd(passenger.fd);
  Slot& slot = connections_.slots[index];
  slot.transfer = kNoSlot;
  stays_[index] = true;
  connections_.set_phase(index, Phase::kSilentWait);
  connections_.timers.arm(index, TimerHome::kWheel, passenger.deadline);
  if ((slot.evidence & kAskingLists) != 0) lookups_->come_back(index);
}

void CarryOut::encode(const Passenger& passenger) {
  const Slot& slot = connections_.slots[passenger.slot];
  CarriedClient client{.address = slot.address,
                       .started = slot.started,
                       .deadline = passenger.deadline,
                       .port = slot.port,
                       .evidence = slot.evidence,
                       .score = slot.score,
                       .listener = order_.listeners[slot.listener],
                       .past = slot.past};
  if ((slot.evidence & kAskingLists) != 0 && order_.same_lists) {
    client.answer_count = lookups_->tell(passenger.slot, client.answers);
  }
  add_to_lot(client, message_);
  descriptors_.push_back(passenger.fd);
}

void CarryOut::send(Tick now) {
  begin_lot(message_);
  descriptors_.clear();
  for (uint32_t i = 0; i < count_; ++i) {
    if (lot_[i].slot != kNoSlot) encode(lot_[i]);
  }
  if (descriptors_.empty()) {
    count_ = 0;
    return;
  }
  const ssize_t outcome = connections_.reactor.send_message(order_.fd, message_, descriptors_);
  if (outcome >= 0) return sent();
  if (!is_full(static_cast<int>(-outcome))) return give_up();
  connections_.counters.add(Counter::kCarryDelayed);
  if (++tries_ == kCarryTriesMax) return give_up();
  again_at_ = now + kCarryRetryMs;
}

// The message holds the connection: closing ours tells the peer nothing.
void CarryOut::sent() {
  for (uint32_t i = 0; i < count_; ++i) {
    const Passenger& passenger = lot_[i];
    if (passenger.slot == kNoSlot) continue;
    Slot& slot = connections_.slots[passenger.slot];
    connections_.reactor.close_fd(passenger.fd);
    if ((slot.evidence & kAskingLists) != 0) {
      slot.evidence = static_cast<uint16_t>(slot.evidence & ~kAskingLists);
      lookups_->leave(passenger.slot);
    }
    slot.transfer = kNoSlot;
    connections_.retire(passenger.slot);
    ++result_.carried;
  }
  count_ = 0;
  tries_ = 0;
}

// One more walk counts who is here.
void CarryOut::give_up() {
  for (uint32_t i = 0; i < count_; ++i) stay(lot_[i]);
  count_ = 0;
  gone_ = true;
  cursor_ = 0;
  clients_seen_ = 0;
}

void CarryOut::stop(Tick now) {
  if (over_) return;
  for (uint32_t i = 0; i < count_; ++i) {
    if (lot_[i].fd >= 0) stay(lot_[i]);
  }
  if (uninstalled_ == 0) count_ = 0;
  const auto held = connections_.counters.held.load(std::memory_order_relaxed);
  finish(static_cast<uint32_t>(held), now);
}

void CarryOut::finish(uint32_t stayed, Tick now) {
  over_ = true;
  again_at_.reset();
  result_.stayed = stayed;
  result_.lasted_ms = now - began_;
  if (order_.fd >= 0) connections_.reactor.close_fd(order_.fd);
}

std::optional<Tick> CarryOut::next_wake(Tick now) const {
  if (over_ || uninstalled_ > 0) return std::nullopt;
  return again_at_.value_or(now);
}

}  // namespace lychgate::daemon
