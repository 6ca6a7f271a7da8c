// The shard's part in the tarpit: who comes in, who has gone, and who is let go with the rest of a
// reply.

#include <span>

#include "core/daemon/shard.h"

namespace lychgate::daemon {

using ring::Completion;
using ring::Op;

// REQUIRES: nothing in flight.
void Shard::hold(uint32_t index, smtp::ReplyId reply, Tick now) {
  timers_.cancel(index);
  if ((slots_[index].evidence & kAskingLists) != 0) stop_asking_now(index);
  // Where there are several tables the main one is for those who go to a backend.
  const bool crowded = connections_.tables() > 1 && connections_.table_of(index) == 0 &&
                       connections_.free_slots() < reactor_.table_size() / 4;
  if (!tarpit_.is_open() || crowded || leaving()) {
    return run(index, {.kind = EventKind::kTarpitFull}, now);
  }
  tarpit_.admit(index, reply, now);
}

void Shard::dripped(uint32_t index, const Completion& completion, Tick now) {
  if (slots_[index].phase != Phase::kTarpit || tarpit_.complete(index, completion)) return;
  slots_[index].transfer = kNoSlot;
  slots_[index].evidence |= kHungUp;
  counters_.add(Counter::kHangup);
  run(index, {.kind = EventKind::kReleased}, now);
}

void Shard::advance_tarpit(Tick now) {
  tarpit_.advance(settings().tarpit, now);
  while (const auto index = tarpit_.next_released()) release(*index);
}

// It hears the end of the reply, and is closed when that is sent.
void Shard::release(uint32_t index) {
  const std::span<const char> words = Tarpit::last_words(slots_[index]);
  slots_[index].transfer = kNoSlot;
  connections_.set_phase(index, Phase::kReplying);
  reactor_.send(index, words, ring::SendMode::kNow, connections_.begin(Op::kReply, index));
}

}  // namespace lychgate::daemon
