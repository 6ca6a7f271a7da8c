// Conversations of clients that come out of the kernel's waiting room (greet.hold = "kernel"): a
// look at once, the lists' part of it, and nothing of the gate's own wait. Then every short
// conversation there is, checked for what must always hold.

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

struct Policies {
  bool lists = false;
  Policy action = Policy::kEnforce;
  Policy pregreet = Policy::kEnforce;
};

// dnsl.threshold 8, allow_threshold -4, dns.timeout 2 s.
config::Config example(const Policies& policies) {
  config::Config config;
  without_dialogue(config);
  config.greet.hold = config::Hold::kKernel;
  config.greet.banner = "";
  config.greet.early_look = milliseconds(0);
  config.greet.pregreet = policies.pregreet;
  config.access.reject = Policy::kIgnore;
  config.dnsl.sites.resize(policies.lists ? 1 : 0);
  config.dnsl.action = policies.action;
  return config;
}

Slot newcomer(int evidence = 0) {
  Slot slot;
  slot.phase = Phase::kSilentWait;
  slot.started = kStarted;
  slot.evidence = static_cast<uint16_t>(evidence);
  return slot;
}

TEST(SessionKernel, LooksAtOnceAtWhoeverIsNeitherKnownNorTooMuch) {
  struct Row {
    const char* what;
    int evidence = 0;
    bool lists = false;
    const char* want;
  };
  const Row rows[] = {
      {.what = "a stranger: no teaser, and the look in the same turn",
       .want = "+accepted, CONNECT, early at 0"},
      {.what = "with lists: the question is the last action",
       .lists = true,
       .want = "+accepted, CONNECT, early at 0, ask"},
      {.what = "an allowlisted client is not looked at, nor are lists asked",
       .evidence = kAllowlisted,
       .lists = true,
       .want = "+accepted, CONNECT, +allowlisted, ALLOWLISTED, remember, route"},
      {.what = "denylisted under ignore: like a stranger",
       .evidence = kDenylisted,
       .want = "+accepted, CONNECT, +denylisted, DENYLISTED, early at 0"},
      {.what = "one too many",
       .evidence = kHostFull,
       .want = "+accepted, CONNECT, +drop_held, REJECT screening, discard, say 421 4.3.2"},
  };
  for (const Row& row : rows) {
    const config::Config config = example({.lists = row.lists});
    Slot slot = newcomer(row.evidence);
    const auto actions = step(config, slot, {EventKind::kAccepted, {}}, kStarted);
    EXPECT_EQ(text_of(actions, kStarted), row.want) << row.what;
    EXPECT_EQ((slot.evidence & kWaited), 0) << row.what << ": only silence proves that it waited";
  }
}

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
  Policies policies{};
  std::vector<Step> steps;  // after the accept
  int want_score = 0;
};

void hold(const Conversation& talk) {
  const config::Config config = example(talk.policies);
  Slot slot = newcomer();
  step(config, slot, {EventKind::kAccepted, {}}, kStarted);
  for (const Step& each : talk.steps) {
    const Event event{.kind = each.event,
                      .text = each.event == EventKind::kTalk ? "EHLO" : "",
                      .score = static_cast<int16_t>(each.score),
                      .standing = each.standing};
    const ActionList actions = step(config, slot, event, kStarted + each.after);
    EXPECT_EQ(text_of(actions, kStarted), each.want) << talk.what << ", at " << each.after;
    EXPECT_EQ(kPhaseNames[static_cast<size_t>(slot.phase)],
              kPhaseNames[static_cast<size_t>(each.want_phase)])
        << talk.what << ", at " << each.after;
  }
  EXPECT_EQ(slot.score, talk.want_score) << talk.what;
}

const Step kLook = {EventKind::kTimer, 0, 0, Standing::kOpen, "look", Phase::kLooking};

TEST(SessionKernel, ConcludesWithTheFirstLookWithoutLists) {
  const Conversation talks[] = {
      {.what = "silent: it has waited, and passes",
       .steps = {kLook,
                 {EventKind::kSilence, 1, 0, Standing::kOpen,
                  "+kernel_held, +pass_new, PASS NEW, remember, route", Phase::kHandoff}}},
      {.what = "spoke while the kernel had it",
       .steps = {kLook,
                 {EventKind::kTalk, 1, 0, Standing::kOpen,
                  "+pregreet, PREGREET, remember, +refused, converse", Phase::kDialogue}}},
      {.what = "the same under ignore: goes on with its bytes",
       .policies = {.pregreet = Policy::kIgnore},
       .steps = {kLook,
                 {EventKind::kTalk, 1, 0, Standing::kOpen,
                  "+pregreet, PREGREET, +pregreet_ignored, remember, route", Phase::kHandoff}}},
      {.what = "hung up while the kernel had it",
       .steps = {kLook,
                 {EventKind::kHangup, 1, 0, Standing::kOpen, "+hangup, HANGUP, DISCONNECT, close",
                  Phase::kLooking}}},
      {.what = "the gate stops before the look",
       .steps = {{EventKind::kStop, 0, 0, Standing::kOpen,
                  "+drop_shutdown, REJECT reply, discard, say 421 4.3.2", Phase::kReplying}}},
  };
  for (const Conversation& talk : talks) hold(talk);
}

Step scored(Tick after, int score, Standing standing, const char* want, Phase want_phase) {
  return {EventKind::kScored, after, score, standing, want, want_phase};
}
const Policies kLists{.lists = true};
const Step kStillOpen = {EventKind::kSilence, 1, 3, Standing::kOpen, "+kernel_held, wheel at 2001",
                         Phase::kSilentWait};
const Step kAgain = {EventKind::kTimer, 300, 0, Standing::kOpen, "look", Phase::kLooking};

TEST(SessionKernel, ConcludesWithTheFirstLookWhereListsHaveSpoken) {
  const Conversation talks[] = {
      {.what = "the answers were there: told at once, and the look concludes",
       .policies = kLists,
       .steps = {scored(0, 9, Standing::kFailed, "disarm, early at 0", Phase::kSilentWait),
                 kLook,
                 {EventKind::kSilence, 1, 9, Standing::kFailed,
                  "+kernel_held, +dnsl_failed, RANK, remember, +refused, converse",
                  Phase::kDialogue}},
       .want_score = 9},
      {.what = "allowed, but it has spoken: refused for that",
       .policies = kLists,
       .steps = {scored(0, -5, Standing::kAllowed, "disarm, early at 0", Phase::kSilentWait),
                 kLook,
                 {EventKind::kTalk, 1, -5, Standing::kAllowed,
                  "+pregreet, PREGREET, +dnsl_allow, remember, +refused, converse",
                  Phase::kDialogue}},
       .want_score = -5},
      {.what = "told during the look: its answer concludes",
       .policies = kLists,
       .steps = {kLook,
                 scored(0, 2, Standing::kPassed, "", Phase::kLooking),
                 {EventKind::kSilence, 1, 2, Standing::kPassed,
                  "+kernel_held, +pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = 2},
      {.what = "listed under ignore: goes on, but has not passed every test",
       .policies = {.lists = true, .action = Policy::kIgnore},
       .steps = {kLook,
                 {EventKind::kSilence, 1, 9, Standing::kFailed,
                  "+kernel_held, +dnsl_failed, RANK, +dnsl_ignored, remember, route",
                  Phase::kHandoff}},
       .want_score = 9},
  };
  for (const Conversation& talk : talks) hold(talk);
}

TEST(SessionKernel, WaitsForListsAsLongAsTheyAreGiven) {
  const Conversation talks[] = {
      {.what = "they answer: one more look, which concludes",
       .policies = kLists,
       .steps = {kLook,
                 kStillOpen,
                 scored(300, 3, Standing::kPassed, "disarm, early at 300", Phase::kSilentWait),
                 kAgain,
                 {EventKind::kSilence, 301, 3, Standing::kPassed,
                  "+pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = 3},
      {.what = "it speaks meanwhile: refused for that",
       .policies = kLists,
       .steps = {kLook,
                 kStillOpen,
                 scored(300, 3, Standing::kPassed, "disarm, early at 300", Phase::kSilentWait),
                 kAgain,
                 {EventKind::kTalk, 301, 3, Standing::kPassed,
                  "+pregreet, PREGREET, remember, +refused, converse", Phase::kDialogue}},
       .want_score = 3},
      {.what = "a talker under ignore is not kept longer than others",
       .policies = {.lists = true, .pregreet = Policy::kIgnore},
       .steps = {kLook,
                 {EventKind::kTalk, 1, 0, Standing::kOpen,
                  "+pregreet, PREGREET, +pregreet_ignored, wheel at 2001", Phase::kSilentWait},
                 scored(300, -5, Standing::kAllowed, "disarm, early at 300", Phase::kSilentWait),
                 kAgain,
                 {EventKind::kTalk, 301, -5, Standing::kAllowed, "+dnsl_allow, remember, route",
                  Phase::kHandoff}},
       .want_score = -5},
      {.what = "they never answer: taken at what they have said",
       .policies = kLists,
       .steps = {kLook,
                 kStillOpen,
                 {EventKind::kTimer, 2001, 0, Standing::kOpen, "look", Phase::kLooking},
                 {EventKind::kSilence, 2002, 3, Standing::kOpen,
                  "+dnsl_partial, +pass_new, PASS NEW, remember, route", Phase::kHandoff}},
       .want_score = 3},
      {.what = "an answer made void after it was told: it waits on",
       .policies = kLists,
       .steps = {kLook,
                 kStillOpen,
                 scored(300, 9, Standing::kFailed, "disarm, early at 300", Phase::kSilentWait),
                 kAgain,
                 {EventKind::kSilence, 301, 0, Standing::kOpen, "wheel at 2001",
                  Phase::kSilentWait}},
       .want_score = 9},
      {.what = "the longest list of actions",
       .policies = {.lists = true, .pregreet = Policy::kIgnore},
       .steps = {kLook,
                 {EventKind::kTalk, 2001, 8, Standing::kOpen,
                  "+pregreet, PREGREET, +pregreet_ignored, +dnsl_partial, +dnsl_failed, RANK, "
                  "remember, +refused, converse",
                  Phase::kDialogue}},
       .want_score = 8},
  };
  for (const Conversation& talk : talks) hold(talk);
}

// Walks every conversation of a client up to where it is decided, and checks each.
class Walk {
 public:
  explicit Walk(const config::Config& config) : config_(config) {}

  size_t all() {
    take(newcomer(), {}, {EventKind::kAccepted, {}}, kStarted);
    return ends_;
  }

 private:
  // What happened so far, told by the actions alone.
  struct Story {
    bool armed = false;
    int scored = 0;
    int held = 0;
    int passed = 0;
    int routed = 0;
    int looks = 0;
    Tick deadline = 0;
  };

  void take(Slot slot, Story story, const Event& event, Tick now) {
    if (event.kind == EventKind::kTimer || event.kind == EventKind::kStop) story.armed = false;
    if (event.kind == EventKind::kScored) ++story.scored;
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
    if (story.scored == 2) return;
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
    if (action.kind == ActionKind::kLook) ++story.looks;
    EXPECT_NE(action.kind, ActionKind::kTease);
    if (action.kind != ActionKind::kCount) return;
    if (action.counter == Counter::kKernelHeld) ++story.held;
    if (action.counter == Counter::kPassNew) ++story.passed;
  }

  void check(const Slot& slot, const Story& story) const {
    EXPECT_EQ(story.armed, slot.phase == Phase::kSilentWait);
    EXPECT_EQ(story.held, (slot.evidence & kWaited) != 0) << "counted once";
    EXPECT_EQ(story.routed, slot.phase == Phase::kHandoff);
    EXPECT_LE(story.looks, 2 + story.scored) << "never in a circle";
    EXPECT_GE(story.looks, story.routed) << "nobody goes on unseen";
    const bool spoke = (slot.evidence & kSpokeEarly) != 0;
    const bool listed = (slot.evidence & kListsFailed) != 0;
    EXPECT_EQ(story.passed, story.routed == 1 && !spoke && !listed);
    const bool bad = (spoke && config_.greet.pregreet != Policy::kIgnore) ||
                     (listed && config_.dnsl.action != Policy::kIgnore);
    EXPECT_LE(bad + story.routed, 1) << "who failed a test goes nowhere";
  }

  const config::Config& config_;
  size_t ends_ = 0;
};

TEST(SessionKernel, EveryShortConversationEndsAsItMust) {
  for (const Policy action : {Policy::kIgnore, Policy::kEnforce, Policy::kDrop}) {
    for (const Policy pregreet : {Policy::kIgnore, Policy::kEnforce, Policy::kDrop}) {
      const config::Config config =
          example({.lists = true, .action = action, .pregreet = pregreet});
      EXPECT_GT(Walk(config).all(), 100U);
    }
  }
}

}  // namespace
}  // namespace lychgate::daemon
