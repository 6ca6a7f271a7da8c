// A replay: what a client has said to the gate is said again to a backend, reply by reply, until
// the backend has answered the command that the gate could not. Nothing is read of the client
// meanwhile; a look at the end tells whether it has sent more than it should have.
// The backend is received from one piece at a time, so that nothing of it is lost when the relay
// takes over.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"
#include "handoff/capabilities.h"
#include "handoff/transfers.h"

namespace lychgate::handoff {

using ring::Completion;
using ring::Op;
using Step = Replay::Step;

namespace {

// Slots of one attempt at a pass service: its socket, and our end of the socketpair.
constexpr uint32_t kSlotsPerReplay = 2;
constexpr uint16_t kServiceReady = 220;
constexpr uint16_t kDone = 250;
constexpr uint16_t kClosingChannel = 421;

const char* word_of(Step step) {
  switch (step) {
    case Step::kGreeting:
      return "greeting";
    case Step::kHello:
      return "reply to HELO or EHLO";
    case Step::kMail:
      return "reply to MAIL";
    case Step::kPending:
      return "reply to the client's last command";
  }
  return "";
}

}  // namespace

void Transfers::begin_replay(uint32_t client, uint32_t pool, const Said& said, Tick now) {
  LYCH_CHECK(!said.pending.empty() && said.pending.size() <= kDialogueLineMax);
  LYCH_CHECK(said.hello.size() <= kDialogueLineMax && said.mail.size() <= kDialogueLineMax);
  if (Record* record = begin_record(client, pool, said, now)) next_backend(*record, now);
}

bool Transfers::may_replay() const {
  if (connections_.free_slots() < kSlotsPerReplay) return false;
  const bool spare =
      !replays_.empty() && connections_.slots.find(replays_.front()->last) == nullptr;
  return spare || replays_made_ < kReplaysMax;
}

// REQUIRES: may_replay().
std::unique_ptr<Replay> Transfers::lend_replay() {
  const bool spare =
      !replays_.empty() && connections_.slots.find(replays_.front()->last) == nullptr;
  if (!spare) {
    ++replays_made_;
    return std::make_unique<Replay>();
  }
  std::unique_ptr<Replay> replay = std::move(replays_.front());
  replays_.pop_front();
  return replay;
}

void Transfers::take_back_replay(Record& record) {
  if (!record.replay) return;
  const bool read = record.replay->sending && record.backend_slot != kNoSlot;
  record.replay->last = read ? connections_.slots.id(record.backend_slot) : ConnId{};
  record.replay->sending = false;
  replays_.push_back(std::move(record.replay));
}

// The service gets one end in place of the client, ours gets a slot.
void Transfers::open_pair(Record& record) {
  const auto pair = connections_.reactor.make_socketpair();
  if (!pair) {
    record.opening_error = EMFILE;
    return;
  }
  record.real_fd = pair->theirs;
  record.our_end = record.adopted = pair->ours;
  ++record.opening;
  connections_.expect_slot();
  connections_.reactor.adopt(0, std::span(&record.adopted, 1),
                             connections_.begin(Op::kBackendPair, record.client.slot));
}

void Transfers::pair_opened(Record& record, int32_t result) {
  connections_.slot_came();
  connections_.reactor.close_fd(record.our_end);
  record.our_end = -1;
  if (result <= 0) return;
  record.pair_slot = static_cast<uint32_t>(record.adopted);
  connections_.open_backend(record.pair_slot, index_of(record));
}

// The backend is there and will greet.
void Transfers::begin_talk(Record& record, Tick now) {
  if (record.pair_slot != kNoSlot) {
    // What the service does with its end is seen on ours; the way it came is no longer needed.
    connections_.retire(record.backend_slot);
    record.backend_slot = record.pair_slot;
    record.pair_slot = kNoSlot;
  }
  record.stage = Stage::kReplaying;
  record.replay->step = Step::kGreeting;
  record.replay->reply.expect();
  arm_stage(record, now);
  listen(record);
}

void Transfers::arm_stage(Record& record, Tick now) {
  const Tick stage = now + to_ticks(config_.pools[record.pool].greeting_timeout);
  const Tick whole = record.begun + kReplayLimitMs;
  arm(record, tick_reached(stage, whole) ? whole : stage);
}

void Transfers::listen(Record& record) {
  connections_.reactor.receive_next(record.backend_slot,
                                    connections_.begin(Op::kRelayReceive, record.backend_slot));
}

void Transfers::say_line(Record& record, Step step, std::string_view line, Tick now) {
  Replay& replay = *record.replay;
  LYCH_CHECK(!replay.sending);
  replay.step = step;
  const size_t size = line.copy(replay.line.data(), replay.line.size() - 2);
  replay.line[size] = '\r';
  replay.line[size + 1] = '\n';
  record.message.bytes = std::span<const char>(replay.line).first(size + 2);
  replay.reply.expect();
  replay.sending = true;
  arm_stage(record, now);
  connections_.reactor.send(record.backend_slot, record.message.bytes, ring::SendMode::kWhole,
                            connections_.begin(Op::kReplaySend, record.backend_slot));
}

void Transfers::talked(Record& record, const Completion& completion, Tick now) {
  const Op op = completion.tag.operation();
  if (op == Op::kReplaySend) {
    record.replay->sending = false;
    const bool whole = completion.result == static_cast<int32_t>(record.message.bytes.size());
    if (whole) return listen(record);
    return broken_off(record, HandoffOutcome::kRefused, "the connection was closed", now);
  }
  if (op != Op::kRelayReceive) return;
  if (completion.result == -ENOBUFS) {
    return attempt_failed(record, HandoffOutcome::kFull, "no relay buffer is free", now);
  }
  if (completion.result <= 0 || !completion.buffer) {
    return broken_off(record, HandoffOutcome::kRefused, "the connection was closed", now);
  }
  BackendReply::State state;
  {
    const ring::BufferLease lease(connections_.reactor, *completion.buffer,
                                  static_cast<uint32_t>(completion.result));
    state = record.replay->reply.read(lease.bytes());
  }
  switch (state) {
    case BackendReply::State::kComing:
      return listen(record);
    case BackendReply::State::kWhole:
      return replied(record, now);
    case BackendReply::State::kBad:
      return broken_off(record, HandoffOutcome::kRefused, "no reply of an SMTP server", now);
  }
}

void Transfers::replied(Record& record, Tick now) {
  const BackendReply& reply = record.replay->reply;
  const uint16_t code = reply.code();
  switch (record.replay->step) {
    case Step::kGreeting:
      return greeting_came(record, now);
    case Step::kHello:
      if (code == kDone && covers(reply.announced(), record.said.announced)) break;
      return replay_failed(record, HandoffOutcome::kRefused,
                           code == kDone ? "announces less than the client was told"
                                         : fmt::format("{} to HELO or EHLO", code),
                           now);
    case Step::kMail:
      if (code == kDone) break;
      return replay_failed(record, HandoffOutcome::kRefused, fmt::format("{} to MAIL", code), now);
    case Step::kPending:
      // The one reply that is not to the command (RFC 5321 3.8): somebody else may do better.
      if (code == kClosingChannel) {
        return replay_failed(record, HandoffOutcome::kFull, "421 to the client's last command",
                             now);
      }
      if (!reply.bytes().empty()) return peek(record);
      return replay_failed(record, HandoffOutcome::kRefused, "reply is too long to send on", now);
  }
  say_next(record, now);
}

void Transfers::greeting_came(Record& record, Tick now) {
  const uint16_t code = record.replay->reply.code();
  if (code == kServiceReady) return say_next(record, now);
  if (code / 100 == 4) {
    return attempt_failed(record, HandoffOutcome::kFull, "greeted with 4xx", now);
  }
  // It may be this client that the backend refuses: no reason to spare it others.
  replay_failed(record, HandoffOutcome::kRefused, fmt::format("greeted with {}", code), now);
}

void Transfers::say_next(Record& record, Tick now) {
  const Step done = record.replay->step;
  const Said& said = record.said;
  if (done == Step::kGreeting && !said.hello.empty()) {
    return say_line(record, Step::kHello, said.hello, now);
  }
  if (done <= Step::kHello && !said.mail.empty()) {
    return say_line(record, Step::kMail, said.mail, now);
  }
  say_line(record, Step::kPending, said.pending, now);
}

// Without a reply that says more. A backend that does not even greet is dead; what happens later
// may be the client's doing.
void Transfers::broken_off(Record& record, HandoffOutcome why, std::string_view cause, Tick now) {
  const Step step = record.replay->step;
  const std::string text = fmt::format("{}: {}", word_of(step), cause);
  if (step == Step::kGreeting) return attempt_failed(record, why, text, now);
  replay_failed(record, why, text, now);
}

// The backend does not rest, or a client could have it rest for all others; so that it is not
// asked again and again either, this client no longer waits when nobody else is left to try.
void Transfers::replay_failed(Record& record, HandoffOutcome why, std::string_view cause,
                              Tick now) {
  connections_.counters.add(Counter::kReplayFailed);
  count(record.pool, why);
  std::optional<Tick>& said = replay_said_[record.pool];
  if (!said || now - *said >= kRepeatedWarningMs) {
    said = now;
    say(fmt::format("warning: pool {}: service {} does not go on where the gate has stopped: {}",
                    config_.pools[record.pool].name, backend_of(record).text, cause));
  }
  record.waiting = true;
  record.give_up_at = now;
  drop_backend(record);
  if (!tick_reached(now, record.begun + kReplayLimitMs)) return next_backend(record, now);
  count(record.pool, HandoffOutcome::kGaveUp);
  end(record, TransferNews::kGaveUp);
}

// Bytes behind the last command would reach the backend as commands, behind STARTTLS even as ones
// that were said in private (CVE-2011-0411).
void Transfers::peek(Record& record) {
  connections_.timers.cancel(record.client.slot);
  record.stage = Stage::kPeeking;
  const auto into = std::span(record.replay->line).first(kSpokenBehindMax);
  connections_.reactor.peek(record.client.slot, into,
                            connections_.begin(Op::kReplayPeek, record.client.slot));
}

void Transfers::peeked(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kReplayPeek) return;
  pools_.succeeded(record.pool, record.backend);
  if (completion.result > 0 && record.said.must_be_last) {
    connections_.counters.add(Counter::kSpokeBehind);
    std::string text(record.replay->line.data(), static_cast<size_t>(completion.result));
    drop_backend(record);
    return end(record, TransferNews::kSpokeBehind, std::move(text));
  }
  // Silence, or what the relay will find too.
  count_taken(record, now);
  connections_.counters.add(Counter::kHandedOver);
  outcomes_.push_back({record.client, TransferNews::kReplayed, record.said.cookie});
  record.said = {};
  record.stage = Stage::kAnswering;
  connections_.set_phase(record.client.slot, Phase::kRelay);
  arm(record, now + to_ticks(config_.relay.idle_timeout));
  connections_.reactor.send(record.client.slot, record.replay->reply.bytes(),
                            ring::SendMode::kWhole,
                            connections_.begin(Op::kReplaySend, record.client.slot));
}

void Transfers::answered(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kReplaySend) return;
  const auto size = static_cast<int32_t>(record.replay->reply.bytes().size());
  if (completion.result != size) {
    drop_backend(record);
    return end(record, TransferNews::kRelayEnded);
  }
  take_back_replay(record);
  record.stage = Stage::kRelaying;
  record.waiting = false;
  arm(record, now + to_ticks(config_.relay.idle_timeout));
  record.relay.start(relays_,
                     {.client = record.client.slot,
                      .backend = record.backend_slot,
                      .index = index_of(record),
                      .backend_receiving = false},
                     {}, now);
}

}  // namespace lychgate::handoff
