// Two lots of messages: one fills while the kernel copies the other.

#include "core/daemon/outbox.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/base/limits.h"

namespace lychgate::daemon {
namespace {

constexpr size_t kMessagesPerLot = kVisitsPerTurnMax / kVisitsPerMessage;
static_assert(kVisitsPerTurnMax % kVisitsPerMessage == 0);

}  // namespace

Outbox::Outbox(int line_fd, ring::Reactor& reactor, ShardCounters& counters)
    : line_fd_(line_fd),
      reactor_(reactor),
      counters_(counters),
      filling_(kMessagesPerLot),
      leaving_(kMessagesPerLot) {}

void Outbox::add(const Visit& visit) {
  if (visits_ == kVisitsPerTurnMax) return counters_.add(Counter::kVisitsLost);
  std::array<uint8_t, kVisitBytes> bytes;
  encode_visit(visit, bytes);
  const size_t place = 1 + visits_ % kVisitsPerMessage * kVisitBytes;
  std::copy(bytes.begin(), bytes.end(),
            filling_[visits_ / kVisitsPerMessage].begin() + static_cast<std::ptrdiff_t>(place));
  ++visits_;
}

void Outbox::flush(Tick now) {
  sent_ = false;
  // Forgotten once it is past, or after 25 silent days it would seem to lie ahead.
  if (rest_until_ && tick_reached(now, *rest_until_)) rest_until_.reset();
  const bool rests = rest_until_ && visits_ < kVisitsPerMessage && !hurried_;
  if (visits_ == 0 || rests) return;
  for (size_t i = 0; visits_ > 0; ++i) {
    const auto count = std::min(visits_, static_cast<uint32_t>(kVisitsPerMessage));
    filling_[i][0] = static_cast<char>(LineMessage::kVisits);
    reactor_.send_packet(line_fd_, std::span(filling_[i]).first(1 + count * kVisitBytes),
                         ring::OpTag::of(ring::Op::kVisits, count));
    counters_.add(Counter::kVisitsTold, count);
    visits_ -= count;
  }
  std::swap(filling_, leaving_);
  rest_until_ = now + kVisitRestMs;
  sent_ = true;
}

std::optional<Tick> Outbox::next_wake() const {
  if (visits_ == 0) return std::nullopt;
  return rest_until_;
}

void Outbox::failed(const ring::Completion& completion) {
  counters_.add(Counter::kVisitsLost, completion.tag.slot);
}

}  // namespace lychgate::daemon
