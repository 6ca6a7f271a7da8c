// The session step as a table: configuration, what is known of the client and an event in, actions
// and phase out.

#include "core/daemon/session.h"

#include <gtest/gtest.h>

#include "tests/core/daemon/session_words.h"

namespace lychgate::daemon {
namespace {

using Policy = config::Action;

constexpr Tick kStarted = 5000;  // of every client here

struct Row {
  const char* what;
  Phase phase = Phase::kSilentWait;
  int evidence = 0;
  EventKind event = EventKind::kAccepted;
  Tick after = 0;  // since kStarted
  const char* want;
  Phase want_phase = Phase::kSilentWait;
  int want_evidence = 0;
  int wait = 6000;  // greet.wait and what follows of greet, access
  int early_look = 0;
  const char* banner = "";
  Policy pregreet = Policy::kEnforce;
  Policy reject = Policy::kEnforce;
  bool dialogue = false;  // its tests
};

void expect_row(const Row& row) {
  config::Config config;
  config.greet.wait = milliseconds(row.wait);
  config.greet.early_look = milliseconds(row.early_look);
  config.greet.banner = row.banner;
  config.greet.pregreet = row.pregreet;
  config.access.reject = row.reject;
  if (!row.dialogue) without_dialogue(config);
  Slot slot;
  slot.phase = row.phase;
  slot.started = kStarted;
  slot.evidence = static_cast<uint16_t>(row.evidence);
  const Event event{row.event, row.event == EventKind::kTalk ? "EHLO" : ""};
  const ActionList actions = step(config, slot, event, kStarted + row.after);
  EXPECT_EQ(text_of(actions, kStarted), row.want) << row.what;
  EXPECT_EQ(kPhaseNames[static_cast<size_t>(slot.phase)],
            kPhaseNames[static_cast<size_t>(row.want_phase)])
      << row.what;
  EXPECT_EQ(slot.evidence, row.want_evidence) << row.what;
}

const Row kAccepted[] = {
    {.what = "a stranger waits in silence; one tick more makes up for the first's lost part",
     .want = "+accepted, CONNECT, greet at 6001"},
    {.what = "with a banner it is teased first",
     .want = "+accepted, CONNECT, tease, greet at 6001",
     .want_evidence = kTeased,
     .banner = "$hostname ESMTP"},
    {.what = "with an early look that is armed first",
     .want = "+accepted, CONNECT, early at 1001",
     .early_look = 1000},
    {.what = "without a wait it passes at once",
     .want = "+accepted, CONNECT, +pass_new, PASS NEW, remember, route",
     .want_phase = Phase::kHandoff,
     .wait = 0,
     .banner = "$hostname ESMTP"},
    {.what = "an allowlisted client goes on without wait or teaser",
     .evidence = kAllowlisted,
     .want = "+accepted, CONNECT, +allowlisted, ALLOWLISTED, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kAllowlisted,
     .banner = "$hostname ESMTP"},
    {.what = "a denylisted client is refused at once, and not teased",
     .evidence = kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, +refused, converse",
     .want_phase = Phase::kDialogue,
     .want_evidence = kDenylisted,
     .banner = "$hostname ESMTP"},
    {.what = "denylisted under drop hears 521 and no reject line is written",
     .evidence = kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, +dropped, discard, say 521 5.3.2",
     .want_phase = Phase::kReplying,
     .want_evidence = kDenylisted,
     .reject = Policy::kDrop},
    {.what = "denylisted under ignore waits like a stranger",
     .evidence = kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, tease, greet at 6001",
     .want_evidence = kDenylisted | kTeased,
     .banner = "x",
     .reject = Policy::kIgnore},
    {.what = "denylisted under ignore and no wait: the longest list of actions",
     .evidence = kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, +pass_new, PASS NEW, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kDenylisted,
     .wait = 0,
     .reject = Policy::kIgnore},
    {.what = "over the limit of its address",
     .evidence = kAddressFull,
     .want = "+accepted, CONNECT, +drop_per_address, REJECT address, discard, say 421 4.7.0",
     .want_phase = Phase::kReplying,
     .want_evidence = kAddressFull},
    {.what = "over the limit of the shard, allowlisted or not",
     .evidence = kShardFull | kAllowlisted,
     .want = "+accepted, CONNECT, +drop_per_shard, REJECT screening, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying,
     .want_evidence = kShardFull | kAllowlisted},
    {.what = "over the limit of the host",
     .evidence = kHostFull,
     .want = "+accepted, CONNECT, +drop_held, REJECT screening, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying,
     .want_evidence = kHostFull},
};

TEST(Session, DecidesAboutAnAcceptedClient) {
  for (const Row& row : kAccepted) expect_row(row);
}

const Row kLooks[] = {
    {.what = "the early timer asks for an early look",
     .event = EventKind::kTimer,
     .after = 1001,
     .want = "look",
     .want_phase = Phase::kLooking,
     .want_evidence = kLookedEarly,
     .early_look = 1000},
    {.what = "the last timer asks for the look that counts",
     .evidence = kLookedEarly,
     .event = EventKind::kTimer,
     .after = 6001,
     .want = "look",
     .want_phase = Phase::kLooking,
     .want_evidence = kLookedEarly | kWaited,
     .early_look = 1000},
    {.what = "a tick too early is not the whole wait",
     .event = EventKind::kTimer,
     .after = 6000,
     .want = "look",
     .want_phase = Phase::kLooking,
     .want_evidence = kLookedEarly,
     .early_look = 1000},
    {.what = "silence at the early look: the rest of the wait",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly,
     .event = EventKind::kSilence,
     .after = 1010,
     .want = "greet at 6001",
     .want_evidence = kLookedEarly,
     .early_look = 1000},
    {.what = "an early look whose answer comes after the wait tells nothing of the wait's end",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly,
     .event = EventKind::kSilence,
     .after = 7000,
     .want = "greet at 6001",
     .want_evidence = kLookedEarly,
     .early_look = 1000},
    {.what = "silence to the end passes",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kSilence,
     .after = 6010,
     .want = "+pass_new, PASS NEW, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kWaited},
    {.what = "who hung up during the wait is closed without a word",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kHangup,
     .after = 6010,
     .want = "+hangup, HANGUP, DISCONNECT, close",
     .want_phase = Phase::kLooking,
     .want_evidence = kWaited | kHungUp},
    {.what = "and already at the early look",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly,
     .event = EventKind::kHangup,
     .after = 1010,
     .want = "+hangup, HANGUP, DISCONNECT, close",
     .want_phase = Phase::kLooking,
     .want_evidence = kLookedEarly | kHungUp,
     .early_look = 1000},
};

TEST(Session, LooksAndWaits) {
  for (const Row& row : kLooks) expect_row(row);
}

const Row kTalkers[] = {
    {.what = "an early talker is refused at the early look, its bytes thrown away first",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly,
     .event = EventKind::kTalk,
     .after = 1010,
     .want = "+pregreet, PREGREET, remember, +refused, converse",
     .want_phase = Phase::kDialogue,
     .want_evidence = kLookedEarly | kSpokeEarly,
     .early_look = 1000},
    {.what = "under drop it hears 521",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kTalk,
     .after = 6010,
     .want = "+pregreet, PREGREET, remember, +dropped, discard, say 521 5.5.1",
     .want_phase = Phase::kReplying,
     .want_evidence = kWaited | kSpokeEarly,
     .pregreet = Policy::kDrop},
    {.what = "under ignore it waits on, its bytes kept for the server",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly,
     .event = EventKind::kTalk,
     .after = 1010,
     .want = "+pregreet, PREGREET, +pregreet_ignored, greet at 6001",
     .want_evidence = kLookedEarly | kSpokeEarly,
     .early_look = 1000,
     .pregreet = Policy::kIgnore},
    {.what = "and is counted once, though the bytes are still there at the end",
     .phase = Phase::kLooking,
     .evidence = kLookedEarly | kSpokeEarly | kWaited,
     .event = EventKind::kTalk,
     .after = 6010,
     .want = "remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kLookedEarly | kSpokeEarly | kWaited,
     .early_look = 1000,
     .pregreet = Policy::kIgnore},
    {.what = "after its reply a talker gets a moment to read it",
     .phase = Phase::kReplying,
     .evidence = kSpokeEarly,
     .event = EventKind::kReplied,
     .after = 1020,
     .want = "shut, linger at 2020",
     .want_phase = Phase::kLinger,
     .want_evidence = kSpokeEarly},
    {.what = "the moment is over",
     .phase = Phase::kLinger,
     .evidence = kSpokeEarly,
     .event = EventKind::kTimer,
     .after = 2020,
     .want = "DISCONNECT, close",
     .want_phase = Phase::kLinger,
     .want_evidence = kSpokeEarly},
    {.what = "a silent client is closed as soon as its reply is sent",
     .phase = Phase::kReplying,
     .event = EventKind::kReplied,
     .want = "DISCONNECT, close",
     .want_phase = Phase::kReplying},
};

TEST(Session, TreatsEarlyTalkersAsConfigured) {
  for (const Row& row : kTalkers) expect_row(row);
}

const Row kEnds[] = {
    {.what = "no backend in time: 421",
     .phase = Phase::kHandoff,
     .event = EventKind::kGaveUp,
     .want = "+drop_no_backend, REJECT server, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying},
    {.what = "the same for a talker that was let on: its bytes go first",
     .phase = Phase::kQueued,
     .evidence = kSpokeEarly,
     .event = EventKind::kGaveUp,
     .want = "+drop_no_backend, REJECT server, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying,
     .want_evidence = kSpokeEarly,
     .pregreet = Policy::kIgnore},
    {.what = "no route: 421",
     .phase = Phase::kHandoff,
     .event = EventKind::kNoRoute,
     .want = "+drop_no_route, REJECT server, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying},
    {.what = "smtpd has it: nothing is said, nothing logged",
     .phase = Phase::kHandoff,
     .event = EventKind::kTaken,
     .want = "close",
     .want_phase = Phase::kHandoff},
    {.what = "the relay is over",
     .phase = Phase::kRelay,
     .event = EventKind::kRelayEnded,
     .want = "close",
     .want_phase = Phase::kRelay},
    {.what = "the gate stops while the client waits",
     .event = EventKind::kStop,
     .want = "+drop_shutdown, REJECT reply, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying},
    {.what = "the gate stops while it is being looked at",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kStop,
     .want = "+drop_shutdown, REJECT reply, discard, say 421 4.3.2",
     .want_phase = Phase::kReplying,
     .want_evidence = kWaited},
};

const Row kDialogues[] = {
    {.what = "who was silent to the end is talked to before it is let on",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kSilence,
     .after = 6010,
     .want = "converse",
     .want_phase = Phase::kDialogue,
     .want_evidence = kWaited,
     .dialogue = true},
    {.what = "without a wait at once",
     .want = "+accepted, CONNECT, converse",
     .want_phase = Phase::kDialogue,
     .wait = 0,
     .dialogue = true},
    {.what = "not an allowlisted client",
     .evidence = kAllowlisted,
     .want = "+accepted, CONNECT, +allowlisted, ALLOWLISTED, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kAllowlisted,
     .dialogue = true},
    {.what = "nor one that lists vouch for",
     .phase = Phase::kLooking,
     .evidence = kWaited | kListsAllow,
     .event = EventKind::kSilence,
     .after = 6010,
     .want = "+pass_new, PASS NEW, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kWaited | kListsAllow,
     .dialogue = true},
    {.what = "too many talk: who passed so far is let on without those tests",
     .phase = Phase::kDialogue,
     .evidence = kWaited,
     .event = EventKind::kNoDialogue,
     .want = "+dialogue_full, +pass_new, PASS NEW, remember, route",
     .want_phase = Phase::kHandoff,
     .want_evidence = kWaited,
     .dialogue = true},
    {.what = "and who failed is refused in the greeting",
     .phase = Phase::kDialogue,
     .evidence = kSpokeEarly,
     .event = EventKind::kNoDialogue,
     .want = "+dialogue_full, REJECT reply, discard, say 550 5.5.1",
     .want_phase = Phase::kReplying,
     .want_evidence = kSpokeEarly,
     .dialogue = true},
    {.what = "under hold an early talker goes into the tarpit",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kTalk,
     .after = 6010,
     .want = "+pregreet, PREGREET, remember, hold 550 5.5.1",
     .want_phase = Phase::kTarpit,
     .want_evidence = kWaited | kSpokeEarly,
     .pregreet = Policy::kHold},
    {.what = "where that is closed it is dropped",
     .phase = Phase::kTarpit,
     .evidence = kSpokeEarly,
     .event = EventKind::kTarpitFull,
     .want = "+tarpit_closed, +dropped, discard, say 521 5.5.1",
     .want_phase = Phase::kReplying,
     .want_evidence = kSpokeEarly,
     .pregreet = Policy::kHold},
    {.what = "it has gone, or was let go",
     .phase = Phase::kTarpit,
     .evidence = kSpokeEarly,
     .event = EventKind::kReleased,
     .want = "DISCONNECT, close",
     .want_phase = Phase::kTarpit,
     .want_evidence = kSpokeEarly,
     .pregreet = Policy::kHold},
    {.what = "under defer an early talker is talked to, to hear 450",
     .phase = Phase::kLooking,
     .evidence = kWaited,
     .event = EventKind::kTalk,
     .after = 6010,
     .want = "+pregreet, PREGREET, remember, +deferred, converse",
     .want_phase = Phase::kDialogue,
     .want_evidence = kWaited | kSpokeEarly,
     .pregreet = Policy::kDefer},
};

TEST(Session, LeadsToTheDialogueOrTheTarpit) {
  for (const Row& row : kDialogues) expect_row(row);
}

TEST(Session, Ends) {
  for (const Row& row : kEnds) expect_row(row);
}

// A denylisted client that had sent its EHLO was closed with the bytes unread: the reset that
// follows may overtake the 550.
TEST(Session, LingersForWhoeverWasStillTalkingWhenRefused) {
  const config::Config config;
  Slot session;
  session.phase = Phase::kReplying;
  session.evidence = kDenylisted | kStillTalking;
  const ActionList actions = step(config, session, {EventKind::kReplied, {}}, 5);
  EXPECT_EQ(session.phase, Phase::kLinger);
  EXPECT_EQ(actions.begin()->kind, ActionKind::kShut);
}

// The tick wraps every 49 days; a wait that spans it is as long as any other.
TEST(Session, WaitsOverTheWrapOfTheTick) {
  config::Config config;
  config.greet.early_look = milliseconds(0);
  Slot slot;
  slot.phase = Phase::kSilentWait;
  slot.started = 0xffffffff - 1000;
  const ActionList accepted = step(config, slot, {EventKind::kAccepted, {}}, slot.started);
  Tick deadline = 0;
  for (const Action& action : accepted) {
    if (action.kind == ActionKind::kArm) deadline = action.deadline;
  }
  EXPECT_EQ(deadline, 5000U) << "6,001 ms later";
  step(config, slot, {EventKind::kTimer, {}}, deadline);
  EXPECT_EQ(slot.evidence & kWaited, kWaited);
}

}  // namespace
}  // namespace lychgate::daemon
