// Choosing, failing over and ending; the two methods are in transfers_attempt.cc.

#include "handoff/transfers.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::handoff {

using config::HandoffMethod;
using ring::Completion;
using ring::Op;

Transfers::Transfers(ring::Connections& connections, Pools& pools, const TransferOptions& options)
    : connections_(connections),
      pools_(pools),
      config_(options.config),
      relays_{connections, BufferLinks(options.buffers), PipePool(connections.reactor),
              0,           options.bulk_relays_max,      {}},
      records_(std::make_unique<Record[]>(options.records)),
      records_count_(options.records) {
  LYCH_CHECK(options.records >= 1 && options.records <= kTransfersMax);
  free_.reserve(options.records);
  resuming_.reserve(options.records);
  for (uint32_t i = options.records; i-- > 0;) free_.push_back(i);
  relays_.starved.reserve(options.records);
  if (relays_.bulk_relays_max > 0 && !relays_.pipes.reserve()) relays_.bulk_relays_max = 0;
}

const config::Backend& Transfers::backend_of(const Record& record) const {
  return config_.pools[record.pool].backends[record.backend];
}

void Transfers::count(uint32_t pool, HandoffOutcome outcome) {
  connections_.counters.add_outcome(config_.cells.pools[pool], outcome);
}

void Transfers::count_taken(const Record& record, Tick now) {
  connections_.counters.add(Counter::kHandedOff);
  connections_.counters.handoff_time.took(now - record.begun);
  count(record.pool, HandoffOutcome::kTaken);
}

uint32_t Transfers::index_of(const Record& record) const {
  return static_cast<uint32_t>(&record - records_.get());
}

bool Transfers::needs_local_address(const Record& record) const {
  return record.server.address.is_unspecified();
}

SessionEnds Transfers::ends_of(const Record& record) const {
  const Slot& client = connections_.slots[record.client.slot];
  return {.client = {client.address, client.port}, .server = record.server};
}

void Transfers::begin(uint32_t client, uint32_t pool, Tick now) {
  if (Record* record = begin_record(client, pool, {}, now)) next_backend(*record, now);
}

// nullptr: all records are in use, which has been said.
Transfers::Record* Transfers::begin_record(uint32_t client, uint32_t pool, const Said& said,
                                           Tick now) {
  Slot& slot = connections_.slots[client];
  LYCH_CHECK(slot.phase == Phase::kHandoff && slot.in_flight == 0);
  const ConnId id = connections_.slots.id(client);
  if (free_.empty()) {
    count(pool, HandoffOutcome::kGaveUp);
    outcomes_.push_back({id, TransferNews::kGaveUp, said.cookie});
    return nullptr;
  }
  Record& record = records_[free_.back()];
  slot.transfer = free_.back();
  free_.pop_back();
  record.client = id;
  record.pool = record.first_pool = pool;
  record.tried = 0;
  record.fallbacks = 0;
  record.begun = now;
  record.waiting = false;
  record.replays = !said.pending.empty();
  record.said = said;
  record.server = config_.listens[slot.listener].address;
  return &record;
}

void Transfers::next_backend(Record& record, Tick now) {
  for (;;) {
    Pools::Choice choice = pools_.choose(record.pool, record.tried, now);
    // The last free slots may be promised to accepts, and those must not find the table full.
    const bool room = record.replays ? may_replay() : connections_.free_slots() > 0;
    if (!room) choice = {.backend = std::nullopt, .any_full = true};
    if (choice.backend) {
      record.backend = *choice.backend;
      break;
    }
    if (choice.any_full) count(record.pool, HandoffOutcome::kFull);
    if (!fall_back(record, now)) return wait_for_backend(record, now);
  }
  pools_.opened(record.pool, record.backend);
  record.tried |= TriedSet{1} << record.backend;
  record.stage = Stage::kOpening;
  connections_.set_phase(record.client.slot, Phase::kHandoff);
  connections_.expect_slot();
  connections_.reactor.open_socket(backend_of(record).address.family(),
                                   connections_.begin(Op::kBackendSocket, record.client.slot));
  record.opening = 1;
  record.opening_error = 0;
  const bool passes = backend_of(record).method == HandoffMethod::kPass;
  if (record.replays) record.replay = lend_replay();
  if (passes && record.replays) open_pair(record);
  if (!passes || (record.replays && !needs_local_address(record))) return;
  ++record.opening;
  connections_.reactor.install(record.client.slot,
                               connections_.begin(Op::kInstall, record.client.slot));
}

bool Transfers::fall_back(Record& record, Tick now) {
  const config::Pool& pool = config_.pools[record.pool];
  // The configuration has no loops of fallbacks; the bound is for the day it has.
  if (!pool.fallback_index || record.fallbacks >= config_.pools.size()) return false;
  count(record.pool, HandoffOutcome::kFellBack);
  say_fallback(record, now);
  record.pool = *pool.fallback_index;
  record.tried = 0;
  ++record.fallbacks;
  return true;
}

// Once a minute for each pool: while its backends are gone every client would bring a line.
void Transfers::say_fallback(const Record& record, Tick now) {
  std::optional<Tick>& said = fallback_said_[record.pool];
  if (said && now - *said < kRepeatedWarningMs) return;
  said = now;
  const config::Pool& pool = config_.pools[record.pool];
  const Slot& client = connections_.slots[record.client.slot];
  say(fmt::format("warning: pool {}: no backend for {}, falling back to pool {}", pool.name,
                  Endpoint{client.address, client.port}.bracketed(), pool.fallback));
}

void Transfers::wait_for_backend(Record& record, Tick now) {
  record.pool = record.first_pool;
  record.tried = 0;
  record.fallbacks = 0;
  if (!record.waiting) {
    record.waiting = true;
    record.give_up_at = now + to_ticks(config_.pools[record.pool].wait);
  }
  if (stopping_ || tick_reached(now, record.give_up_at)) {
    count(record.pool, HandoffOutcome::kGaveUp);
    return end(record, TransferNews::kGaveUp);
  }
  record.stage = Stage::kWaiting;
  connections_.set_phase(record.client.slot, Phase::kQueued);
  const Tick retry = now + kBackendRetryMs;
  arm(record, tick_reached(retry, record.give_up_at) ? record.give_up_at : retry);
}

void Transfers::arm(Record& record, Tick deadline) {
  connections_.timers.cancel(record.client.slot);
  connections_.timers.arm(record.client.slot, TimerHome::kWheel, deadline);
}

void Transfers::say(std::string line) {
  if (warnings_.size() < kWarningsMax) warnings_.push_back(std::move(line));
}

void Transfers::attempt_failed(Record& record, HandoffOutcome why, std::string_view cause,
                               Tick now) {
  count(record.pool, why);
  // A full backend is alive: it rests no longer than until somebody leaves.
  const bool rests = why != HandoffOutcome::kFull;
  if (rests && pools_.failed(record.pool, record.backend, now)) {
    say(fmt::format("warning: pool {}: cannot connect to service {}: {}",
                    config_.pools[record.pool].name, backend_of(record).text, cause));
  }
  drop_backend(record);
  next_backend(record, now);
}

// Lets go of the socket to the backend and of the seat taken there.
void Transfers::drop_backend(Record& record) {
  connections_.timers.cancel(record.client.slot);
  if (record.real_fd >= 0) connections_.reactor.close_fd(record.real_fd);
  record.real_fd = -1;
  take_back_replay(record);
  if (record.pair_slot != kNoSlot) connections_.retire(record.pair_slot);
  record.pair_slot = kNoSlot;
  if (record.backend_slot != kNoSlot) connections_.retire(record.backend_slot);
  record.backend_slot = kNoSlot;
  pools_.closed(record.pool, record.backend);
}

// REQUIRES: no backend is held any more.
void Transfers::end(Record& record, TransferNews news, std::string text) {
  LYCH_CHECK(record.backend_slot == kNoSlot && record.real_fd < 0);
  connections_.timers.cancel(record.client.slot);
  connections_.slots[record.client.slot].transfer = kNoSlot;
  outcomes_.push_back({record.client, news, record.said.cookie, std::move(text)});
  record.stage = Stage::kFree;
  free_.push_back(index_of(record));
}

void Transfers::complete(uint32_t slot, const Completion& completion, Tick now) {
  const uint32_t index = connections_.slots[slot].transfer;
  LYCH_CHECK(index != kNoSlot);
  Record& record = records_[index];
  switch (record.stage) {
    case Stage::kOpening:
      return opened(record, completion, now);
    case Stage::kConnecting:
      return connected(record, completion, now);
    case Stage::kInstalling:
      return client_installed(record, completion, now);
    case Stage::kPassing:
      return passed(record, completion, now);
    case Stage::kUntaken:
      return taken(record, completion, now);
    case Stage::kHeader:
      return header_sent(record, completion, now);
    case Stage::kGreeting:
      return greeted(record, completion, now);
    case Stage::kReplaying:
      return talked(record, completion, now);
    case Stage::kPeeking:
      return peeked(record, completion, now);
    case Stage::kAnswering:
      return answered(record, completion, now);
    case Stage::kRelaying:
      record.relay.complete(relays_, completion, now);
      return watch_relay(record, now);
    case Stage::kFree:
    case Stage::kWaiting:
      break;
  }
  LYCH_CHECK(false);
}

void Transfers::timer(uint32_t client, Tick now) {
  const uint32_t index = connections_.slots[client].transfer;
  LYCH_CHECK(index != kNoSlot);
  Record& record = records_[index];
  switch (record.stage) {
    case Stage::kWaiting:
      return next_backend(record, now);
    case Stage::kConnecting:
      return attempt_failed(record, HandoffOutcome::kTimedOut, "connect timed out", now);
    case Stage::kHeader:
    case Stage::kGreeting:
      return attempt_failed(record, HandoffOutcome::kTimedOut, "no greeting in time", now);
    case Stage::kUntaken:
      return not_taken_in_time(record);
    case Stage::kReplaying:
      return broken_off(record, HandoffOutcome::kTimedOut, "none in time", now);
    case Stage::kAnswering:  // the client does not read
      return connections_.reactor.cancel(client, connections_.begin(Op::kCancel, client));
    case Stage::kRelaying:
      return relay_timer(record, now);
    case Stage::kPeeking:
    case Stage::kOpening:
    case Stage::kInstalling:
    case Stage::kPassing:
    case Stage::kFree:
      break;
  }
  LYCH_CHECK(false);
}

void Transfers::watch_relay(Record& record, Tick now) {
  if (record.relay.finished()) {
    record.relay.stop(relays_);
    drop_backend(record);
    return end(record, TransferNews::kRelayEnded);
  }
  // A backend that has closed is done; its client gets a moment to close too.
  if (record.relay.backend_done() && !record.waiting) {
    record.waiting = true;
    arm(record, now + kRelayLingerMs);
  }
}

void Transfers::relay_timer(Record& record, Tick now) {
  const Tick idle = to_ticks(config_.relay.idle_timeout);
  const Tick quiet_until = record.relay.last_active() + idle;
  if (!record.relay.backend_done() && !tick_reached(now, quiet_until)) {
    return arm(record, quiet_until);
  }
  if (!record.relay.backend_done()) connections_.counters.add(Counter::kRelayIdleTimeout);
  record.relay.abort(relays_);
  watch_relay(record, now);
}

void Transfers::resume_starved(Tick now) {
  if (relays_.starved.empty()) return;
  // Who starves again is appended behind; only those who wait now get their turn.
  std::swap(relays_.starved, resuming_);
  relays_.starved.clear();
  for (const uint32_t index : resuming_) {
    records_[index].relay.resume(relays_);
    if (records_[index].stage == Stage::kRelaying) watch_relay(records_[index], now);
  }
}

void Transfers::stop() {
  stopping_ = true;
  for (Record& record : std::span(records_.get(), records_count_)) {
    if (record.stage != Stage::kWaiting) continue;
    count(record.pool, HandoffOutcome::kGaveUp);
    end(record, TransferNews::kGaveUp);
  }
}

bool Transfers::cut(uint32_t client, Tick now) {
  const uint32_t index = connections_.slots[client].transfer;
  LYCH_CHECK(index != kNoSlot);
  Record& record = records_[index];
  if (record.stage == Stage::kWaiting) {
    end(record, TransferNews::kRelayEnded);
    return true;
  }
  if (record.stage != Stage::kRelaying || record.relay.done()) return false;
  record.relay.abort(relays_);
  watch_relay(record, now);
  return true;
}

Transfers::Seat Transfers::seat_of(uint32_t client) const {
  const uint32_t index = connections_.slots[client].transfer;
  LYCH_CHECK(index != kNoSlot);
  return {.pool = records_[index].pool, .backend = records_[index].backend};
}

std::optional<Outcome> Transfers::next_outcome() {
  if (outcomes_.empty()) return std::nullopt;
  const Outcome outcome = outcomes_.front();
  outcomes_.pop_front();
  return outcome;
}

std::optional<std::string> Transfers::next_warning() {
  if (warnings_.empty()) return std::nullopt;
  std::string warning = std::move(warnings_.front());
  warnings_.pop_front();
  return warning;
}

}  // namespace lychgate::handoff
