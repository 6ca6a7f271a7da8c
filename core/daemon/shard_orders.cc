// What the steward asks of a shard: to tell of its sessions, and to end some.

#include "core/daemon/shard_orders.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "core/daemon/orders.h"

namespace lychgate::daemon {

bool Shard::is_transfer(uint32_t slot) const {
  const Phase phase = slots_[slot].phase;
  const bool its_phase =
      phase == Phase::kQueued || phase == Phase::kHandoff || phase == Phase::kRelay;
  return its_phase && slots_[slot].transfer != kNoSlot;
}

// Who is being looked at, answered or handed off is left alone: that is over in a moment, and what
// was lent to it must come back first.
bool Shard::kill(uint32_t slot, Tick now) {
  const Phase phase = slots_[slot].phase;
  bool ended = phase == Phase::kSilentWait || phase == Phase::kLinger ||
               phase == Phase::kDialogue || phase == Phase::kTarpit;
  if (ended) {
    if (phase == Phase::kDialogue) end_dialogue(slot, slots_[slot].transfer);
    tarpit_.remove(slot);
    slots_[slot].transfer = kNoSlot;
    timers_.cancel(slot);
    run(slot, {EventKind::kKilled, {}}, now);
  } else if (is_transfer(slot)) {
    ended = transfers_.cut(slot, now);
  }
  if (ended) counters_.add(Counter::kKilled);
  return ended;
}

Report Shard::obey(const Order& order, Tick now) {
  Report report;
  report.order = order.id;
  const SessionFilter& filter = order.filter;
  // The steward knows the next configuration's listeners alone.
  const auto listener_of = [this](const Slot& session) {
    return retired_ ? carry_out_->order().listeners[session.listener] : session.listener;
  };
  const uint32_t end =
      order.from_slot < slots_.size()
          ? order.from_slot + std::min(order.slots_max, slots_.size() - order.from_slot)
          : order.from_slot;
  uint32_t slot = order.from_slot;
  for (; slot < end; ++slot) {
    const Slot& session = slots_[slot];
    if (!matches(filter, session, now)) continue;
    SessionRow row{.id = slots_.id(slot),
                   .address = session.address,
                   .age = now - session.started,
                   .port = session.port,
                   .evidence = session.evidence,
                   .score = session.score,
                   .phase = session.phase,
                   .listener = listener_of(session)};
    if (is_transfer(slot)) {
      const handoff::Transfers::Seat seat = transfers_.seat_of(slot);
      const Cells& cells = parts_.config.cells;
      row.pool = cells.pools[seat.pool];
      if (session.phase != Phase::kQueued) row.backend = cells.backends[seat.pool][seat.backend];
    }
    if (filter.pool != kNoPlace && filter.pool != row.pool) continue;
    if (filter.backend != kNoPlace && filter.backend != row.backend) continue;
    const bool told = order.rows_max > 0;
    if (told && report.rows.size() == order.rows_max) break;  // this one begins the next report
    ++report.matched;
    if (!told) continue;
    row.killed = order.kill && kill(slot, now);
    report.rows.push_back(row);
  }
  if (slot < slots_.size()) report.next_slot = slot;
  return report;
}

void take_order(int steward_fd, Shard& shard, Tick now) {
  std::array<uint8_t, kLineMessageMax> message;
  const ssize_t got = recv(steward_fd, message.data(), message.size(), MSG_DONTWAIT);
  if (got <= 0) return;
  const auto order = decode_order(std::span(message).first(static_cast<size_t>(got)));
  if (!order) return;
  const std::vector<uint8_t> answer = encode(shard.obey(*order, now));
  send(steward_fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace lychgate::daemon
