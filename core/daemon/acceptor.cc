// Batches follow the load: one accept, doubled while every accept succeeds and more are waiting. A
// poll behind each batch says so, since an accept that finds nobody costs more: the kernel makes a
// socket for it first (Linux 6.18, do_accept).

#include "core/daemon/acceptor.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

constexpr Tick kRetryMs = 100;  // after an accept that failed for want of memory or descriptors

}  // namespace

using ring::Completion;
using ring::Op;
using ring::OpTag;

Acceptor::Acceptor(ring::Connections& connections, const std::vector<int>& listeners,
                   uint32_t reserve)
    : connections_(connections), reserve_(reserve) {
  LYCH_CHECK(listeners.size() <= kListenersMax);
  for (const int fd : listeners) listeners_.push_back({.fd = fd, .retry_at = {}});
  for (uint32_t i = 0; i < kAcceptBatchMax; ++i) free_entries_.push_back(static_cast<uint8_t>(i));
}

void Acceptor::start() {
  for (uint32_t i = 0; i < listeners_.size(); ++i) poll(i);
}

void Acceptor::poll(uint32_t listener) {
  if (std::exchange(listeners_[listener].polled, true)) return;
  const OpTag tag = OpTag::of(Op::kListenerPoll, listener);
  connections_.reactor.poll_fd(listeners_[listener].fd, tag);
}

void Acceptor::stop() {
  stopping_ = true;
  for (Listener& listener : listeners_) {
    listener.retry_at.reset();  // left behind, it would be due for ever
    connections_.reactor.cancel_fd(listener.fd, OpTag::of(Op::kIgnored));
  }
}

void Acceptor::poll_completed(const Completion& completion) {
  Listener& listener = listeners_.at(completion.tag.slot);
  listener.polled = false;
  listener.ready = true;
}

std::optional<ring::Arrival> Acceptor::accepted(const Completion& completion, Tick now) {
  const auto index = static_cast<uint32_t>(completion.tag.slot);
  const Entry& entry = entries_.at(index);
  Listener& listener = listeners_[entry.listener];
  connections_.slot_came(entry.table);
  free_entries_.push_back(static_cast<uint8_t>(index));
  LYCH_CHECK(listener.in_flight > 0);
  --listener.in_flight;
  std::optional<ring::Arrival> arrival;
  if (completion.result >= 0) {
    arrival = ring::Arrival{.slot = static_cast<uint32_t>(completion.result),
                            .peer = Endpoint::from_sockaddr(&entry.peer.any),
                            .listener = entry.listener};
  } else if (completion.result == -EAGAIN) {
    listener.drained = true;
  } else if (completion.result != -ECONNABORTED) {
    connections_.counters.add(Counter::kAcceptFailed);
    listener.drained = true;
    if (!stopping_) listener.retry_at = now + kRetryMs;
  }
  return arrival;
}

uint32_t Acceptor::room_in(uint32_t table) const {
  const uint32_t free = connections_.free_slots(table);
  const uint32_t kept = table == 0 ? reserve_ : 0;
  return free > kept ? free - kept : 0;
}

// The main table first; the others one after the other, so that a flood enters one ring a turn. A
// table with room for less than the batch is taken only when none has room for all, else the slots
// that come free in a full table would make every batch small.
uint32_t Acceptor::choose_table(uint32_t batch) {
  if (room_in(0) >= batch) return 0;
  uint32_t best = table_;
  for (uint32_t step = 0; step < connections_.tables(); ++step) {
    const uint32_t table = (table_ + step) % connections_.tables();
    if (room_in(table) > room_in(best)) best = table;
    if (room_in(best) >= batch) break;
  }
  table_ = best;
  return best;
}

void Acceptor::submit(Tick now) {
  if (stopping_) return;
  for (uint32_t i = 0; i < listeners_.size(); ++i) {
    Listener& listener = listeners_[i];
    // First, since the end of a batch that failed in part would forget a retry already due.
    if (listener.in_flight > 0) continue;
    if (listener.retry_at && tick_reached(now, *listener.retry_at)) {
      listener.retry_at.reset();
      listener.ready = true;
    }
    if (!listener.ready) {
      listener.batch = 0;
    } else if (!listener.retry_at) {
      submit_batch(i);
    }
  }
}

void Acceptor::submit_batch(uint32_t index) {
  Listener& listener = listeners_[index];
  const uint32_t wanted =
      std::clamp(listener.drained ? listener.batch : listener.batch * 2, 1u, kAcceptBatchMax);
  const uint32_t table = choose_table(wanted);
  const uint32_t room = room_in(table);
  const auto batch = std::min({wanted, room, static_cast<uint32_t>(free_entries_.size())});
  if (room == 0 && !paused_) connections_.counters.add(Counter::kAcceptPaused);
  paused_ = room == 0;
  if (batch == 0) return;
  listener.batch = wanted;
  for (uint32_t n = 0; n < batch; ++n) {
    const uint8_t entry = free_entries_.back();
    free_entries_.pop_back();
    entries_[entry].listener = static_cast<uint8_t>(index);
    entries_[entry].table = static_cast<uint8_t>(table);
    ++listener.in_flight;
    connections_.expect_slot(table);
    connections_.reactor.accept_direct(listener.fd, table, entries_[entry].peer,
                                       OpTag::of(Op::kAccept, entry));
  }
  listener.drained = false;
  listener.ready = false;
  poll(index);
}

std::optional<Tick> Acceptor::next_wake() const {
  std::optional<Tick> wake;
  for (const Listener& listener : listeners_) {
    if (!listener.retry_at) continue;
    if (!wake || tick_reached(*wake, *listener.retry_at)) wake = listener.retry_at;
  }
  return wake;
}

}  // namespace lychgate::daemon
