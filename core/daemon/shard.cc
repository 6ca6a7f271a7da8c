// The loop's body: completions to events, events to actions, actions to the reactor.

#include "core/daemon/shard.h"

#include <algorithm>
#include <cerrno>

#include "core/admission/greylist.h"
#include "core/admission/limits.h"
#include "core/admission/routes.h"
#include "core/base/check.h"
#include "core/daemon/sizes.h"

namespace lychgate::daemon {

using ring::Completion;
using ring::Op;
using ring::OpTag;

namespace {

handoff::TransferOptions transfer_options(const ShardParts& parts, uint32_t slots) {
  return {.config = parts.config,
          .records = std::min(slots, kTransfersMax),
          .buffers = kRelayBuffers,
          .bulk_relays_max = parts.bulk_relays_max};
}

// Where there are several tables, dialogues are in the main one, which others need, too.
uint32_t dialogues_of(uint32_t slots, uint32_t table_slots) {
  return std::min(slots > table_slots ? table_slots / 4 : table_slots, kDialoguesMax);
}

// Phases in which the slot's completions and timer are the hand-off's. (In kLooking the same field
// of the slot names the look buffer.)
bool with_transfers(const Slot& slot) {
  switch (slot.phase) {
    case Phase::kQueued:
    case Phase::kHandoff:
    case Phase::kRelay:
    case Phase::kBackend:
      return slot.transfer != kNoSlot;
    case Phase::kFree:
    case Phase::kProxy:
    case Phase::kSilentWait:
    case Phase::kLooking:
    case Phase::kMoving:
    case Phase::kDialogue:
    case Phase::kTarpit:
    case Phase::kReplying:
    case Phase::kLinger:
    case Phase::kRetiring:
    case Phase::kClosing:
      return false;
  }
  return false;
}

// How soon a dialogue that found no buffer asks again.
constexpr Tick kDeafRetryMs = 10;

// Held until its verdict.
bool is_waiting(Phase phase) {
  return phase == Phase::kSilentWait || phase == Phase::kLooking;
}

}  // namespace

Shard::Shard(const ShardParts& parts, SlotTable& slots, Tick now)
    : config_(parts.config),
      access_(parts.access),
      all_counters_(parts.counters),
      counters_(parts.counters[parts.index]),
      reactor_(parts.reactor),
      log_(parts.log),
      slots_(slots),
      timers_(slots, now),
      connections_(slots, parts.reactor, timers_, counters_),
      acceptor_(connections_, parts.listeners,
                accept_reserve(slots.size(), parts.reactor.table_size())),
      mover_(connections_, accept_reserve(slots.size(), parts.reactor.table_size()) / 2),
      pools_(parts.config, parts.counters, parts.index,
             parts.boards == nullptr ? nullptr : &parts.boards->pools),
      transfers_(connections_, pools_, transfer_options(parts, slots.size())),
      teaser_(parts.teaser),
      control_fd_(parts.control_fd),
      parts_(parts),
      prefixes_(prefix_lengths(parts.config.store)),
      routes_by_history_(admission::routes_by_history(parts.config)),
      defers_(admission::defers(parts.config)),
      levels_(admission::level_configs(parts.config)),
      reply_book_({.hostname = parts.hostname,
                   .banner = parts.config.greet.banner,
                   .footer = parts.config.dialogue.reject_footer}),
      ehlo_book_(parts.hostname),
      dialogues_(dialogues_of(slots.size(), parts.reactor.table_size())),
      tarpit_(connections_, 0),
      announcements_(parts.config, parts.boards == nullptr ? nullptr : &parts.boards->pools),
      look_buffers_(kLooksInFlightMax) {
  tarpit_.set_clients_max(admission::tarpit_clients(config_, level_));
  if (parts.steward_fd >= 0) outbox_.emplace(parts.steward_fd, reactor_, counters_);
  lines_.resize(kLinesUnwrittenMax);  // touched now, not client by client
  lines_.clear();
  for (uint32_t i = 0; i < kLooksInFlightMax; ++i) free_looks_.push_back(static_cast<uint16_t>(i));
}

Result<void> Shard::start(Tick now) {
  if (auto made = make_lookups(now); !made) return made;
  if (control_fd_ >= 0) reactor_.poll_fd(control_fd_, OpTag::of(Op::kControl));
  if (parts_.carry_fd >= 0) {
    carry_in_.emplace(parts_.carry_fd, connections_, acceptor_, config_.listens.size(),
                      lookups_.get());
    carry_in_->start();
  }
  // One shard looks after what concerns the host.
  if (parts_.boards == nullptr || parts_.shard != 0) return {};
  checks_.emplace(connections_, config_, parts_.boards->pools, parts_.hostname);
  checks_->start(now);
  load_watch_.emplace(LoadWatchParts{.config = config_,
                                     .counters = all_counters_,
                                     .index = parts_.index,
                                     .board = parts_.boards->load,
                                     .log = log_},
                      now);
  return {};
}

void Shard::consider_level(Tick now) {
  if (parts_.boards == nullptr) return;
  if (load_watch_ && !leaving()) load_watch_->advance(now);
  const config::OverloadLevel level = level_of(parts_.boards->load);
  if (level == level_) return;
  level_ = level;
  if (!leaving()) tarpit_.set_clients_max(admission::tarpit_clients(config_, level_));
}

void Shard::open_doors() {
  acceptor_.start();
  if (parts_.syn_feed != nullptr) parts_.syn_feed->begin();
}

void Shard::set_access(const admission::AccessList* access) {
  access_ = access;
  if (parts_.syn_feed != nullptr) parts_.syn_feed->set_access(access);
}

uint32_t Shard::clients() const {
  return static_cast<uint32_t>(counters_.held.load(std::memory_order_relaxed));
}

std::optional<milliseconds> Shard::wait(Tick now) const {
  if (transfers_.has_outcomes()) return milliseconds{0};
  if (!lines_.empty()) return milliseconds{0};  // to write them once what is queued has gone
  if (leaving() && outbox_ && outbox_->hurried() && !outbox_->idle()) return milliseconds{0};
  if (carry_in_ && carry_in_->has_work()) return milliseconds{0};
  std::optional<Tick> wake = timers_.next_wake();
  const auto consider = [&wake](std::optional<Tick> at) {
    if (at && (!wake || tick_reached(*wake, *at))) wake = at;
  };
  consider(acceptor_.next_wake());
  consider(log_.next_wake());
  if (outbox_) consider(outbox_->next_wake());
  if (lookups_) consider(lookups_->next_wake(now));
  if (carry_out_) consider(carry_out_->next_wake(now));
  if (reads_syns()) consider(parts_.syn_feed->next_wake());
  consider(tarpit_.next_wake(now));
  if (checks_) consider(checks_->next_wake());
  if (load_watch_ && !leaving()) consider(load_watch_->next_wake());
  if (!deaf_.empty()) consider(now + kDeafRetryMs);
  // Once drain is over only the log is waited for, and that wakes the shard itself.
  if (leaving() && !tick_reached(now, drain_until_)) consider(drain_until_);
  if (!wake) return std::nullopt;
  return tick_reached(now, *wake) ? milliseconds{0} : milliseconds{*wake - now};
}

void Shard::handle(std::span<const Completion> completions, Tick now) {
  // The turn that has been made has sent them.
  for (const uint32_t room : written_out_) written_.give_back(room);
  written_out_.clear();
  consider_level(now);
  announcements_.refresh();
  for (const Completion& completion : completions) dispatch(completion, now);
  if (lookups_) look_up(now);
  timers_.advance(now);
  fire_timers(now);
  transfers_.resume_starved(now);
  while (const auto outcome = transfers_.next_outcome()) take_outcome(*outcome, now);
  hear_again(now);
  advance_tarpit(now);
  if (checks_) {
    checks_->advance(now);
    while (const auto line = checks_->next_line()) log_.add(log_.time(), *line);
  }
  while (const auto warning = transfers_.next_warning()) log_.add(log_.time(), *warning);
  mover_.advance();
  acceptor_.submit(now);
  if (carry_out_ || carry_in_) carry_on(now);
  if (outbox_) outbox_->flush(now);
  if (parts_.book != nullptr) parts_.book->end_turn();
  // In a rush, what is queued goes to the kernel first: clients are waiting for it. A few lines
  // take less than the turn that would be made for them.
  if (lines_.size() <= kLinesAtOnce || !reactor_.has_queued() || log_.due(now)) write_lines();
  log_.flush(now);
}

void Shard::dispatch(const Completion& completion, Tick now) {
  const Op op = completion.tag.operation();
  switch (op) {
    case Op::kIgnored:
    case Op::kTeaser:
      return;
    case Op::kListenerPoll:
      return acceptor_.poll_completed(completion);
    case Op::kAccept:
      return accept(completion, now);
    case Op::kLogWrite:
      return log_.complete(completion);
    case Op::kControl:
      control_event_ = true;
      return;
    case Op::kSteward:
      steward_event_ = true;
      return;
    case Op::kSynFeed:
      return parts_.syn_feed->woken(now);
    case Op::kVisits:
      return outbox_->failed(completion);
    case Op::kCarry:
      return carry_in_->woken();
    case Op::kCarryAdopt:
      return adopted(completion, now);
    case Op::kDnsSend:
    case Op::kDnsReceive:
    case Op::kDnsTcpSocket:
      return lookups_->complete(completion, now);
    default:
      break;
  }
  if (handoff::HealthChecks::owns(op)) return checked(completion, now);
  if (connections_.take(completion) == nullptr) return;
  const auto slot = static_cast<uint32_t>(completion.tag.slot);
  if (slots_[slot].phase == Phase::kDialogue) return conversed(slot, completion, now);
  if (op == Op::kLook) {
    looked(slot, completion, now);
  } else if (op == Op::kDiscard) {
    if (completion.result > 0) slots_[slot].evidence |= kStillTalking;
  } else if (op == Op::kReply) {
    // One of the dialogue may come back when the last one is on its way already.
    if (slots_[slot].phase == Phase::kReplying) replied(slot, now);
  } else if (op == Op::kDrip || op == Op::kShrink) {
    dripped(slot, completion, now);
  } else if (op == Op::kMove) {
    moved(slot, completion, now);
  } else if (op == Op::kCarryInstall) {
    installed(slot, completion, now);
  } else if (op == Op::kDnsTcpConnect || op == Op::kDnsTcpSend || op == Op::kDnsTcpReceive) {
    lookups_->complete(completion, now);
  } else if (op == Op::kTake && slots_[slot].phase == Phase::kProxy) {
    introduce(slot, now);
  } else if (with_transfers(slots_[slot])) {
    transfers_.complete(slot, completion, now);
  } else if (completion.buffer) {
    reactor_.give_back(*completion.buffer);  // heard of a client that is being sent away
  }
}

void Shard::checked(const Completion& completion, Tick now) {
  const Op op = completion.tag.operation();
  const bool of_slot = op != Op::kCheckSocket && op != Op::kCheckPair;
  if (of_slot && connections_.take(completion) == nullptr) return;
  checks_->complete(completion, now);
}

void Shard::accept(const Completion& completion, Tick now) {
  const auto arrival = acceptor_.accepted(completion, now);
  if (!arrival) return;
  const uint32_t of_address = connections_.open_client(*arrival, now);
  if (config_.listens[arrival->listener].proxy_protocol) {
    return await_header(arrival->slot, of_address, now);
  }
  screen(arrival->slot, of_address, now);
}

// All that is known of a client that has just come, and what follows from it.
void Shard::screen(uint32_t index, uint32_t of_address, Tick now) {
  uint64_t on_host = 0;
  for (const ShardCounters& shard : all_counters_) {
    on_host += shard.held.load(std::memory_order_relaxed);
  }
  Slot& slot = slots_[index];
  slot.evidence = admission::limit_evidence(
      {.per_address = of_address, .shard = clients(), .host = static_cast<uint32_t>(on_host)},
      settings().limits);
  if (access_ != nullptr) {
    const admission::AccessResult found = access_->lookup(slot.address);
    if (found == admission::AccessResult::kPermit) slot.evidence |= kAllowlisted;
    if (found == admission::AccessResult::kReject) slot.evidence |= kDenylisted;
  }
  look_back(slot);
  run(index, {EventKind::kAccepted, {}}, now);
  if (stopping_ && slot.phase == Phase::kSilentWait) send_away(index, now);
}

void Shard::looked(uint32_t index, const Completion& completion, Tick now) {
  Slot& slot = slots_[index];
  const auto buffer = static_cast<uint16_t>(slot.transfer);
  slot.transfer = kNoSlot;
  free_looks_.push_back(buffer);
  if (slot.phase == Phase::kProxy) {
    const auto size = static_cast<size_t>(std::max(completion.result, 0));
    return header_looked(index, completion, std::span(look_buffers_[buffer]).first(size), now);
  }
  if (stopping_) return run(index, {.kind = EventKind::kStop}, now);
  const int result = completion.result;
  Event event{.kind = result == -EAGAIN ? EventKind::kSilence : EventKind::kHangup};
  if (result > 0) {
    event.kind = EventKind::kTalk;
    event.text = {look_buffers_[buffer].data(), static_cast<size_t>(result)};
  }
  if ((slot.evidence & kAskingLists) != 0) {
    const Lookups::Sum sum = lookups_->sum(index);
    event.score = sum.score;
    event.standing = sum.standing;
  }
  run(index, event, now);
}

void Shard::account(const Slot& slot, Phase before) {
  if (slot.phase == before) return;
  counters_.leave_phase(before);
  counters_.enter_phase(slot.phase);
}

void Shard::remember_reply(const ActionList& actions) {
  for (const Action& action : actions) {
    if (action.kind == ActionKind::kReply) last_reply_ = action.reply;
  }
}

void Shard::run(uint32_t index, const Event& event, Tick now) {
  Slot& slot = slots_[index];
  const Phase before = slot.phase;
  const ActionList actions = step(settings(), slot, event, now);
  account(slot, before);
  remember_reply(actions);
  for (const Action& action : actions) perform(index, action, event, now);
  if ((slot.evidence & kAskingLists) != 0) stop_asking(index);
  if (is_waiting(before) && !is_waiting(slot.phase)) counters_.hold_time.took(now - slot.started);
}

void Shard::look(uint32_t slot) {
  LYCH_CHECK(!free_looks_.empty());
  const uint16_t buffer = free_looks_.back();
  free_looks_.pop_back();
  slots_[slot].transfer = buffer;
  reactor_.peek(slot, look_buffers_[buffer], connections_.begin(Op::kLook, slot));
}

void Shard::perform(uint32_t slot, const Action& action, const Event& event, Tick now) {
  switch (action.kind) {
    case ActionKind::kLog:
      return note(slot, action, event, now);
    case ActionKind::kCount:
      return counters_.add(action.counter);
    case ActionKind::kTease:
      return reactor_.send(slot, teaser_, ring::SendMode::kUntold, OpTag::of(Op::kTeaser));
    case ActionKind::kArm:
      return timers_.arm(slot, action.home, action.deadline);
    case ActionKind::kLook:
      return look(slot);
    case ActionKind::kDiscard:
      return reactor_.discard(slot, connections_.begin(Op::kDiscard, slot));
    case ActionKind::kReply:
      if (slots_[slot].phase == Phase::kDialogue) return say(slot, action.reply);
      return reply(slot, action.reply);
    case ActionKind::kShut:
      return reactor_.shutdown_write(slot, connections_.begin(Op::kShutdown, slot));
    case ActionKind::kRoute:
      return hand_off(slot, now);
    case ActionKind::kClose:
      return connections_.retire(slot);
    case ActionKind::kAskLists:
      return lookups_->ask(slot, now);
    case ActionKind::kDisarm:
      return timers_.cancel(slot);
    case ActionKind::kRemember:
      return remember(slot, action.visit);
    case ActionKind::kConverse:
      return converse_with(slot, now);
    case ActionKind::kHold:
      return hold(slot, action.reply, now);
    case ActionKind::kGreet:
      return say(slot, smtp::ReplyId::kGreeting);
    case ActionKind::kListen:    // once nothing is in flight: go_on()
    case ActionKind::kHandOver:  // likewise
      return;
  }
}

LogEvent& Shard::new_line(const Slot& slot, LogKind kind) {
  if (lines_.size() == kLinesUnwrittenMax) write_lines();
  LogEvent& line = lines_.emplace_back();
  line.at = log_.time();
  line.address = slot.address;
  line.port = slot.port;
  line.listener = slot.listener;
  line.kind = kind;
  return line;
}

void Shard::note(uint32_t index, const Action& action, const Event& event, Tick now) {
  const Slot& slot = slots_[index];
  LogEvent& line = new_line(slot, action.log);
  line.reply = last_reply_;
  line.score = slot.score;
  line.since = milliseconds{now - slot.started};
  line.after = action.after;
  line.quote_word(action.word);
  line.quote(event.text);
  if (action.log == LogKind::kListsRank || action.log == LogKind::kRejectListed) {
    note_lists(index, line);
  }
}

Words Shard::words() const {
  return {.config = config_,
          .lists = parts_.lists == nullptr ? std::span<const config::List>() : parts_.lists->lists};
}

void Shard::write_lines() {
  for (const LogEvent& event : lines_) {
    LogLine line;
    put_into_words(event, words(), line);
    log_.add(event.at, line.text());
  }
  lines_.clear();
}

// After the hand-over the ring may not touch the client's bytes: a request left behind would steal
// them from smtpd.
void Shard::hand_off(uint32_t index, Tick now) {
  const Slot& slot = slots_[index];
  LYCH_CHECK(slot.in_flight == 0);
  const auto route = admission::choose_route(route_facts(slot), settings());
  if (!route) return run(index, {EventKind::kNoRoute, {}}, now);
  const uint32_t pool = config_.routes[*route].pool_index;
  if (mover_.needs_moving(index)) return move(index, {.pool = pool}, now);
  transfers_.begin(index, pool, now);
}

// Its route is chosen by what was known at its verdict, and goes with it.
void Shard::move(uint32_t slot, const Errand& errand, Tick now) {
  if (!mover_.begin(slot, now)) return not_moved(slot, now);
  slots_[slot].transfer = errand.packed();
}

void Shard::moved(uint32_t slot, const Completion& completion, Tick now) {
  const Errand errand = Errand::unpack(slots_[slot].transfer);
  const bool asking = (slots_[slot].evidence & kAskingLists) != 0;
  const auto to = mover_.moved(completion);
  if (!to) return not_moved(slot, now);
  if (asking) lookups_->move(slot, *to);
  if (errand.to_talk) {
    connections_.set_phase(*to, Phase::kDialogue);
    return begin_dialogue(*to, errand.pool, now);
  }
  if (asking) stop_asking_now(*to);
  transfers_.begin(*to, errand.pool, now);
}

void Shard::not_moved(uint32_t slot, Tick now) {
  slots_[slot].transfer = kNoSlot;
  counters_.add(Counter::kMoveFailed);
  if ((slots_[slot].evidence & kAskingLists) != 0) stop_asking_now(slot);
  run(slot, {EventKind::kGaveUp, {}}, now);
}

void Shard::fire_timers(Tick now) {
  // A look needs a buffer; without one the rest of the due list waits for the next turn, which
  // comes at once.
  while (!free_looks_.empty()) {
    const auto index = timers_.pop_due();
    if (!index) return;
    if (with_transfers(slots_[*index])) {
      transfers_.timer(*index, now);
    } else if (slots_[*index].phase == Phase::kMoving) {
      not_moved(*index, now);
    } else if (slots_[*index].phase == Phase::kProxy) {
      look(*index);
    } else if (slots_[*index].phase == Phase::kDialogue) {
      talk(*index, {TalkKind::kTimeUp}, now);
    } else {
      run(*index, {EventKind::kTimer, {}}, now);
    }
  }
}

// REQUIRES: it waits, talks to the gate or waits for its PROXY header.
void Shard::send_away(uint32_t slot, Tick now) {
  timers_.cancel(slot);
  if (slots_[slot].phase == Phase::kProxy) {
    // Who is being looked at is closed by the look's answer.
    if (slots_[slot].in_flight == 0) connections_.retire(slot);
    return;
  }
  if (slots_[slot].phase == Phase::kDialogue) end_dialogue(slot, slots_[slot].transfer);
  run(slot, {EventKind::kStop, {}}, now);
}

void Shard::stop(Tick now) {
  if (stopping_) return;
  stopping_ = true;
  drain_until_ = now + to_ticks(config_.drain);
  if (!retired_) acceptor_.stop();
  transfers_.stop();
  if (outbox_) outbox_->hurry();
  if (carry_out_) carry_out_->stop(now);
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Phase phase = slots_[i].phase;
    const bool leaves =
        phase == Phase::kSilentWait || phase == Phase::kDialogue || phase == Phase::kProxy;
    if (leaves) send_away(i, now);
  }
  if (checks_) checks_->stop();
  tarpit_.set_clients_max(0);
  advance_tarpit(now);
}

bool Shard::finished(Tick now) const {
  return leaving() && (nobody_left() || tick_reached(now, drain_until_)) && lines_.empty() &&
         log_.idle() && (!outbox_ || outbox_->idle());
}

bool Shard::take_steward_event() {
  return std::exchange(steward_event_, false);
}

bool Shard::take_control_event() {
  return std::exchange(control_event_, false);
}

}  // namespace lychgate::daemon
