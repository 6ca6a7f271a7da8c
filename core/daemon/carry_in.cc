// A lot at a time, and of a lot as many at a time as one table has room for.

#include "core/daemon/carry_in.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/check.h"

namespace lychgate::daemon {

using ring::Op;
using ring::OpTag;

CarryIn::CarryIn(int fd, ring::Connections& connections, Acceptor& acceptor, size_t listeners,
                 Lookups* lookups)
    : fd_(fd),
      connections_(connections),
      acceptor_(acceptor),
      listeners_(listeners),
      lookups_(lookups),
      bytes_(kLotBytesMax + 1) {}

void CarryIn::start() {
  connections_.reactor.poll_fd(fd_, OpTag::of(Op::kCarry));
}

void CarryIn::advance() {
  if (adopting_ > 0) return;
  if (idle() && readable_) read();
  if (!idle()) adopt_some();
}

void CarryIn::read() {
  const ring::MessageIn message = connections_.reactor.receive_message(fd_, bytes_, fds_);
  if (message.result > 0) return take(message);
  readable_ = false;
  if (message.result == -EAGAIN || message.result == -EINTR) return start();
  connections_.reactor.close_fd(std::exchange(fd_, -1));
}

// A shard of ours has written it; the checks are against another version's bugs.
bool CarryIn::is_welcome(const CarriedClient& client) const {
  return client.listener < listeners_ &&
         connections_.slots.address_count(client.address) < kClientsPerAddressMax;
}

// Fewer descriptors than clients: the first ones came (ring/reactor.h).
void CarryIn::take(const ring::MessageIn& message) {
  decode_lot(std::span(bytes_).first(static_cast<size_t>(message.result)), clients_);
  size_t kept = 0;
  for (size_t i = 0; i < message.descriptors; ++i) {
    if (i < clients_.size() && is_welcome(clients_[i])) {
      fds_[kept] = fds_[i];
      if (kept != i) clients_[kept] = clients_[i];
      ++kept;
    } else {
      lose(fds_[i]);
    }
  }
  if (clients_.size() > message.descriptors) {
    connections_.counters.add(Counter::kCarryLost, clients_.size() - message.descriptors);
  }
  clients_.resize(kept);
  next_ = 0;
}

void CarryIn::lose(int fd) {
  connections_.counters.add(Counter::kCarryLost);
  connections_.reactor.close_fd(fd);
}

void CarryIn::adopt_some() {
  const auto left = static_cast<uint32_t>(clients_.size() - next_);
  const uint32_t table = acceptor_.choose_table(left);
  adopting_ = std::min(left, acceptor_.room_in(table));
  if (adopting_ == 0) {
    for (; next_ < clients_.size(); ++next_) lose(fds_[next_]);
    return;
  }
  std::copy_n(fds_.begin() + static_cast<std::ptrdiff_t>(next_), adopting_, adopting_fds_.begin());
  for (uint32_t i = 0; i < adopting_; ++i) connections_.expect_slot(table);
  connections_.reactor.adopt(table, std::span(adopting_fds_).first(adopting_),
                             OpTag::of(Op::kCarryAdopt, table));
}

std::span<const uint32_t> CarryIn::adopted(const ring::Completion& completion, Tick now) {
  const auto table = static_cast<uint32_t>(completion.tag.slot);
  const auto came = static_cast<uint32_t>(std::max(completion.result, 0));
  LYCH_CHECK(came <= adopting_);
  for (uint32_t i = 0; i < adopting_; ++i) connections_.slot_came(table);
  slots_.clear();
  for (uint32_t i = 0; i < came; ++i, ++next_) {
    const auto place = static_cast<uint32_t>(adopting_fds_[i]);
    slots_.push_back(table * connections_.reactor.table_size() + place);
    admit(slots_.back(), clients_[next_], now);
    connections_.reactor.close_fd(fds_[next_]);
  }
  // The kernel stopped at one; those behind it may do better.
  if (came < adopting_) lose(fds_[next_++]);
  adopting_ = 0;
  return slots_;
}

void CarryIn::admit(uint32_t index, const CarriedClient& client, Tick now) {
  connections_.open_client(
      {.slot = index, .peer = {client.address, client.port}, .listener = client.listener},
      client.started);
  connections_.counters.add(Counter::kCarried);
  Slot& slot = connections_.slots[index];
  slot.evidence = client.evidence;
  slot.score = client.score;
  slot.past = client.past;
  // On the wheel: clients that came here waited in the order of their own.
  connections_.timers.arm(index, TimerHome::kWheel, client.deadline);
  if ((slot.evidence & kAskingLists) == 0) return;
  if (lookups_ != nullptr) return lookups_->take_over(index, client.said(), now);
  slot.evidence = static_cast<uint16_t>(slot.evidence & ~kAskingLists);
}

}  // namespace lychgate::daemon
