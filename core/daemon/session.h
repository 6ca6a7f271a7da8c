// The session of one client up to its verdict as a pure step: event in, actions out. It reads no
// clock, touches no descriptor and no counter; only the shard performs actions. What the gate says
// to a client after the verdict is core/daemon/converse.h. The simulator runs the same steps.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/admission/score.h"
#include "core/admission/verdict.h"
#include "core/base/check.h"
#include "core/base/counters.h"
#include "core/base/slots.h"
#include "core/base/time.h"
#include "core/config/config.h"
#include "core/daemon/log_lines.h"
#include "core/smtp/engine.h"
#include "core/smtp/replies.h"

namespace lychgate::daemon {

enum class EventKind : uint8_t {
  kAccepted,    // limits and access list are already in the slot's evidence
  kTimer,       // the wait that the session asked for is over
  kSilence,     // look: nothing there
  kTalk,        // look: `text` is waiting to be read
  kHangup,      // look: end of file or reset
  kReplied,     // the last reply is in the socket, or could not be sent
  kTaken,       // pass: smtpd has the descriptor
  kGaveUp,      // no backend within the bounds
  kNoRoute,     // no route matches
  kRelayEnded,  // relay: both directions are done
  kStop,        // the gate stops: who has not been handed off is sent away
  kScored,      // what the DNS lists say is final; the client may still be waiting
  kKilled,      // by command: closed without a word
  kNoDialogue,  // too many clients talk to the gate
  kTarpitFull,  // the tarpit is closed
  kReleased,    // let go by the tarpit; what was left of the reply has been sent
};

struct Event {
  EventKind kind;
  std::string_view text = {};  // kTalk only; at most kLookBytes
  // kScored and looks of a client that asks the lists: their sum now, and whether it is final.
  int16_t score = 0;
  admission::Standing standing = admission::Standing::kOpen;  // kScored: never kOpen
};

enum class ActionKind : uint8_t {
  kLog,
  kCount,
  kTease,    // send the 220- line
  kArm,      // the timer `home`, to fire at `deadline`
  kLook,     // one recv DONTWAIT that leaves the bytes queued
  kDiscard,  // throw away what the client has sent, so that closing does not reset our reply
  kReply,    // send `reply`
  kShut,     // shut our write side
  kRoute,    // choose a route and hand off
  kClose,    // the connection moves to the closing phases by itself
  // Ask the DNS lists about the client. Always the last action: the answer may be there at once,
  // as a kScored event.
  kAskLists,
  kDisarm,    // cancel the timer
  kRemember,  // tell the store what this visit has shown
  kConverse,  // begin the dialogue
  kHold,      // into the tarpit, to hear `reply`
  // Of the dialogue (core/daemon/converse.h).
  kGreet,     // send the 220
  kListen,    // wait for the next command, once all that was said is sent
  kHandOver,  // to a backend, with the command that it is to answer
};

// What is remembered of a visit depends on how far it came.
enum class VisitEnd : uint8_t {
  kJudged,  // by its wait alone
  kTalked,  // it took the tests of the dialogue to their end
  kLeft,    // it went away before it was let on
};

struct Action {
  ActionKind kind;
  LogKind log = LogKind::kConnect;
  Counter counter = Counter::kAccepted;
  smtp::ReplyId reply = smtp::ReplyId::kTooManyConnections;
  TimerHome home = TimerHome::kNone;
  Tick deadline = 0;
  VisitEnd visit = VisitEnd::kJudged;
  smtp::Verb after = smtp::Verb::kNone;  // kLog: the command before
  std::string_view text = {};            // kLog: what the client said
  std::string_view word = {};            // kLog: the command before, as it was sent
};

// Eleven actions follow from one event when a client that has spoken early, to no harm, and whose
// lists have not all answered but said enough, is refused at the end of its wait; as many when a
// first line shows everything that a line can.
class ActionList {
 public:
  void log(LogKind kind) { push({.kind = ActionKind::kLog, .log = kind}); }
  void log(LogKind kind, smtp::Verb after, std::string_view text, std::string_view word = {}) {
    push({.kind = ActionKind::kLog, .log = kind, .after = after, .text = text, .word = word});
  }
  void count(Counter counter) { push({.kind = ActionKind::kCount, .counter = counter}); }
  void reply(smtp::ReplyId id) { push({.kind = ActionKind::kReply, .reply = id}); }
  void arm(TimerHome home, Tick deadline) {
    push({.kind = ActionKind::kArm, .home = home, .deadline = deadline});
  }
  void hold(smtp::ReplyId id) { push({.kind = ActionKind::kHold, .reply = id}); }
  void remember(VisitEnd visit) { push({.kind = ActionKind::kRemember, .visit = visit}); }
  void just(ActionKind kind) { push({.kind = kind}); }

  const Action* begin() const { return actions_.data(); }
  const Action* end() const { return actions_.data() + size_; }
  size_t size() const { return size_; }

 private:
  void push(const Action& action) {
    LYCH_CHECK(size_ < actions_.size());
    actions_[size_++] = action;
  }
  std::array<Action, 16> actions_{};
  size_t size_ = 0;
};

// As in postscreen: who has passed no test of the dialogue, or not for long, has still to take it.
// Bits of ScreenTest.
uint8_t tests_due(const config::Config& config, const Slot& session);
// A client that failed on an earlier visit and not on this one.
bool is_old_offender(const Slot& session);
admission::Facts facts_of(const Slot& session);
// What a verdict that ends the session here has to say. REQUIRES: the decision is not kPass.
void turn_away(const admission::Verdict& verdict, Slot& session, ActionList& out);
// Lets the client on: counts, logs and remembers it.
void let_on(const Slot& session, VisitEnd visit, ActionList& out);
void say_and_close(Slot& session, smtp::ReplyId reply, ActionList& out);

// Moves the session on. Changes only the slot's phase, evidence and score. Sets kAskingLists with
// kAskLists and never clears it: that is done by whoever ends the inquiry.
// REQUIRES: the slot is a client's and the event can happen in its phase.
ActionList step(const config::Config& config, Slot& session, const Event& event, Tick now);

}  // namespace lychgate::daemon
