// Conversations of a client that the DNS lists are asked about: each event and what follows from
// it, for every way the answers may race with looks, the end of the wait, and the stop of the gate.
// Then every short conversation there is, checked for what must always hold.

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "core/daemon/session.h"
#include "tests/core/daemon/session_words.h"

namespace lychgate::daemon {
namespace {

using admission::Standing;
using Policy = config::Action;

constexpr Tick kStarted = 5000;

struct Step {
  EventKind event;
  Tick after = 0;  // since kStarted
  int score = 0;
  Standing standing = Standing::kOpen;
  const char* want;
  Phase want_phase;
};

struct Conversation {
  const char* what;
  Policy action = Policy::kEnforce;
  Policy pregreet = Policy::kEnforce;
  std::vector<Step> steps;  // after the accept
  int want_score = 0;
  int evidence = 0;  // of the access list
};

// dnsl.threshold 8, allow_threshold -4, wait 6 s, early look after 1 s.
config::Config example(Policy action, Policy pregreet) {
  config::Config config;
  without_dialogue(config);
  config.greet.banner = "";
  config.greet.pregreet = pregreet;
  config.access.reject = Policy::kIgnore;
  config.dnsl.sites.resize(1);
  config.dnsl.action = action;
  return config;
}

Event event_of(const Step& step) {
  return {.kind = step.event,
          .text = step.event == EventKind::kTalk ? "EHLO" : "",
          .score = static_cast<int16_t>(step.score),
          .standing = step.standing};
}

void hold(const Conversation& talk) {
  const config::Config config = example(talk.action, talk.pregreet);
  Slot slot;
  slot.phase = Phase::kSilentWait;
  slot.started = kStarted;
  slot.evidence = static_cast<uint16_t>(talk.evidence);
  step(config, slot, {EventKind::kAccepted, {}}, kStarted);
  ASSERT_NE(slot.evidence & kAskingLists, 0) << talk.what;
  for (const Step& each : talk.steps) {
    const ActionList actions = step(config, slot, event_of(each), kStarted + each.after);
    EXPECT_EQ(text_of(actions, kStarted), each.want) << talk.what << ", at " << each.after;
    EXPECT_EQ(kPhaseNames[static_cast<size_t>(slot.phase)],
              kPhaseNames[static_cast<size_t>(each.want_phase)])
        << talk.what << ", at " << each.after;
  }
  EXPECT_EQ(slot.score, talk.want_score) << talk.what;
  EXPECT_NE(slot.evidence & kAskingLists, 0) << talk.what << ": not the session's to clear";
}

Step scored(Tick after, int score, Standing standing, const char* want, Phase want_phase) {
  return {EventKind::kScored, after, score, standing, want, want_phase};
}
const Step kEarlyTimer = {EventKind::kTimer, 1001, 0, Standing::kOpen, "look", Phase::kLooking};
const Step kLastTimer = {EventKind::kTimer, 6001, 0, Standing::kOpen, "look", Phase::kLooking};
// Nothing came of the early look.
const Step kQuiet = {EventKind::kSilence, 1010, 0, Standing::kOpen, "greet at 6001",
                     Phase::kSilentWait};

TEST(SessionLists, AreAskedAboutWhoeverWaits) {
  struct Row {
    const char* what;
    int evidence = 0;
    int wait = 6000;
    bool sites = true;
    const char* want;
  };
  const Row rows[] = {
      {.what = "a stranger: the question is the last action",
       .want = "+accepted, CONNECT, tease, early at 1001, ask"},
      {.what = "without sites nothing is asked",
       .sites = false,
       .want = "+accepted, CONNECT, tease, early at 1001"},
      {.what = "nor about an allowlisted client",
       .evidence = kAllowlisted,
       .want = "+accepted, CONNECT, +allowlisted, ALLOWLISTED, remember, route"},
      {.what = "nor where nobody waits",
       .wait = 0,
       .want = "+accepted, CONNECT, +pass_new, PASS NEW, remember, route"},
      {.what = "nor about who is over a limit",
       .evidence = kHostFull,
       .want = "+accepted, CONNECT, +drop_held, REJECT screening, discard, say 421 4.3.2"},
      {.what = "denylisted under ignore: asked like a stranger",
       .evidence = kDenylisted,
       .want = "+accepted, CONNECT, +denylisted, DENYLISTED, tease, early at 1001, ask"},
  };
  for (const Row& row : rows) {
    config::Config config = example(Policy::kEnforce, Policy::kEnforce);
    config.greet.banner = "x";
    config.greet.wait = milliseconds(row.wait);
    if (!row.sites) config.dnsl.sites.clear();
    Slot slot;
    slot.phase = Phase::kSilentWait;
    slot.started = kStarted;
    slot.evidence = static_cast<uint16_t>(row.evidence);
    const std::string got =
        text_of(step(config, slot, {EventKind::kAccepted, {}}, kStarted), kStarted);
    EXPECT_EQ(got, row.want) << row.what;
    EXPECT_EQ((slot.evidence & kAskingLists) != 0, got.ends_with("ask")) << row.what;
  }
}

TEST(SessionLists, EndTheWaitOfWhoeverIsListed) {
  const Conversation talks[] = {
      {.what = "listed, enforce: refused at once",
       .steps = {scored(300, 9, Standing::kFailed,
                        "+dnsl_failed, RANK, disarm, remember, +refused, converse",
                        Phase::kDialogue)},
       .want_score = 9},
      {.what = "listed, drop: 521 and no reject line",
       .action = Policy::kDrop,
       .steps = {scored(300, 9, Standing::kFailed,
                        "+dnsl_failed, RANK, disarm, remember, +dropped, discard, say 521 5.7.1",
                        Phase::kReplying)},
       .want_score = 9},
      {.what = "listed, ignore: waits on and goes on, but has not passed every test",
       .action = Policy::kIgnore,
       .steps = {scored(300, 9, Standing::kFailed, "", Phase::kSilentWait),
                 kEarlyTimer,
                 kQuiet,
                 kLastTimer,
                 {EventKind::kSilence, 6010, 13, Standing::kFailed,
                  "+dnsl_failed, RANK, +dnsl_ignored, remember, route", Phase::kHandoff}},
       .want_score = 13},  // an answer that came later counts for the log and the route
      {.what = "listed, ignore, and told twice: nothing before the end of the wait",
       .action = Policy::kIgnore,
       .steps = {scored(300, 9, Standing::kFailed, "", Phase::kSilentWait),
                 scored(310, 11, Standing::kFailed, "", Phase::kSilentWait)},
       .want_score = 11},
      {.what = "an early talker under ignore that is listed is refused at once",
       .pregreet = Policy::kIgnore,
       .steps = {kEarlyTimer,
                 {EventKind::kTalk,
                  1010,
                  0,
                  {},
                  "+pregreet, PREGREET, +pregreet_ignored, greet at 6001",
                  Phase::kSilentWait},
                 scored(1300, 8, Standing::kFailed,
                        "+dnsl_failed, RANK, disarm, remember, +refused, converse",
                        Phase::kDialogue)},
       .want_score = 8},
  };
  for (const Conversation& talk : talks) hold(talk);
}

TEST(SessionLists, SpareTheRestOfTheWaitOrLeaveItAsItIs) {
  const Conversation talks[] = {
      {.what = "allowed: the rest of the wait is spared",
       .steps = {scored(300, -5, Standing::kAllowed,
                        "+dnsl_allow, disarm, +pass_new, PASS NEW, remember, route",
                        Phase::kHandoff)},
       .want_score = -5},
      {.what = "allowed after the early look",
       .steps = {kEarlyTimer, kQuiet,
                 scored(1300, -5, Standing::kAllowed,
                        "+dnsl_allow, disarm, +pass_new, PASS NEW, remember, route",
                        Phase::kHandoff)},
       .want_score = -5},
      {.what = "denylisted under ignore, allowed: passes too",
       .steps = {scored(300, -5, Standing::kAllowed,
                        "+dnsl_allow, disarm, +pass_new, PASS NEW, remember, route",
                        Phase::kHandoff)},
       .want_score = -5,
       .evidence = kDenylisted},
      {.what = "neither: the whole wait is served, the score kept for the routes",
       .steps = {scored(300, 3, Standing::kPassed, "", Phase::kSilentWait),
                 kEarlyTimer,
                 kQuiet,
                 kLastTimer,
                 {EventKind::kSilence, 6010, 3, Standing::kPassed,
                  "+pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = 3},
      {.what = "an early talker under ignore is not let off its wait, and counted at its end",
       .pregreet = Policy::kIgnore,
       .steps = {kEarlyTimer,
                 {EventKind::kTalk,
                  1010,
                  0,
                  {},
                  "+pregreet, PREGREET, +pregreet_ignored, greet at 6001",
                  Phase::kSilentWait},
                 scored(1300, -5, Standing::kAllowed, "", Phase::kSilentWait),
                 kLastTimer,
                 {EventKind::kTalk, 6010, -5, Standing::kAllowed, "+dnsl_allow, remember, route",
                  Phase::kHandoff}},
       .want_score = -5},
  };
  for (const Conversation& talk : talks) hold(talk);
}

TEST(SessionLists, LetALookUnderWayConclude) {
  const Step failed = scored(1005, 9, Standing::kFailed, "+dnsl_failed, RANK", Phase::kLooking);
  const Step ignored = scored(1005, 9, Standing::kFailed, "", Phase::kLooking);
  const Step allowed = scored(1005, -5, Standing::kAllowed, "+dnsl_allow", Phase::kLooking);
  const Conversation talks[] = {
      {.what = "listed during the early look",
       .steps = {kEarlyTimer,
                 failed,
                 {EventKind::kSilence, 1010, 9, Standing::kFailed, "remember, +refused, converse",
                  Phase::kDialogue}},
       .want_score = 9},
      {.what = "listed during the early look, and it talks: the lists name the reply",
       .steps = {kEarlyTimer,
                 failed,
                 {EventKind::kTalk, 1010, 9, Standing::kFailed,
                  "+pregreet, PREGREET, remember, +refused, converse", Phase::kDialogue}},
       .want_score = 9},
      {.what = "listed during the early look, and it has gone",
       .steps = {kEarlyTimer,
                 failed,
                 {EventKind::kHangup, 1010, 9, Standing::kFailed,
                  "+hangup, HANGUP, DISCONNECT, close", Phase::kLooking}},
       .want_score = 9},
      {.what = "listed under ignore during the early look: waits on",
       .action = Policy::kIgnore,
       .steps = {kEarlyTimer, ignored, kQuiet},
       .want_score = 9},
      {.what = "listed during the last look",
       .steps = {kEarlyTimer,
                 kQuiet,
                 kLastTimer,
                 scored(6005, 9, Standing::kFailed, "+dnsl_failed, RANK", Phase::kLooking),
                 {EventKind::kSilence, 6010, 9, Standing::kFailed, "remember, +refused, converse",
                  Phase::kDialogue}},
       .want_score = 9},
      {.what = "allowed during the early look: it concludes",
       .steps = {kEarlyTimer,
                 allowed,
                 {EventKind::kSilence, 1010, -5, Standing::kAllowed,
                  "+pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = -5},
      {.what = "allowed during the early look, and it has talked: refused for that",
       .steps = {kEarlyTimer,
                 allowed,
                 {EventKind::kTalk, 1010, -5, Standing::kAllowed,
                  "+pregreet, PREGREET, remember, +refused, converse", Phase::kDialogue}},
       .want_score = -5},
      {.what = "the same where talk is ignored: goes on with its bytes",
       .pregreet = Policy::kIgnore,
       .steps = {kEarlyTimer,
                 allowed,
                 {EventKind::kTalk, 1010, -5, Standing::kAllowed,
                  "+pregreet, PREGREET, +pregreet_ignored, remember, route", Phase::kHandoff}},
       .want_score = -5},
      {.what = "passed during the last look",
       .steps = {kEarlyTimer,
                 kQuiet,
                 kLastTimer,
                 scored(6005, 2, Standing::kPassed, "", Phase::kLooking),
                 {EventKind::kSilence, 6010, 2, Standing::kPassed,
                  "+pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = 2},
  };
  for (const Conversation& talk : talks) hold(talk);
}

Conversation at_the_end(const char* what, Policy action, Policy pregreet, const Step& last) {
  return {.what = what,
          .action = action,
          .pregreet = pregreet,
          .steps = {kEarlyTimer, kQuiet, kLastTimer, last},
          .want_score = last.event == EventKind::kHangup ? 0 : last.score};
}

TEST(SessionLists, AreTakenAtWhatTheyHaveSaidWhenTheWaitIsOver) {
  const Policy enforce = Policy::kEnforce;
  const Policy ignore = Policy::kIgnore;
  const Conversation talks[] = {
      at_the_end("a partial sum below the threshold passes", enforce, enforce,
                 {EventKind::kSilence, 6010, 7, Standing::kOpen,
                  "+dnsl_partial, +pass_new, PASS NEW, remember, route", Phase::kHandoff}),
      at_the_end(
          "a partial sum at the threshold fails", enforce, enforce,
          {EventKind::kSilence, 6010, 8, Standing::kOpen,
           "+dnsl_partial, +dnsl_failed, RANK, remember, +refused, converse", Phase::kDialogue}),
      at_the_end("the same under drop", Policy::kDrop, enforce,
                 {EventKind::kSilence, 6010, 8, Standing::kOpen,
                  "+dnsl_partial, +dnsl_failed, RANK, remember, +dropped, discard, say 521 5.7.1",
                  Phase::kReplying}),
      at_the_end(
          "the same under ignore", ignore, enforce,
          {EventKind::kSilence, 6010, 8, Standing::kOpen,
           "+dnsl_partial, +dnsl_failed, RANK, +dnsl_ignored, remember, route", Phase::kHandoff}),
      at_the_end(
          "a partial sum at the allow threshold", enforce, enforce,
          {EventKind::kSilence, 6010, -4, Standing::kOpen,
           "+dnsl_partial, +dnsl_allow, +pass_new, PASS NEW, remember, route", Phase::kHandoff}),
      at_the_end("one above it", enforce, enforce,
                 {EventKind::kSilence, 6010, -3, Standing::kOpen,
                  "+dnsl_partial, +pass_new, PASS NEW, remember, route", Phase::kHandoff}),
      at_the_end("a sum that became final in the same turn is not partial", enforce, enforce,
                 {EventKind::kSilence, 6010, 8, Standing::kFailed,
                  "+dnsl_failed, RANK, remember, +refused, converse", Phase::kDialogue}),
      at_the_end("who has gone is not judged", enforce, enforce,
                 {EventKind::kHangup, 6010, 8, Standing::kOpen,
                  "+hangup, HANGUP, DISCONNECT, close", Phase::kLooking}),
      at_the_end("a talker that is listed too: the longest list of actions", enforce, ignore,
                 {EventKind::kTalk, 6010, 8, Standing::kOpen,
                  "+pregreet, PREGREET, +pregreet_ignored, +dnsl_partial, +dnsl_failed, RANK, "
                  "remember, +refused, converse",
                  Phase::kDialogue}),
      at_the_end("a listing that is ignored does not take back the refusal of a talker", ignore,
                 enforce,
                 {EventKind::kTalk, 6010, 8, Standing::kOpen,
                  "+pregreet, PREGREET, +dnsl_partial, +dnsl_failed, RANK, +dnsl_ignored, "
                  "remember, +refused, converse",
                  Phase::kDialogue}),
      {.what = "at an early look the sum so far means nothing",
       .steps = {kEarlyTimer,
                 {EventKind::kSilence, 1010, 50, Standing::kOpen, "greet at 6001",
                  Phase::kSilentWait}}},
  };
  for (const Conversation& talk : talks) hold(talk);
}

TEST(SessionLists, AreNotListenedToAfterTheWait) {
  const Step stop = {EventKind::kStop,
                     500,
                     0,
                     Standing::kOpen,
                     "+drop_shutdown, REJECT reply, discard, say 421 4.3.2",
                     Phase::kReplying};
  const Conversation talks[] = {
      {.what = "scored after the hand-off has begun",
       .steps = {kEarlyTimer,
                 kQuiet,
                 kLastTimer,
                 {EventKind::kSilence, 6010, 1, Standing::kOpen,
                  "+dnsl_partial, +pass_new, PASS NEW, remember, route", Phase::kHandoff},
                 scored(6020, 9, Standing::kFailed, "", Phase::kHandoff)},
       .want_score = 1},
      {.what = "the gate stops while they are asked",
       .steps = {stop, scored(510, 9, Standing::kFailed, "", Phase::kReplying)}},
      {.what = "the gate stops while the client is looked at",
       .steps = {kEarlyTimer, stop, scored(510, -9, Standing::kAllowed, "", Phase::kReplying)}},
      {.what = "scored during the look, then the gate stops",
       .steps = {kEarlyTimer, scored(1005, -9, Standing::kAllowed, "+dnsl_allow", Phase::kLooking),
                 stop},
       .want_score = -9},
      {.what = "scored while a talker reads its refusal",
       .steps = {kEarlyTimer,
                 {EventKind::kTalk, 1010, 0, Standing::kOpen,
                  "+pregreet, PREGREET, remember, +refused, converse", Phase::kDialogue},
                 {EventKind::kReplied, 1020, 0, Standing::kOpen, "shut, linger at 2020",
                  Phase::kLinger},
                 scored(1030, 9, Standing::kFailed, "", Phase::kLinger)}},
  };
  for (const Conversation& talk : talks) hold(talk);
}

TEST(SessionLists, AllowOnlyWhenAThresholdIsSet) {
  config::Config config = example(Policy::kEnforce, Policy::kEnforce);
  config.dnsl.allow_threshold = 0;
  Slot slot;
  slot.phase = Phase::kLooking;
  slot.evidence = kWaited | kAskingLists;
  const Event event{
      .kind = EventKind::kSilence, .text = {}, .score = -100, .standing = Standing::kPassed};
  EXPECT_EQ(text_of(step(config, slot, event, 0), 0), "+pass_new, PASS NEW, remember, route");
  EXPECT_EQ(slot.evidence & kListsAllow, 0);
}

// Walks every conversation of a client up to where it is decided, and checks each.
class Walk {
 public:
  explicit Walk(const config::Config& config) : config_(config) {}

  size_t all() {
    Slot slot;
    slot.phase = Phase::kSilentWait;
    slot.started = kStarted;
    take(slot, {}, {EventKind::kAccepted, {}}, kStarted);
    return ends_;
  }

 private:
  // What happened so far, told by the actions alone.
  struct Story {
    bool armed = false;
    bool scored = false;
    Tick deadline = 0;
    int failed = 0;
    int allowed = 0;
    int passed = 0;
    int routed = 0;
  };

  void take(Slot slot, Story story, const Event& event, Tick now) {
    if (event.kind == EventKind::kTimer || event.kind == EventKind::kStop) story.armed = false;
    if (event.kind == EventKind::kScored) story.scored = true;
    for (const Action& action : step(config_, slot, event, now)) note(action, story);
    check(slot, story);
    if (slot.phase == Phase::kSilentWait) {
      take(slot, story, {EventKind::kTimer, {}}, story.deadline);
      take(slot, story, {EventKind::kStop, {}}, now);
    } else if (slot.phase == Phase::kLooking && (slot.evidence & kHungUp) == 0) {
      for (const EventKind look : {EventKind::kSilence, EventKind::kTalk, EventKind::kHangup}) {
        for (const int16_t sum : std::to_array<int16_t>({-9, 0, 9})) {
          take(slot, story, {look, {}, sum, Standing::kOpen}, now);
        }
      }
    } else {
      ++ends_;
      return;
    }
    if (story.scored) return;
    take(slot, story, {EventKind::kScored, {}, 9, Standing::kFailed}, now);
    take(slot, story, {EventKind::kScored, {}, 0, Standing::kPassed}, now);
    take(slot, story, {EventKind::kScored, {}, -9, Standing::kAllowed}, now);
  }

  static void note(const Action& action, Story& story) {
    if (action.kind == ActionKind::kArm) {
      EXPECT_FALSE(story.armed) << "a client has one timer";
      story.armed = true;
      story.deadline = action.deadline;
    }
    if (action.kind == ActionKind::kDisarm) {
      EXPECT_TRUE(story.armed) << "there must be something to cancel";
      story.armed = false;
    }
    if (action.kind == ActionKind::kRoute) ++story.routed;
    if (action.kind != ActionKind::kCount) return;
    if (action.counter == Counter::kListsFailed) ++story.failed;
    if (action.counter == Counter::kListsAllow) ++story.allowed;
    if (action.counter == Counter::kPassNew) ++story.passed;
  }

  void check(const Slot& slot, const Story& story) const {
    EXPECT_EQ(story.armed, slot.phase == Phase::kSilentWait);
    EXPECT_LE(story.failed + story.allowed, 1) << "counted once";
    EXPECT_EQ(story.failed, (slot.evidence & kListsFailed) != 0);
    EXPECT_EQ(story.allowed, (slot.evidence & kListsAllow) != 0);
    EXPECT_EQ(story.routed, slot.phase == Phase::kHandoff);
    const bool spoke = (slot.evidence & kSpokeEarly) != 0;
    EXPECT_EQ(story.passed, story.routed == 1 && !spoke && story.failed == 0);
    const bool bad = (spoke && config_.greet.pregreet != Policy::kIgnore) ||
                     (story.failed == 1 && config_.dnsl.action != Policy::kIgnore);
    EXPECT_LE(bad + story.routed, 1) << "who failed a test goes nowhere";
    const bool spared = story.routed == 1 && (slot.evidence & kWaited) == 0;
    EXPECT_LE(spared, story.allowed) << "nobody else is let off the wait";
  }

  const config::Config& config_;
  size_t ends_ = 0;
};

TEST(SessionLists, EveryShortConversationEndsAsItMust) {
  const Policy policies[] = {Policy::kIgnore, Policy::kEnforce, Policy::kDrop};
  for (const Policy action : policies) {
    for (const Policy pregreet : policies) {
      const config::Config config = example(action, pregreet);
      EXPECT_GT(Walk(config).all(), 100U);
    }
  }
}

}  // namespace
}  // namespace lychgate::daemon
