// The way of a client up to its hand-off (design: accept, limits, access list, silent wait, look,
// verdict, route), one function per event.

#include "core/daemon/session.h"

#include "core/admission/history.h"
#include "core/admission/verdict.h"
#include "core/base/client_record.h"

namespace lychgate::daemon {
namespace {

using admission::Decision;
using admission::Reason;
using admission::Standing;
using admission::Verdict;

bool has(const Slot& session, Evidence bit) {
  return (session.evidence & bit) != 0;
}
void set(Slot& session, Evidence bit) {
  session.evidence = static_cast<uint16_t>(session.evidence | bit);
}

// The tick at which a wait that began at `start` is over for certain: ticks are whole milliseconds
// rounded down, so one more makes up for the part of the first that had already passed.
Tick end_of(Tick start, milliseconds wait) {
  return start + to_ticks(wait) + 1;
}

Verdict judge(const config::Config& config, const Slot& session) {
  return admission::judge(facts_of(session), config);
}

Counter busy_counter(Reason reason) {
  if (reason == Reason::kAddressFull) return Counter::kDropPerAddress;
  return reason == Reason::kShardFull ? Counter::kDropPerShard : Counter::kDropHeld;
}

LogKind busy_line(Reason reason) {
  return reason == Reason::kAddressFull ? LogKind::kRejectPerAddress : LogKind::kRejectScreening;
}

// Whether a verdict need not wait for the end of greet.wait.
bool is_settled(const Verdict& verdict) {
  return verdict.decision != Decision::kPass || verdict.reason == Reason::kListsAllow;
}

// Has passed the test on an earlier visit, and need not take it now.
bool is_spared(const Slot& session, ScreenTest test) {
  return (session.past & bit_of(test)) != 0;
}

bool has_failed(const Slot& session) {
  return has(session, kSpokeEarly) || has(session, kListsFailed) || session.misconduct != 0;
}

LogKind reject_line(Reason reason) {
  return reason == Reason::kListsFailed ? LogKind::kRejectListed : LogKind::kRejectReply;
}

void pass(Slot& session, ActionList& out) {
  let_on(session, VisitEnd::kJudged, out);
  session.phase = Phase::kHandoff;
  out.just(ActionKind::kRoute);
}

void converse(Slot& session, ActionList& out) {
  session.phase = Phase::kDialogue;
  out.just(ActionKind::kConverse);
}

// Failed a test just now, and is answered for it.
bool is_new_failure(const Verdict& verdict, const Slot& session) {
  const bool failed =
      verdict.reason == Reason::kSpokeEarly || verdict.reason == Reason::kListsFailed ||
      // It must be remembered that its network was deferred.
      (verdict.reason == Reason::kDenylisted && verdict.decision == Decision::kDefer);
  return failed && !is_old_offender(session);
}

void conclude(const config::Config& config, const Verdict& verdict, Slot& session,
              ActionList& out) {
  if (verdict.decision != Decision::kPass && is_new_failure(verdict, session)) {
    out.remember(VisitEnd::kJudged);
  }
  switch (verdict.decision) {
    case Decision::kPass:
      // Who is known has passed every test.
      if (tests_due(config, session) == 0 || has(session, kRemembered)) return pass(session, out);
      return converse(session, out);
    case Decision::kRefuse:
    case Decision::kDefer:
      out.count(verdict.decision == Decision::kRefuse ? Counter::kRefused : Counter::kDeferred);
      return converse(session, out);
    case Decision::kHold:
      session.phase = Phase::kTarpit;
      return turn_away(verdict, session, out);
    case Decision::kDrop:
    case Decision::kBusy:
    case Decision::kGone:
      return turn_away(verdict, session, out);
  }
}

void wait_in_silence(const config::Config& config, Slot& session, ActionList& out) {
  session.phase = Phase::kSilentWait;
  const config::Greet& greet = config.greet;
  const bool looks = greet.early_look > milliseconds{0};
  const bool spared = is_spared(session, ScreenTest::kPregreet);
  if (looks && !has(session, kLookedEarly) && !spared) {
    out.arm(TimerHome::kEarlyLook, end_of(session.started, greet.early_look));
    return;
  }
  // Who needs no early look begins this wait before clients that came earlier: on the wheel.
  const TimerHome home = looks && spared ? TimerHome::kWheel : TimerHome::kGreetWait;
  out.arm(home, end_of(session.started, greet.wait));
}

// The look that follows at once, by a timer: only there a look is sure of its buffer.
void look_soon(Slot& session, Tick now, ActionList& out) {
  session.phase = Phase::kSilentWait;
  out.arm(TimerHome::kEarlyLook, now);
}

// Who comes out of the kernel's waiting room has served its wait; only lists that have not answered
// may keep it, in silence, for as long as they are given.
void wait_for_lists(const config::Config& config, Slot& session, ActionList& out) {
  session.phase = Phase::kSilentWait;
  // On the wheel: it may begin to wait after somebody who came later.
  out.arm(TimerHome::kWheel, end_of(session.started, config.dns.timeout));
}

void tell_offence(const Slot& session, ActionList& out) {
  out.count(Counter::kKnownRefused);
  if (has(session, kListsFailed)) out.log(LogKind::kListsRank);
}

void on_accepted(const config::Config& config, Slot& session, Tick now, ActionList& out) {
  out.count(Counter::kAccepted);
  out.log(LogKind::kConnect);
  const Verdict verdict = judge(config, session);
  if (verdict.decision != Decision::kBusy) {
    if (has(session, kAllowlisted)) {
      out.count(Counter::kAllowlistedClients);
      out.log(LogKind::kAllowlisted);
    }
    if (has(session, kDenylisted)) {
      out.count(Counter::kDenylistedClients);
      out.log(LogKind::kDenylisted);
    }
  }
  if (verdict.decision != Decision::kPass) {
    if (verdict.decision != Decision::kBusy && is_old_offender(session)) tell_offence(session, out);
    return conclude(config, verdict, session, out);
  }
  const uint8_t awaited = admission::wait_tests(config);
  const bool at_once = has(session, kAllowlisted) || has(session, kRemembered) ||
                       config.greet.wait == milliseconds{0} || (session.past & awaited) == awaited;
  if (at_once) return conclude(config, verdict, session, out);
  if (kernel_holds(config)) {
    look_soon(session, now, out);
  } else {
    if (!config.greet.banner.empty() && !is_spared(session, ScreenTest::kPregreet)) {
      set(session, kTeased);
      out.just(ActionKind::kTease);
    }
    wait_in_silence(config, session, out);
  }
  if (!config.dnsl.sites.empty() && !is_spared(session, ScreenTest::kLists)) {
    set(session, kAskingLists);
    out.just(ActionKind::kAskLists);
  }
}

void on_timer(const config::Config& config, Slot& session, Tick now, ActionList& out) {
  if (session.phase == Phase::kSilentWait) {
    if (!kernel_holds(config)) {
      // Decided before the look is made: its answer may arrive much later than it was true.
      const bool wait_is_over = tick_reached(now, end_of(session.started, config.greet.wait));
      set(session, wait_is_over ? kWaited : kLookedEarly);
    }
    session.phase = Phase::kLooking;
    out.just(ActionKind::kLook);
    return;
  }
  LYCH_CHECK(session.phase == Phase::kLinger);
  out.log(LogKind::kDisconnect);
  out.just(ActionKind::kClose);
}

bool lists_have_spoken(const Slot& session) {
  return has(session, kListsFailed) || has(session, kListsAllow);
}

// What the lists say for good becomes evidence, is counted and logged: once for each client.
void take_standing(const config::Config& config, Standing standing, Slot& session,
                   ActionList& out) {
  switch (standing) {
    case Standing::kOpen:
    case Standing::kPassed:
      return;
    case Standing::kFailed:
      set(session, kListsFailed);
      out.count(Counter::kListsFailed);
      out.log(LogKind::kListsRank);
      if (config.dnsl.action == config::Action::kIgnore) out.count(Counter::kListsIgnored);
      return;
    case Standing::kAllowed:
      set(session, kListsAllow);
      out.count(Counter::kListsAllow);
      return;
  }
}

void on_scored(const config::Config& config, Slot& session, const Event& event, Tick now,
               ActionList& out) {
  LYCH_CHECK(event.standing != Standing::kOpen);
  if (session.phase != Phase::kSilentWait && session.phase != Phase::kLooking) return;
  if (lists_have_spoken(session)) return;
  session.score = event.score;
  if (kernel_holds(config)) {
    // A look concludes: it may have come because it has spoken.
    if (session.phase == Phase::kLooking) return;
    out.just(ActionKind::kDisarm);
    return look_soon(session, now, out);
  }
  // Who has failed a test, if only an ignored one, is not let off the rest of its wait.
  if (event.standing == Standing::kAllowed && has(session, kSpokeEarly)) return;
  // Who is let on although it failed is logged and routed by the whole sum, at the end of its wait.
  const bool ignored = config.dnsl.action == config::Action::kIgnore;
  if (event.standing == Standing::kFailed && ignored) return;
  take_standing(config, event.standing, session, out);
  if (session.phase == Phase::kLooking) return;  // the look's answer concludes
  const Verdict verdict = judge(config, session);
  const bool only_lists = is_spared(session, ScreenTest::kPregreet) && !has(session, kSpokeEarly);
  if (!is_settled(verdict) && !only_lists) return;
  out.just(ActionKind::kDisarm);
  conclude(config, verdict, session, out);
}

// The wait is over: the lists are taken at what they have said so far.
void take_sum(const config::Config& config, Slot& session, const Event& event, ActionList& out) {
  if (!has(session, kAskingLists)) return;
  session.score = event.score;
  if (lists_have_spoken(session)) return;
  if (event.standing == Standing::kOpen) out.count(Counter::kListsPartial);
  take_standing(config, admission::standing({.score = event.score}, config.dnsl), session, out);
}

// Whether this look concludes even if its verdict is not settled.
bool is_last_look(const config::Config& config, const Slot& session, const Event& event, Tick now) {
  if (!kernel_holds(config)) return has(session, kWaited);
  if (!has(session, kAskingLists) || event.standing != Standing::kOpen) return true;
  return tick_reached(now, end_of(session.started, config.dns.timeout));
}

void on_look(const config::Config& config, Slot& session, const Event& event, Tick now,
             ActionList& out) {
  LYCH_CHECK(session.phase == Phase::kLooking);
  if (event.kind == EventKind::kHangup) {
    set(session, kHungUp);
  } else if (event.kind == EventKind::kTalk && !has(session, kSpokeEarly)) {
    set(session, kSpokeEarly);
    out.count(Counter::kPregreet);
    out.log(LogKind::kPregreet);
    if (config.greet.pregreet == config::Action::kIgnore) out.count(Counter::kPregreetIgnored);
  } else if (kernel_holds(config) && event.kind == EventKind::kSilence && !has(session, kWaited)) {
    set(session, kWaited);  // or come at once by a SYN cookie, which nobody can tell apart
    out.count(Counter::kKernelHeld);
  }
  const bool last = is_last_look(config, session, event, now);
  // Nobody is there any more to be judged by the lists after a hang-up.
  if (last && !has(session, kHungUp)) take_sum(config, session, event, out);
  const Verdict verdict = judge(config, session);
  if (last || is_settled(verdict)) {
    conclude(config, verdict, session, out);
  } else if (kernel_holds(config)) {
    wait_for_lists(config, session, out);
  } else {
    wait_in_silence(config, session, out);
  }
}

void on_replied(Slot& session, Tick now, ActionList& out) {
  // Who has spoken may still be speaking: unread bytes at close would reset the connection and
  // destroy the reply on its way, so the client gets a moment to read it.
  const bool spoke = has(session, kSpokeEarly) && !is_old_offender(session);
  if (spoke || has(session, kStillTalking)) {
    out.just(ActionKind::kShut);
    out.arm(TimerHome::kLinger, now + kLingerMs);
    session.phase = Phase::kLinger;
    return;
  }
  out.log(LogKind::kDisconnect);
  out.just(ActionKind::kClose);
}

void on_nowhere_to_go(Counter counter, Slot& session, ActionList& out) {
  out.count(counter);
  out.log(LogKind::kRejectServer);
  say_and_close(session, smtp::ReplyId::kServerPortsBusy, out);
}

// Nobody who passed so far has to come again for want of a place: the tests of the dialogue are
// then not made. Who failed one hears it in the greeting.
void on_no_dialogue(const config::Config& config, Slot& session, ActionList& out) {
  out.count(Counter::kDialogueFull);
  const Verdict verdict = judge(config, session);
  if (verdict.decision == Decision::kPass) return pass(session, out);
  turn_away(verdict, session, out);
}

void on_tarpit_full(const config::Config& config, Slot& session, ActionList& out) {
  out.count(Counter::kTarpitClosed);
  turn_away({Decision::kDrop, Reason::kClean, admission::drop_for(*judge(config, session).reply)},
            session, out);
}

void on_stop(Slot& session, ActionList& out) {
  out.count(Counter::kDropShutdown);
  out.log(LogKind::kRejectReply);
  say_and_close(session, smtp::ReplyId::kShuttingDown, out);
}

}  // namespace

void say_and_close(Slot& session, smtp::ReplyId reply, ActionList& out) {
  out.just(ActionKind::kDiscard);
  out.reply(reply);
  session.phase = Phase::kReplying;
}

void turn_away(const Verdict& verdict, Slot& session, ActionList& out) {
  // No other line would tell of a test that was not made.
  const bool untold = is_old_offender(session) && verdict.reason != Reason::kDenylisted;
  switch (verdict.decision) {
    case Decision::kPass:
      LYCH_CHECK(false);
      return;
    case Decision::kBusy:
      out.count(busy_counter(verdict.reason));
      out.log(busy_line(verdict.reason));
      break;
    case Decision::kRefuse:
    case Decision::kDefer:
      out.log(reject_line(verdict.reason));
      break;
    case Decision::kDrop:
      out.count(Counter::kDropped);
      if (untold) out.log(reject_line(verdict.reason));
      break;
    case Decision::kHold:
      out.hold(*verdict.reply);
      return;
    case Decision::kGone:
      out.count(Counter::kHangup);
      out.log(LogKind::kHangup);
      out.log(LogKind::kDisconnect);
      out.just(ActionKind::kClose);
      return;
  }
  say_and_close(session, *verdict.reply, out);
}

void let_on(const Slot& session, VisitEnd visit, ActionList& out) {
  if (!has(session, kAllowlisted) && !has_failed(session)) {
    const bool old = has(session, kRemembered);
    out.count(old ? Counter::kPassOld : Counter::kPassNew);
    // As in postscreen, who has passed a test again that had expired is no new client.
    const bool said_old = old || (session.past & kPassedBefore) != 0;
    out.log(said_old ? LogKind::kPassOld : LogKind::kPassNew);
  }
  out.remember(visit);
}

uint8_t tests_due(const config::Config& config, const Slot& session) {
  const bool excused = has(session, kAllowlisted) || has(session, kListsAllow);
  if (excused) return 0;
  return static_cast<uint8_t>(admission::dialogue_tests(config) & ~session.past);
}

bool is_old_offender(const Slot& session) {
  return has(session, kRemembered) && has_failed(session);
}

admission::Facts facts_of(const Slot& session) {
  return {.evidence = session.evidence,
          .misconduct = session.misconduct,
          .returned = (session.past & kNetworkReturned) != 0};
}

ActionList step(const config::Config& config, Slot& session, const Event& event, Tick now) {
  ActionList out;
  switch (event.kind) {
    case EventKind::kAccepted:
      on_accepted(config, session, now, out);
      break;
    case EventKind::kTimer:
      on_timer(config, session, now, out);
      break;
    case EventKind::kSilence:
    case EventKind::kTalk:
    case EventKind::kHangup:
      on_look(config, session, event, now, out);
      break;
    case EventKind::kReplied:
      on_replied(session, now, out);
      break;
    case EventKind::kGaveUp:
      on_nowhere_to_go(Counter::kDropNoBackend, session, out);
      break;
    case EventKind::kNoRoute:
      on_nowhere_to_go(Counter::kDropNoRoute, session, out);
      break;
    case EventKind::kStop:
      on_stop(session, out);
      break;
    case EventKind::kScored:
      on_scored(config, session, event, now, out);
      break;
    case EventKind::kKilled:
    case EventKind::kReleased:
      out.log(LogKind::kDisconnect);
      out.just(ActionKind::kClose);
      break;
    case EventKind::kNoDialogue:
      on_no_dialogue(config, session, out);
      break;
    case EventKind::kTarpitFull:
      on_tarpit_full(config, session, out);
      break;
    case EventKind::kTaken:
    case EventKind::kRelayEnded:
      out.just(ActionKind::kClose);
      break;
  }
  return out;
}

}  // namespace lychgate::daemon
