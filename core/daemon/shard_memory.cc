// The shard's part in remembering: what is known of a client when it comes and when it is routed,
// and what its visit adds.

#include <chrono>

#include "core/admission/greylist.h"
#include "core/admission/history.h"
#include "core/daemon/shard.h"

namespace lychgate::daemon {

Seconds Shard::wall() const {
  using std::chrono::seconds;
  return static_cast<Seconds>(
      std::chrono::duration_cast<seconds>(log_.time().time_since_epoch()).count());
}

struct Shard::Past {
  ClientRecord record;
  admission::History history;
};

// nullopt: a stranger, or there is no store.
std::optional<Shard::Past> Shard::past_of(const IpAddress& address) {
  if (parts_.book == nullptr) return std::nullopt;
  const auto record = parts_.book->find(ClientKey::of(address, prefixes_));
  if (!record) return std::nullopt;
  return Past{*record, admission::history_of(*record, config_, wall())};
}

void Shard::look_back(Slot& slot) {
  if (defers_ && parts_.book != nullptr) {
    const auto network = parts_.book->find(ClientKey::of_network(slot.address));
    if (network && admission::has_returned(*network, wall())) slot.past |= kNetworkReturned;
  }
  const auto past = past_of(slot.address);
  if (!past) return;
  const admission::History& history = past->history;
  slot.evidence = admission::with_history(slot.evidence, history);
  slot.past |= history.passed;
  if (history.offence) slot.misconduct = admission::misconduct_of(bit_of(*history.offence)) & 7;
  if (history.passed_before) slot.past |= kPassedBefore;
  const bool has_score = (history.passed & bit_of(ScreenTest::kLists)) != 0 || history.offence;
  if (has_score) slot.score = past->record.score;
}

// Its own visit is not among the passes: the steward is told of it, and nobody else.
admission::RouteFacts Shard::route_facts(const Slot& slot) {
  // Who failed on an earlier visit is remembered for that, and not known as one who passed.
  const auto evidence =
      static_cast<uint16_t>(is_old_offender(slot) ? slot.evidence & ~kRemembered : slot.evidence);
  admission::RouteFacts facts{.evidence = evidence,
                              .address = slot.address,
                              .listener = slot.listener,
                              .score = slot.score,
                              .overload = level_};
  if (!routes_by_history_) return facts;
  if (const auto past = past_of(slot.address)) {
    facts.passes = past->history.passes;
    facts.seen_for = past->history.seen_for;
  }
  return facts;
}

void Shard::remember(uint32_t index, VisitEnd end) {
  if (!outbox_) return;
  const Slot& slot = slots_[index];
  const bool asking = (slot.evidence & kAskingLists) != 0;
  // Who went away in its dialogue has passed its wait all the same.
  admission::Facts facts = facts_of(slot);
  if (end == VisitEnd::kLeft) facts.evidence &= static_cast<uint16_t>(~kHungUp);
  const admission::Conduct conduct{.evidence = facts.evidence,
                                   .misconduct = facts.misconduct,
                                   .returned = facts.returned,
                                   .talked = end == VisitEnd::kTalked,
                                   .left = end == VisitEnd::kLeft,
                                   .score = slot.score,
                                   .lists_good_for = asking ? lookups_->good_for(index) : 0};
  outbox_->add(
      {ClientKey::of(slot.address, prefixes_), admission::visit_of(conduct, config_, wall())});
  if (defers_) remember_network(slot.address, facts);
}

// What the action `defer` remembers, at the end of a visit.
void Shard::remember_network(const IpAddress& address, const admission::Facts& facts) {
  const ClientKey key = ClientKey::of_network(address);
  if (admission::judge(facts, config_).decision == admission::Decision::kDefer) {
    const auto network = parts_.book ? parts_.book->find(key) : std::nullopt;
    if (network && admission::is_deferred(*network, wall())) return;
    return outbox_->add({key, admission::deferral(config_.greylist, wall())});
  }
  admission::Facts first = facts;
  first.returned = false;
  const bool spared =
      facts.returned && admission::judge(first, config_).decision == admission::Decision::kDefer;
  if (!spared) return;
  counters_.add(Counter::kGreylistPass);
  outbox_->add({key, admission::comeback(config_.greylist, wall())});
}

// Of one who is on the way: lists are told of nobody else.
bool Shard::needs_lists(const IpAddress& address) {
  Slot slot;
  slot.address = address;
  look_back(slot);
  const bool decided = (slot.evidence & (kAllowlisted | kDenylisted | kRemembered)) != 0;
  return !decided && (slot.past & bit_of(ScreenTest::kLists)) == 0;
}

}  // namespace lychgate::daemon
