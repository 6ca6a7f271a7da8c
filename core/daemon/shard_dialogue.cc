// The shard's part in dialogues: brings clients to the main table, hears one line at a time, says
// what is to be said, and hands over. A line is looked at first and taken when it was understood,
// so that what is behind a command that is handed over stays where the backend finds it.

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "core/admission/routes.h"
#include "core/base/check.h"
#include "core/base/log_line.h"
#include "core/daemon/shard.h"
#include "ring/buffers.h"

namespace lychgate::daemon {

using ring::Completion;
using ring::Op;

namespace {

// Bytes up to and with the first line end; all of them when there is none.
size_t line_size(std::span<const char> bytes) {
  const size_t at = std::string_view(bytes.data(), bytes.size()).find('\n');
  return at == std::string_view::npos ? bytes.size() : at + 1;
}

}  // namespace

// Who failed needs no route to be refused; what is announced is the same.
void Shard::converse_with(uint32_t index, Tick now) {
  const auto route = admission::choose_route(route_facts(slots_[index]), settings());
  if (!route && is_approved(index)) return run(index, {.kind = EventKind::kNoRoute}, now);
  const uint32_t pool = route ? config_.routes[*route].pool_index : kNoPool;
  if (!mover_.needs_moving(index)) return begin_dialogue(index, pool, now);
  move(index, {.pool = pool, .to_talk = true}, now);
}

bool Shard::is_approved(uint32_t index) const {
  const admission::Verdict verdict = admission::judge(facts_of(slots_[index]), settings());
  return verdict.decision == admission::Decision::kPass;
}

void Shard::begin_dialogue(uint32_t index, uint32_t pool, Tick now) {
  const auto block = dialogues_.lend();
  if (!block) return run(index, {.kind = EventKind::kNoDialogue}, now);
  slots_[index].transfer = *block;
  dialogues_[*block].pool = pool;
  if (stopping_) return send_away(index, now);
  arm_command(index, now);
  talk(index, {TalkKind::kBegin}, now);
  if (slots_[index].in_flight == 0) go_on(index, now);  // who spoke early is not greeted
}

void Shard::arm_command(uint32_t index, Tick now) {
  timers_.cancel(index);
  timers_.arm(index, TimerHome::kWheel, now + to_ticks(settings().dialogue.command_time_limit));
}

void Shard::talk(uint32_t index, const Talk& said, Tick now) {
  Slot& slot = slots_[index];
  const uint32_t block = slot.transfer;
  Dialogue& dialogue = dialogues_[block];
  const ActionList actions = converse(settings(), slot, dialogue, said);
  account(slot, Phase::kDialogue);
  remember_reply(actions);
  for (const Action& action : actions) {
    switch (action.kind) {
      case ActionKind::kHandOver:
        dialogue.next = DialogueNext::kHandOver;
        // What was judged, not what may stand behind a NUL of that line.
        if (!dialogues_.keep(dialogue, smtp::parse_command(said.line).line)) {
          talk(index, {TalkKind::kTooLong}, now);
        }
        return;
      case ActionKind::kHold:
        dialogue.next = DialogueNext::kHold;
        dialogue.refusal = action.reply;
        return;
      case ActionKind::kListen:
        dialogue.next = DialogueNext::kListen;
        return;
      case ActionKind::kDiscard:  // the first of what ends it
      case ActionKind::kClose:
        end_dialogue(index, block);
        break;
      default:
        break;
    }
    if (action.kind == ActionKind::kLog && action.log == LogKind::kRejectRcpt) {
      note_rejected(index, action);
      continue;
    }
    perform(index, action, {.kind = EventKind::kTimer, .text = action.text}, now);
  }
}

// What it borrowed goes back.
void Shard::end_dialogue(uint32_t index, uint32_t block) {
  timers_.cancel(index);
  slots_[index].transfer = kNoSlot;
  if ((slots_[index].evidence & kAskingLists) != 0) stop_asking_now(index);
  dialogues_.give_back(block);
}

// Only one reply is on its way at a time, and no more is heard before it has gone.
void Shard::say(uint32_t index, smtp::ReplyId id) {
  Dialogue& dialogue = dialogues_[slots_[index].transfer];
  std::span<const char> bytes = reply_book_.bytes(id);
  if (id == smtp::ReplyId::kEhlo) bytes = ehlo_text(index, dialogue);
  if (id == smtp::ReplyId::kRefuseListed) {
    if (const auto named = write_listed(index, id)) {
      bytes = written_.room(named->room).first(named->size);
      written_out_.push_back(named->room);
    }
  }
  dialogue.sending = static_cast<uint16_t>(bytes.size());
  reactor_.send(index, bytes, ring::SendMode::kNow, connections_.begin(Op::kReply, index));
}

std::span<const char> Shard::ehlo_text(uint32_t index, Dialogue& dialogue) {
  const bool has_pool = dialogue.pool != kNoPool;
  dialogue.announced = ehlo_book_.number_of(has_pool ? announcements_.of(dialogue.pool) : "");
  const EhloText& text = ehlo_book_[dialogue.announced];
  dialogue.chunking = text.capabilities.find("CHUNKING\n") != std::string::npos;
  return is_approved(index) ? text.for_everyone : text.for_failed;
}

// A completion of a client in dialogue.
void Shard::conversed(uint32_t index, const Completion& completion, Tick now) {
  Dialogue& dialogue = dialogues_[slots_[index].transfer];
  const Op op = completion.tag.operation();
  if (op == Op::kHear) {
    heard(index, completion, now);
  } else if (op == Op::kTake && completion.result != dialogue.taking) {
    // Urgent data may cut a receive short; nobody knows then what has been read twice.
    return talk(index, {TalkKind::kGone}, now);
  } else if (op == Op::kReply && completion.result != dialogue.sending) {
    counters_.add(Counter::kDialogueUnread);
    return talk(index, {TalkKind::kGone}, now);
  }
  if (slots_[index].phase == Phase::kDialogue && slots_[index].in_flight == 0) go_on(index, now);
}

void Shard::heard(uint32_t index, const Completion& completion, Tick now) {
  Dialogue& dialogue = dialogues_[slots_[index].transfer];
  ring::BufferLease lease;
  if (completion.buffer) {
    const auto size = static_cast<uint32_t>(std::max(completion.result, 0));
    lease = ring::BufferLease(reactor_, *completion.buffer, size);
  }
  if (completion.result == -ENOBUFS) return;
  if (completion.result <= 0) return talk(index, {TalkKind::kGone}, now);
  const std::span<const char> bytes = lease.bytes();
  const bool longer = dialogue.reader.unfinished().size() + line_size(bytes) >= kDialogueInlineLine;
  if (longer && dialogue.long_line == kNoSlot && !dialogues_.lengthen(dialogue)) {
    return talk(index, {TalkKind::kTooLong}, now);
  }
  const smtp::ReadLine line = dialogue.reader.read(bytes);
  dialogue.taking = static_cast<uint16_t>(line.used);
  reactor_.take(index, std::span(taken_).first(line.used), connections_.begin(Op::kTake, index));
  switch (line.outcome) {
    case smtp::LineOutcome::kNeedMore:
      return;
    case smtp::LineOutcome::kTooLong:
      return talk(index, {TalkKind::kTooLong}, now);
    case smtp::LineOutcome::kLine:
      break;
  }
  arm_command(index, now);
  const std::span<const char> behind = bytes.subspan(line.used);
  talk(index, {TalkKind::kLine, line, {behind.data(), behind.size()}}, now);
  const bool listens =
      slots_[index].phase == Phase::kDialogue && dialogue.next == DialogueNext::kListen;
  if (listens) dialogues_.shorten(dialogue);
}

// Nothing is in flight: what was said is sent, what was heard is taken.
void Shard::go_on(uint32_t index, Tick now) {
  const Dialogue& dialogue = dialogues_[slots_[index].transfer];
  if (dialogue.next == DialogueNext::kHandOver) return hand_over(index, now);
  if (dialogue.next == DialogueNext::kHold) {
    const smtp::ReplyId refusal = dialogue.refusal;
    end_dialogue(index, slots_[index].transfer);
    return hold(index, refusal, now);
  }
  if (reactor_.buffers_free() == 0) {
    counters_.add(Counter::kRelayStarved);
    deaf_.push_back(slots_.id(index));
    return;
  }
  reactor_.peek_next(index, connections_.begin(Op::kHear, index));
}

// Those who could not be heard for want of a buffer, once a turn.
void Shard::hear_again(Tick now) {
  if (deaf_.empty() || reactor_.buffers_free() == 0) return;
  std::vector<ConnId> again;
  std::swap(again, deaf_);
  for (const ConnId id : again) {
    const Slot* slot = slots_.find(id);
    const bool waits = slot != nullptr && slot->phase == Phase::kDialogue && slot->in_flight == 0;
    if (waits) go_on(id.slot, now);
  }
}

void Shard::hand_over(uint32_t index, Tick now) {
  Slot& slot = slots_[index];
  const uint32_t block = slot.transfer;
  Dialogue& dialogue = dialogues_[block];
  timers_.cancel(index);
  slot.transfer = kNoSlot;
  connections_.set_phase(index, Phase::kHandoff);
  if (dialogue.pool == kNoPool) {
    return take_outcome({slots_.id(index), handoff::TransferNews::kGaveUp, block}, now);
  }
  const std::string_view pending = dialogues_.kept(dialogue);
  const smtp::Verb verb = smtp::parse_command({.text = pending}).verb;
  const bool esmtp = dialogue.said.hello == smtp::Verb::kEhlo;
  transfers_.begin_replay(
      index, dialogue.pool,
      {.hello = dialogue.said.hello_text(),
       .mail = verb == smtp::Verb::kRcpt ? dialogue.said.mail_text() : "",
       .pending = pending,
       .announced = esmtp ? std::string_view(ehlo_book_[dialogue.announced].capabilities) : "",
       .must_be_last = must_be_last(settings(), slot, verb),
       .cookie = block},
      now);
}

void Shard::take_outcome(const handoff::Outcome& outcome, Tick now) {
  using handoff::TransferNews;
  const uint32_t block = outcome.cookie;
  const uint32_t index = outcome.client.slot;
  if (slots_.find(outcome.client) == nullptr) {
    if (block != kNoSlot) dialogues_.give_back(block);
    return;
  }
  if (outcome.news == TransferNews::kSpokeBehind) {
    return called_off(index, block, outcome.text, now);
  }
  if (block != kNoSlot) conclude_dialogue(index, block, outcome.news, now);
  switch (outcome.news) {
    case TransferNews::kTaken:
      return run(index, {EventKind::kTaken, {}}, now);
    case TransferNews::kGaveUp:
      return run(index, {EventKind::kGaveUp, {}}, now);
    case TransferNews::kRelayEnded:
      return run(index, {EventKind::kRelayEnded, {}}, now);
    case TransferNews::kReplayed:
    case TransferNews::kSpokeBehind:
      return;
  }
}

// The words of a client that was handed over, or could not be, are needed no more.
void Shard::conclude_dialogue(uint32_t index, uint32_t block, handoff::TransferNews news,
                              Tick now) {
  Slot& slot = slots_[index];
  if (news != handoff::TransferNews::kRelayEnded) {
    const bool taken = news == handoff::TransferNews::kReplayed;
    const Talk said{taken ? TalkKind::kTaken : TalkKind::kGaveUp};
    for (const Action& action : converse(settings(), slot, dialogues_[block], said)) {
      perform(index, action, {.kind = EventKind::kTimer}, now);
    }
  }
  if ((slot.evidence & kAskingLists) != 0) stop_asking_now(index);
  dialogues_.give_back(block);
}

// Bytes have come behind the command, so no backend has it.
void Shard::called_off(uint32_t index, uint32_t block, std::string_view behind, Tick now) {
  slots_[index].transfer = block;
  connections_.set_phase(index, Phase::kDialogue);
  Dialogue& dialogue = dialogues_[block];
  dialogue.next = DialogueNext::kListen;
  if (stopping_) return send_away(index, now);
  arm_command(index, now);
  const smtp::ReadLine line{.outcome = smtp::LineOutcome::kLine, .text = dialogues_.kept(dialogue)};
  talk(index, {TalkKind::kSpokeAgain, line, behind}, now);
  const Slot& slot = slots_[index];
  if (slot.phase != Phase::kDialogue) return;
  dialogues_.shorten(dialogue);
  if (slot.in_flight == 0) go_on(index, now);
}

// Put into words at once: it quotes more than an event keeps.
void Shard::note_rejected(uint32_t index, const Action& action) {
  write_lines();
  const Slot& slot = slots_[index];
  const Dialogue& dialogue = dialogues_[slot.transfer];
  const auto printable = [](std::string_view text, std::span<char> into) {
    return std::string_view(into.data(), smtp::write_printable(text, into));
  };
  std::array<char, kQuotedNameMax> from;
  std::array<char, kQuotedNameMax> to;
  std::array<char, kQuotedNameMax> helo;
  LogLine line;
  line.add("NOQUEUE: reject: RCPT from ").client(slot.address, slot.port).add(": ");
  say_reply({.address = slot.address, .list = heaviest_list(index), .reply = last_reply_}, words(),
            line);
  line.add("; from=<{}>, to=<{}>, proto={}, helo=<{}>", printable(dialogue.said.sender(), from),
           printable(action.text, to), dialogue.said.protocol(),
           printable(dialogue.said.helo(), helo));
  log_.add(log_.time(), line.text());
}

}  // namespace lychgate::daemon
