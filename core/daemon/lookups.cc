// From a client to questions and back: a record for each address, a cookie for each question, a sum
// over what has come.

#include "core/daemon/lookups.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/admission/routes.h"
#include "core/base/check.h"

namespace lychgate::daemon {

using admission::Standing;
using config::Meaning;
using dns::AnswerState;
using dns::InquiryId;
using dns::ListAnswer;
using dns::OutcomeKind;
using dns::ReplyKind;

namespace {

// What comes back with an outcome: whose it is, and what for. index : 24 (of a probe: the test
// point), generation : 32, purpose : 8.
constexpr int kIndexBits = 24;

template <typename Purpose>
uint64_t make_cookie(InquiryId id, Purpose purpose) {
  return uint64_t{id.index} | uint64_t{id.generation} << kIndexBits |
         static_cast<uint64_t>(purpose) << 56;
}

InquiryId id_of(uint64_t cookie) {
  return {static_cast<uint32_t>(cookie & ((1u << kIndexBits) - 1)),
          static_cast<uint32_t>(cookie >> kIndexBits)};
}

static_assert(uint64_t{kSlotsMax} + kDnsCacheMax <= uint64_t{1} << kIndexBits);

constexpr uint32_t kMsPerSecond = 1000;
// How often the boards are looked at while clients wait for the first proof of a list.
constexpr Tick kUnprovenLookMs = 50;

uint32_t seconds_to_keep(const dns::Reply& reply) {
  if (reply.kind == ReplyKind::kAnswer) return std::min(reply.ttl, kListedSecondsMax);
  return reply.has_soa ? std::min(reply.ttl, kNotListedSecondsMax) : kNotListedSecondsWithoutSoa;
}

PointAnswer point_answer(const dns::Outcome& outcome, const config::List& list) {
  switch (outcome.kind) {
    case OutcomeKind::kReply:
      break;
    case OutcomeKind::kFailed:
      return PointAnswer::kRefused;
    case OutcomeKind::kTimedOut:
      return PointAnswer::kTimedOut;
    case OutcomeKind::kGivenUp:
      return PointAnswer::kNotAsked;
  }
  const auto codes = outcome.reply->codes();
  if (codes.empty()) return PointAnswer::kUnlisted;
  const Meaning meaning = admission::score_answer(list, codes).meaning;
  if (meaning == Meaning::kOverQuota) return PointAnswer::kOverQuota;
  return config::is_error(meaning) ? PointAnswer::kErrorCode : PointAnswer::kListed;
}

}  // namespace

Result<std::unique_ptr<Lookups>> Lookups::create(const LookupsParts& parts, Tick now) {
  auto resolver = dns::Resolver::create(
      {.connections = parts.connections,
       .zones = parts.plan.zones,
       .servers = parts.plan.servers,
       .sockets = parts.sockets,
       .config = parts.config.dns,
       .patience = std::max(parts.config.greet.wait, parts.config.dns.timeout),
       .key = parts.key});
  if (!resolver) return tl::unexpected(resolver.error());
  return std::unique_ptr<Lookups>(new Lookups(parts, std::move(*resolver), now));
}

Lookups::Lookups(const LookupsParts& parts, std::unique_ptr<dns::Resolver> resolver, Tick now)
    : config_(parts.config),
      slots_(parts.connections.slots),
      lists_(parts.plan.lists),
      shared_(parts.shared),
      mine_(parts.mine),
      resolver_(std::move(resolver)),
      inquiries_({.slots = parts.connections.slots.size(),
                  .cached = parts.config.dns.cache,
                  .lists = static_cast<uint32_t>(parts.plan.lists.size()),
                  .key = parts.key}),
      notes_(size_t{parts.connections.slots.size()} + parts.config.dns.cache),
      reasons_(parts.config.dnsl.reason ? kReasonsMax : 0),
      kernel_holds_(config::kernel_holds(parts.config)),
      seen_(now) {
  decided_.reserve(parts.connections.slots.size());
  reasons_wanted_.reserve(reasons_.empty() ? 0 : parts.connections.slots.size());
  if (parts.watching) {
    watch_.emplace(ListWatchParts{.dnsl = parts.config.dnsl,
                                  .cells = parts.config.cells,
                                  .lists = lists_,
                                  .shared = parts.shared,
                                  .counters = parts.counters,
                                  .seed = parts.key[0]},
                   now);
  }
  look_at_boards();
}

// A disabled list is not asked; nor is one about a family it does not list.
bool Lookups::may_ask(uint32_t list, const IpAddress& address) const {
  if (views_[list].state == ListState::kDisabled) return false;
  return lists_[list].serves(address);
}

void Lookups::keep_time(Tick now) {
  clock_ms_ += static_cast<Tick>(now - seen_);
  seen_ = now;
}

uint32_t Lookups::second() const {
  return static_cast<uint32_t>(clock_ms_ / kMsPerSecond);
}

// Marks what is to be asked, all of it before the first is asked: to ask may give up another
// question, of this address too, and the sum must not look complete then.
// What is asked again counts as it was, for the others who wait and may be judged before it comes;
// not when it is older than any wait, since who waits on may be in dialogue, for minutes.
// longer: seconds beyond its expiry for which an answer is still good.
Lookups::Marked Lookups::mark(uint32_t record, uint32_t longer) {
  Marked marked;
  const uint32_t first = inquiries_.first_waiter(record);
  const bool shared = first != kNoSlot && inquiries_.next_waiter(first) != kNoSlot;
  for (uint32_t list = 0; list < lists_.size(); ++list) {
    if (!may_ask(list, inquiries_.address(record))) continue;
    ListAnswer& known = inquiries_.answers(record)[list];
    if (known.state == AnswerState::kAsked) {
      ++marked.joined;
    } else if (is_current(list, known) && second() < known.expires + longer) {
      ++marked.cached;
    } else {
      const bool counts = shared && is_current(list, known);
      if (!counts || second() >= known.expires + 2 * longer) known = {};
      known.state = AnswerState::kAsked;
      marked.to_ask |= 1u << list;
    }
  }
  return marked;
}

void Lookups::ask_lists(uint32_t record, uint32_t to_ask, Tick now) {
  if (to_ask != 0) forget_reason(record);
  for (; to_ask != 0; to_ask &= to_ask - 1) {
    ask_list(record, static_cast<uint32_t>(std::countr_zero(to_ask)), dns::RecordType::kA, now);
  }
}

void Lookups::ask(uint32_t slot, Tick now) {
  keep_time(now);
  const uint32_t record = inquiries_.join(slot, slots_[slot].address);
  // While others wait, an answer stays good for their whole wait: asked again, it would be missing
  // from the sum of one whose wait ends first. (A second, since a look may be late.) Who comes from
  // the kernel has waited since its SYN, for which the answer was asked.
  const bool alone = inquiries_.next_waiter(slot) == kNoSlot;
  const milliseconds wait =
      kernel_holds_ ? config::kernel_wait(config_.greet.wait) : config_.greet.wait;
  const Marked marked = mark(
      record, alone && !kernel_holds_ ? 0 : static_cast<uint32_t>(wait.count() / kMsPerSecond) + 2);
  mine_.add(Counter::kListsJoined, marked.joined);
  mine_.add(Counter::kListsCached, marked.cached);
  Note& note = note_of(record);
  ask_lists(record, marked.to_ask, now);
  const Standing standing = sum_of(record).standing;
  if (standing == Standing::kOpen) {
    note.told = Told::kNo;
  } else if (note.told == Told::kYes && (standing != Standing::kFailed || has_reason(record))) {
    decided_.push_back(slot);
  } else if (note.told != Told::kReasonAsked) {
    note.told = Told::kNo;
    evaluate(record);
  }
}

void Lookups::move(uint32_t from, uint32_t to) {
  inquiries_.join(to, slots_[to].address);
  leave(from);
}

static_assert(kListsMax <= kDnsWindowMin, "all lists can be asked about one address at once");

// Half of dns.in_flight is for clients that have come, and nothing is asked for others that is not
// sent at once: it would be queued before what is asked for them later.
bool Lookups::has_room_to_prefetch() const {
  return resolver_->open() <= config_.dns.in_flight / 2 &&
         resolver_->has_room_for(static_cast<uint32_t>(lists_.size()));
}

Lookups::Prefetched Lookups::prefetch(const IpAddress& address, Tick now) {
  keep_time(now);
  if (!has_room_to_prefetch()) return Prefetched::kNoRoom;
  const uint32_t record = inquiries_.keep(address);
  if (record == InquiryId::kNoRecord) return Prefetched::kNoRoom;
  if (inquiries_.first_waiter(record) != kNoSlot) return Prefetched::kKnown;
  const Marked marked = mark(record, 0);
  ask_lists(record, marked.to_ask, now);
  return marked.to_ask == 0 ? Prefetched::kKnown : Prefetched::kAsked;
}

// Of a record's present address: what was noted of its last one is forgotten.
Lookups::Note& Lookups::note_of(uint32_t record) {
  Note& note = notes_[record];
  const uint32_t generation = inquiries_.id(record).generation;
  if (note.generation != generation) note = {.generation = generation};
  return note;
}

void Lookups::ask_list(uint32_t record, uint32_t list, dns::RecordType type, Tick now) {
  const Purpose purpose = type == dns::RecordType::kTxt ? Purpose::kReason : Purpose::kClient;
  ListCounters::add(counts_of(list).queries);
  const auto victim = resolver_->ask({.zone = list,
                                      .address = inquiries_.address(record),
                                      .type = type,
                                      .cookie = make_cookie(inquiries_.id(record), purpose)},
                                     now);
  if (victim) settle(*victim, now);
}

Lookups::Sum Lookups::sum(uint32_t slot) const {
  const uint32_t record = inquiries_.record_of(slot);
  LYCH_CHECK(record != InquiryId::kNoRecord);
  Sum sum = sum_of(record);
  const bool reason_missing = notes_[record].told == Told::kReasonAsked;
  if (kernel_holds_ && reason_missing && !may_go_on(sum.standing)) sum.standing = Standing::kOpen;
  return sum;
}

bool Lookups::is_current(uint32_t list, const ListAnswer& answer) const {
  return answer.state == AnswerState::kAnswered && answer.epoch == views_[list].epoch;
}

bool Lookups::may_go_on(Standing standing) const {
  return standing != Standing::kFailed || config_.dnsl.action == config::Action::kIgnore;
}

// Only lists that are up count; what an unproven one has said, or may say, is still to come.
Lookups::Sum Lookups::sum_of(uint32_t record) const {
  admission::Tally tally;
  const auto answers = inquiries_.answers(record);
  for (uint32_t i = 0; i < lists_.size(); ++i) {
    const ListAnswer& answer = answers[i];
    const bool asked = answer.state == AnswerState::kAsked;
    const bool answered = is_current(i, answer);
    if (views_[i].state == ListState::kDisabled || !(asked || answered)) continue;
    const bool counts = views_[i].state == ListState::kUp && answer.epoch == views_[i].epoch;
    const int32_t weight = counts ? answer.weight : 0;
    tally.score += weight;
    if (counts && answered) continue;
    tally.gain_max += lists_[i].gain_max - weight;
    tally.loss_max += lists_[i].loss_max - weight;
  }
  Standing standing = admission::standing(tally, config_.dnsl);
  // Who is let through early is routed by this score, as are those who served the wait on an
  // earlier visit and everybody who comes from the kernel.
  const bool passed = standing == Standing::kAllowed || standing == Standing::kPassed;
  const bool early = passed || (kernel_holds_ && may_go_on(standing));
  if (early && !admission::route_is_certain(tally, config_)) standing = Standing::kOpen;
  return {static_cast<int16_t>(tally.score), standing};
}

uint32_t Lookups::seconds_left(const ListAnswer& answer) const {
  return answer.expires > second() ? answer.expires - second() : 0;
}

// Unlike a sum it waits for a list that did not answer: it was not heard in the client's favour.
uint32_t Lookups::good_for(uint32_t slot) const {
  const uint32_t record = inquiries_.record_of(slot);
  LYCH_CHECK(record != InquiryId::kNoRecord);
  admission::Tally tally;
  uint32_t shortest = UINT32_MAX;
  const auto answers = inquiries_.answers(record);
  for (uint32_t i = 0; i < lists_.size(); ++i) {
    if (!lists_[i].serves(inquiries_.address(record))) continue;
    if (views_[i].state == ListState::kDisabled) {
      shortest = 1;
    } else if (is_current(i, answers[i]) && views_[i].state == ListState::kUp) {
      tally.score += answers[i].weight;
      shortest = std::min(shortest, std::max(seconds_left(answers[i]), 1u));
    } else {
      tally.gain_max += lists_[i].gain_max;
      tally.loss_max += lists_[i].loss_max;
      shortest = 1;
    }
  }
  const Standing standing = admission::standing(tally, config_.dnsl);
  const bool certain = standing == Standing::kPassed || standing == Standing::kAllowed;
  return certain ? shortest : 0;
}

// Of a client that asks nothing, since it failed on an earlier visit: what is still known.
size_t Lookups::parts(uint32_t slot, Parts& into) const {
  uint32_t record = inquiries_.record_of(slot);
  if (record == InquiryId::kNoRecord) {
    record = inquiries_.find(slots_[slot].address).value_or(InquiryId::kNoRecord);
  }
  return record == InquiryId::kNoRecord ? 0 : parts_of(record, into);
}

size_t Lookups::parts_of(uint32_t record, Parts& into) const {
  size_t count = 0;
  const auto answers = inquiries_.answers(record);
  for (uint32_t i = 0; i < lists_.size(); ++i) {
    const ListAnswer& answer = answers[i];
    const bool counts = is_current(i, answer) && views_[i].state == ListState::kUp;
    if (!counts || answer.weight == 0) continue;
    into[count++] = {static_cast<uint8_t>(i), answer.weight, answer.code, seconds_left(answer)};
  }
  std::sort(into.begin(), into.begin() + static_cast<std::ptrdiff_t>(count),
            [](const Part& a, const Part& b) {
              return a.weight != b.weight ? a.weight > b.weight : a.list < b.list;
            });
  return count;
}

bool Lookups::has_reason(uint32_t record) const {
  if (reasons_.empty()) return true;  // nobody wants one
  const Reason& reason = reasons_[notes_[record].reason];
  return reason.of == inquiries_.id(record);
}

std::string_view Lookups::reason(uint32_t slot, uint32_t list) const {
  const uint32_t record = inquiries_.record_of(slot);
  if (record == InquiryId::kNoRecord || reasons_.empty() || !has_reason(record)) return {};
  const Reason& reason = reasons_[notes_[record].reason];
  // Since it was asked for, another list may have come to count more.
  if (reason.list != list) return {};
  return {reason.text.data(), reason.size};
}

const ListAnswer& Lookups::answer(uint32_t slot, uint32_t list) const {
  return inquiries_.answers(inquiries_.record_of(slot))[list];
}

void Lookups::complete(const ring::Completion& completion, Tick now) {
  keep_time(now);
  if (const auto outcome = resolver_->complete(completion, now)) settle(*outcome, now);
}

void Lookups::settle(const dns::Outcome& outcome, Tick now) {
  count(outcome);
  switch (static_cast<Purpose>(outcome.cookie >> 56)) {
    case Purpose::kClient:
      return settle_client(outcome);
    case Purpose::kProbe:
      return settle_probe(outcome, now);
    case Purpose::kReason:
      return settle_reason(outcome);
  }
}

void Lookups::count(const dns::Outcome& outcome) {
  ListCounters& counters = counts_of(outcome.zone);
  switch (outcome.kind) {
    case OutcomeKind::kReply:
      ListCounters::add(counters.answered);
      counters.took(outcome.took_ms);
      return;
    case OutcomeKind::kFailed:
      return ListCounters::add(counters.failed);
    case OutcomeKind::kTimedOut:
      return ListCounters::add(counters.timeouts);
    case OutcomeKind::kGivenUp:
      return;  // our own bound says nothing about the list
  }
}

void Lookups::settle_client(const dns::Outcome& outcome) {
  const auto record = inquiries_.find(id_of(outcome.cookie));
  if (!record) return;  // nobody waits, and the record was needed for somebody else
  ListAnswer answer{.state = AnswerState::kFailed};
  const View& view = views_[outcome.zone];
  // What a disabled list says is not kept either: it may be believed again before that expires.
  if (outcome.kind == OutcomeKind::kReply && view.state != ListState::kDisabled) {
    const auto score = admission::score_answer(lists_[outcome.zone], outcome.reply->codes());
    ListCounters& counters = counts_of(outcome.zone);
    if (config::is_error(score.meaning)) {
      ListCounters::add(counters.errors);
      answer.code = score.code;  // for those who ask why
    } else {
      if (score.weight != 0) ListCounters::add(counters.listed);
      answer = {.code = score.code,
                .expires = second() + seconds_to_keep(*outcome.reply),
                .weight = static_cast<int16_t>(score.weight),
                .state = AnswerState::kAnswered,
                .epoch = view.epoch};
    }
  }
  inquiries_.answers(*record)[outcome.zone] = answer;
  evaluate(*record);
}

void Lookups::settle_probe(const dns::Outcome& outcome, Tick now) {
  if (!watch_) return;  // its probe was still under way
  const uint32_t point = id_of(outcome.cookie).index;
  const PointAnswer answer = point_answer(outcome, lists_[outcome.zone]);
  watch_->probed({.list = outcome.zone, .point = point, .address = {}}, answer, now, wall_);
}

void Lookups::settle_reason(const dns::Outcome& outcome) {
  const auto record = inquiries_.find(id_of(outcome.cookie));
  if (!record || note_of(*record).told != Told::kReasonAsked) return;
  Note& note = note_of(*record);
  const auto text =
      outcome.kind == OutcomeKind::kReply ? outcome.reply->reason() : std::string_view();
  // A list may repeat the name that it was asked for, key and all.
  if (!text.empty() && !config::tells_a_key(lists_[outcome.zone], text)) {
    // The oldest reason makes room: whoever needed it has long been told.
    note.reason = next_reason_;
    Reason& reason = reasons_[next_reason_];
    next_reason_ = static_cast<uint16_t>((next_reason_ + 1u) % reasons_.size());
    reason.of = inquiries_.id(*record);
    reason.list = static_cast<uint8_t>(outcome.zone);
    reason.size = static_cast<uint8_t>(text.copy(reason.text.data(), reason.text.size()));
  }
  // Without one, too: it is not asked for twice while the same clients wait.
  note.told = Told::kYes;
  tell_all(*record);
}

// What was said about an earlier listing is not why the next one is.
void Lookups::forget_reason(uint32_t record) {
  if (!reasons_.empty() && has_reason(record)) reasons_[note_of(record).reason].of = {};
}

// Tells the waiting clients once nothing can change what follows; who is to be refused, and to hear
// why, is told when the list's reason has come or could not be had.
void Lookups::evaluate(uint32_t record) {
  Note& note = note_of(record);
  if (note.told != Told::kNo) return;
  const Sum sum = sum_of(record);
  if (sum.standing == Standing::kOpen) return;
  const bool awaited = inquiries_.first_waiter(record) != kNoSlot;
  if (sum.standing == Standing::kFailed && awaited && !has_reason(record)) {
    note.told = Told::kReasonAsked;
    reasons_wanted_.push_back(record);
    return;
  }
  note.told = Told::kYes;
  tell_all(record);
}

// Not in the middle of evaluate(): to ask may give up another question, and that evaluates again.
void Lookups::ask_reasons(Tick now) {
  while (!reasons_wanted_.empty()) {
    const uint32_t record = reasons_wanted_.back();
    reasons_wanted_.pop_back();
    Parts counted;
    if (note_of(record).told != Told::kReasonAsked) continue;
    if (parts_of(record, counted) > 0) {
      ask_list(record, counted[0].list, dns::RecordType::kTxt, now);
    } else {
      note_of(record).told = Told::kYes;  // a list was disabled meanwhile: nothing counts any more
      tell_all(record);
    }
  }
}

void Lookups::tell_all(uint32_t record) {
  for (uint32_t slot = inquiries_.first_waiter(record); slot != kNoSlot;
       slot = inquiries_.next_waiter(slot)) {
    decided_.push_back(slot);
  }
}

std::optional<uint32_t> Lookups::next_decided() {
  while (!decided_.empty()) {
    const uint32_t slot = decided_.back();
    decided_.pop_back();
    // Another client may have come into the slot since.
    const uint32_t record = inquiries_.record_of(slot);
    if (record == InquiryId::kNoRecord || note_of(record).told != Told::kYes) continue;
    if (sum_of(record).standing != Standing::kOpen) return slot;
  }
  return std::nullopt;
}

// A list that has become up counts from now on, a disabled one no longer: either may decide.
void Lookups::look_at_boards() {
  version_ = shared_.version.load(std::memory_order_acquire);  // of what the boards say
  unproven_ = false;
  for (uint32_t i = 0; i < lists_.size(); ++i) {
    const ListBoard& board = shared_.boards[config_.cells.lists[i]];
    views_[i] = {static_cast<ListState>(board.state.load(std::memory_order_relaxed)),
                 board.epoch.load(std::memory_order_relaxed)};
    unproven_ |= views_[i].state == ListState::kUnproven;
  }
  for (uint32_t record = inquiries_.first_awaited(); record != InquiryId::kNoRecord;
       record = inquiries_.next_awaited(record)) {
    evaluate(record);
  }
}

void Lookups::advance(Tick now, WallTime wall) {
  wall_ = wall;
  keep_time(now);
  while (const auto outcome = resolver_->next_expired(now)) settle(*outcome, now);
  if (watch_) {
    watch_->advance(now, wall);
    while (const auto probe = watch_->next_probe()) {
      ListCounters::add(counts_of(probe->list).queries);
      const auto victim =
          resolver_->ask({.zone = probe->list,
                          .address = probe->address,
                          .form = probe->form(),
                          .urgent = true,
                          .cookie = make_cookie({probe->point, 0}, Purpose::kProbe)},
                         now);
      if (victim) settle(*victim, now);
    }
  }
  if (shared_.version.load(std::memory_order_relaxed) != version_) look_at_boards();
  ask_reasons(now);
  resolver_->send(now);
}

std::optional<std::string> Lookups::next_line() {
  return watch_ ? watch_->next_line() : std::nullopt;
}

std::optional<Tick> Lookups::next_wake(Tick now) const {
  std::optional<Tick> wake = resolver_->next_wake(now);
  const auto consider = [&wake](std::optional<Tick> at) {
    if (at && (!wake || tick_reached(*wake, *at))) wake = at;
  };
  if (!decided_.empty() || !reasons_wanted_.empty()) consider(now);
  // The watch of another process wakes nobody here.
  if (unproven_ && inquiries_.waiting() > 0) consider(now + kUnprovenLookMs);
  if (watch_) consider(watch_->next_wake());
  return wake;
}

}  // namespace lychgate::daemon
