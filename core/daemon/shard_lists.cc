// The shard's part in DNS lists: begins and ends a client's waiting for them, hears who is decided,
// and says which list spoke, in the reply and in the log.

#include <utility>

#include "core/base/check.h"
#include "core/daemon/shard.h"

namespace lychgate::daemon {

using ring::Op;

Result<void> Shard::make_lookups(Tick now) {
  if (parts_.lists == nullptr || parts_.lists->lists.empty()) return {};
  auto lookups = Lookups::create({.config = config_,
                                  .plan = *parts_.lists,
                                  .connections = connections_,
                                  .shared = parts_.boards->lists,
                                  .counters = all_counters_,
                                  .mine = counters_,
                                  .watching = parts_.shard == 0,
                                  .sockets = parts_.dns_sockets,
                                  .key = parts_.dns_key},
                                 now);
  if (!lookups) return tl::unexpected(lookups.error());
  lookups_ = std::move(*lookups);
  lookups_->start();
  return {};
}

// The ring is for one reader. Once we retire it is the next generation's, and it is the one
// before's until that has nobody left to give us.
bool Shard::reads_syns() const {
  return parts_.syn_feed != nullptr && !leaving() && !carry_in_;
}

void Shard::look_up(Tick now) {
  if (reads_syns()) {
    parts_.syn_feed->advance(now, [&](const IpAddress& address) {
      return needs_lists(address) ? lookups_->prefetch(address, now) : Lookups::Prefetched::kKnown;
    });
  }
  lookups_->advance(now, log_.time());
  while (const auto slot = lookups_->next_decided()) {
    // Whoever stops the gate sends everybody away, decided or not.
    if (stopping_ || (slots_[*slot].evidence & kAskingLists) == 0) continue;
    // On its way to another shard, which will find the same; or it comes back.
    if (slots_[*slot].phase == Phase::kMoving) continue;
    const Lookups::Sum sum = lookups_->sum(*slot);
    run(*slot,
        {.kind = EventKind::kScored, .text = {}, .score = sum.score, .standing = sum.standing},
        now);
  }
  while (const auto line = lookups_->next_line()) log_.add(log_.time(), *line);
}

// Called after each step: a client waits for the lists only while it waits for its verdict.
void Shard::stop_asking(uint32_t index) {
  Slot& slot = slots_[index];
  if (slot.phase == Phase::kSilentWait || slot.phase == Phase::kLooking) return;
  slot.evidence = static_cast<uint16_t>(slot.evidence & ~kAskingLists);
  lookups_->leave(index);
}

void Shard::reply(uint32_t index, smtp::ReplyId id) {
  Slot& slot = slots_[index];
  std::span<const char> bytes = smtp::reply_bytes(id);
  const bool listed = id == smtp::ReplyId::kRefuseListed || id == smtp::ReplyId::kDropListed;
  Lookups::Parts counted;
  if (listed && lookups_->parts(index, counted) > 0 && counted[0].weight > 0) {
    const auto room = written_.lend();
    const std::string_view reason = lookups_->reason(index, counted[0].list);
    if (config_.dnsl.reason && reason.empty()) counters_.add(Counter::kListsReasonless);
    if (!room) counters_.add(Counter::kRepliesUnnamed);
    if (room) {
      slot.transfer = *room;
      const smtp::ListedReply words{.client = slot.address,
                                    .reply_name = parts_.lists->lists[counted[0].list].reply_name,
                                    .reason = reason};
      bytes = written_.room(*room).first(smtp::write_listed_reply(id, words, written_.room(*room)));
    }
  }
  reactor_.send(index, bytes, ring::SendMode::kNow, connections_.begin(Op::kReply, index));
}

void Shard::replied(uint32_t index, Tick now) {
  Slot& slot = slots_[index];
  if (slot.transfer != kNoSlot) written_.give_back(std::exchange(slot.transfer, kNoSlot));
  run(index, {.kind = EventKind::kReplied}, now);
}

// The rank is followed by a line for each list that counted; the reject names the heaviest.
void Shard::note_lists(uint32_t index, LogEvent& first) {
  Lookups::Parts counted;
  const size_t count = lookups_->parts(index, counted);
  if (first.kind == LogKind::kRejectListed) {
    if (count > 0 && counted[0].weight > 0) first.list = counted[0].list;
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    LogEvent& line = new_line(slots_[index], LogKind::kListed);
    line.list = counted[i].list;
    line.weight = counted[i].weight;
    line.code = counted[i].code;
    line.ttl = counted[i].ttl;
  }
}

}  // namespace lychgate::daemon
