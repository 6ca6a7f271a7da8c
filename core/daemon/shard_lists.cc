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
      // Before the store is asked: a flood of forged addresses may find no room for seconds.
      if (!lookups_->has_room_to_prefetch()) return Lookups::Prefetched::kNoRoom;
      return needs_lists(address) ? lookups_->prefetch(address, now) : Lookups::Prefetched::kKnown;
    });
  }
  lookups_->advance(now, log_.time());
  while (const auto slot = lookups_->next_decided()) {
    // Whoever stops the gate sends everybody away, decided or not.
    if (stopping_ || (slots_[*slot].evidence & kAskingLists) == 0) continue;
    // On its way to another shard, which will find the same, or it comes back; or its verdict is
    // spoken and it is still told of it.
    const Phase phase = slots_[*slot].phase;
    if (phase != Phase::kSilentWait && phase != Phase::kLooking) continue;
    const Lookups::Sum sum = lookups_->sum(*slot);
    run(*slot,
        {.kind = EventKind::kScored, .text = {}, .score = sum.score, .standing = sum.standing},
        now);
  }
  while (const auto line = lookups_->next_line()) log_.add(log_.time(), *line);
}

// Called after each step: a client waits for the lists until its verdict, and until it has heard
// it: the reply names one.
void Shard::stop_asking(uint32_t index) {
  switch (slots_[index].phase) {
    case Phase::kSilentWait:
    case Phase::kLooking:
    case Phase::kMoving:
    case Phase::kDialogue:
      return;
    default:
      return stop_asking_now(index);
  }
}

void Shard::stop_asking_now(uint32_t index) {
  Slot& slot = slots_[index];
  slot.evidence = static_cast<uint16_t>(slot.evidence & ~kAskingLists);
  lookups_->leave(index);
}

// The reply with the list's name, where there is one and room to write it.
std::optional<Shard::NamedReply> Shard::write_listed(uint32_t index, smtp::ReplyId id) {
  const Slot& slot = slots_[index];
  Lookups::Parts counted;
  const bool asks = (slot.evidence & kAskingLists) != 0;
  if (!asks || lookups_->parts(index, counted) == 0 || counted[0].weight <= 0) return std::nullopt;
  const std::string_view reason = lookups_->reason(index, counted[0].list);
  if (config_.dnsl.reason && reason.empty()) counters_.add(Counter::kListsReasonless);
  const auto room = written_.lend();
  if (!room) {
    counters_.add(Counter::kRepliesUnnamed);
    return std::nullopt;
  }
  const smtp::ListedReply words{.client = slot.address,
                                .reply_name = parts_.lists->lists[counted[0].list].reply_name,
                                .reason = reason,
                                .footer = reply_book_.footer()};
  return NamedReply{*room, smtp::write_listed_reply(id, words, written_.room(*room))};
}

void Shard::reply(uint32_t index, smtp::ReplyId id) {
  std::span<const char> bytes = reply_book_.bytes(id);
  if (id == smtp::ReplyId::kRefuseListed || id == smtp::ReplyId::kDropListed) {
    if (const auto named = write_listed(index, id)) {
      bytes = written_.room(named->room).first(named->size);
      slots_[index].transfer = named->room;
    }
  }
  reactor_.send(index, bytes, ring::SendMode::kNow, connections_.begin(Op::kReply, index));
}

void Shard::replied(uint32_t index, Tick now) {
  Slot& slot = slots_[index];
  if (slot.transfer != kNoSlot) written_.give_back(std::exchange(slot.transfer, kNoSlot));
  run(index, {.kind = EventKind::kReplied}, now);
}

uint8_t Shard::heaviest_list(uint32_t index) {
  Lookups::Parts counted;
  const bool asks = (slots_[index].evidence & kAskingLists) != 0;
  const size_t count = asks ? lookups_->parts(index, counted) : 0;
  return count > 0 && counted[0].weight > 0 ? counted[0].list : kNoList;
}

// The rank is followed by a line for each list that counted; the reject names the heaviest.
void Shard::note_lists(uint32_t index, LogEvent& first) {
  if (first.kind == LogKind::kRejectListed) {
    first.list = heaviest_list(index);
    return;
  }
  if ((slots_[index].evidence & kAskingLists) == 0) return;
  Lookups::Parts counted;
  const size_t count = lookups_->parts(index, counted);
  for (size_t i = 0; i < count; ++i) {
    LogEvent& line = new_line(slots_[index], LogKind::kListed);
    line.list = counted[i].list;
    line.weight = counted[i].weight;
    line.code = counted[i].code;
    line.ttl = counted[i].ttl;
  }
}

}  // namespace lychgate::daemon
