// Conversations of clients that were here before: whom their record lets on or has refused at once,
// and who takes only the tests that have expired.

#include <gtest/gtest.h>

#include "core/base/client_record.h"
#include "core/daemon/session.h"
#include "tests/core/daemon/session_words.h"

namespace lychgate::daemon {
namespace {

using admission::Standing;
using Policy = config::Action;

constexpr Tick kStarted = 5000;
constexpr int kPregreetPassed = bit_of(ScreenTest::kPregreet);
constexpr int kListsPassed = bit_of(ScreenTest::kLists);

// Wait 6 s with a teaser and an early look after 1 s, lists with a threshold of 8.
config::Config example() {
  config::Config config;
  without_dialogue(config);
  config.dnsl.sites.resize(1);
  return config;
}

struct Row {
  const char* what;
  int evidence = 0;
  int past = 0;
  const char* want;
  Phase want_phase = Phase::kReplying;
  Policy pregreet = Policy::kEnforce;
  Policy lists = Policy::kEnforce;
  Policy reject = Policy::kEnforce;
  config::Hold hold = config::Hold::kGate;
};

const Row kRows[] = {
    {.what = "who has passed everything goes on at once: no teaser, no lists",
     .evidence = kRemembered,
     .past = kPregreetPassed | kListsPassed,
     .want = "+accepted, CONNECT, +pass_old, PASS OLD, remember, route",
     .want_phase = Phase::kHandoff},
    {.what = "likewise out of the kernel's waiting room: nobody looks whether it has spoken",
     .evidence = kRemembered,
     .past = kPregreetPassed | kListsPassed,
     .want = "+accepted, CONNECT, +pass_old, PASS OLD, remember, route",
     .want_phase = Phase::kHandoff,
     .hold = config::Hold::kKernel},
    {.what = "over a limit it hears 421 all the same",
     .evidence = kRemembered | kAddressFull,
     .want = "+accepted, CONNECT, +drop_per_address, REJECT address, discard, say 421 4.7.0"},
    {.what = "and if the access list rejects it, that",
     .evidence = kRemembered | kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, +refused, converse",
     .want_phase = Phase::kDialogue},
    {.what = "unless that is ignored",
     .evidence = kRemembered | kDenylisted,
     .want = "+accepted, CONNECT, +denylisted, DENYLISTED, +pass_old, PASS OLD, remember, route",
     .want_phase = Phase::kHandoff,
     .reject = Policy::kIgnore},
    {.what = "who spoke early on another visit is refused at once; it leaves no new record",
     .evidence = kRemembered | kSpokeEarly,
     .want = "+accepted, CONNECT, +known_refused, +refused, converse",
     .want_phase = Phase::kDialogue},
    {.what = "under drop with 521, and a line, since no test tells of it",
     .evidence = kRemembered | kSpokeEarly,
     .want = "+accepted, CONNECT, +known_refused, +dropped, REJECT reply, discard, say 521 5.5.1",
     .pregreet = Policy::kDrop},
    {.what = "who was listed is refused at once, with the score of that time",
     .evidence = kRemembered | kListsFailed,
     .want = "+accepted, CONNECT, +known_refused, RANK, +refused, converse",
     .want_phase = Phase::kDialogue},
    {.what = "under drop likewise",
     .evidence = kRemembered | kListsFailed,
     .want = "+accepted, CONNECT, +known_refused, RANK, +dropped, REJECT listed, discard, say 521 "
             "5.7.1",
     .lists = Policy::kDrop},
    {.what = "the longest list of actions: an offender that the access list rejects, to no harm",
     .evidence = kRemembered | kListsFailed | kDenylisted,
     .want =
         "+accepted, CONNECT, +denylisted, DENYLISTED, +known_refused, RANK, +refused, converse",
     .want_phase = Phase::kDialogue,
     .reject = Policy::kIgnore},
    {.what = "an offender over a limit hears 421, and is not counted as one",
     .evidence = kRemembered | kSpokeEarly | kHostFull,
     .want = "+accepted, CONNECT, +drop_held, REJECT screening, discard, say 421 4.3.2"},
    // In the list of the others' waits it would stand before clients that came earlier.
    {.what = "whose wait is good still is asked about: no teaser and no early look",
     .past = kPregreetPassed,
     .want = "+accepted, CONNECT, wheel at 6001, ask",
     .want_phase = Phase::kSilentWait},
    {.what = "who has passed the lists waits, and they are not asked",
     .past = kListsPassed,
     .want = "+accepted, CONNECT, tease, early at 1001",
     .want_phase = Phase::kSilentWait},
};

TEST(SessionMemory, DecidesAboutWhoComesBack) {
  for (const Row& row : kRows) {
    config::Config config = example();
    config.greet.pregreet = row.pregreet;
    config.greet.hold = row.hold;
    config.dnsl.action = row.lists;
    config.access.reject = row.reject;
    Slot slot;
    slot.phase = Phase::kSilentWait;
    slot.started = kStarted;
    slot.evidence = static_cast<uint16_t>(row.evidence);
    slot.past = static_cast<uint8_t>(row.past);
    const auto actions = step(config, slot, {EventKind::kAccepted, {}}, kStarted);
    EXPECT_EQ(text_of(actions, kStarted), row.want) << row.what;
    EXPECT_EQ(slot.phase, row.want_phase) << row.what;
    EXPECT_EQ((slot.evidence & kAskingLists) != 0, std::string(row.want).ends_with("ask"))
        << row.what;
  }
}

struct Spared {
  const char* what;
  int past;
  Event event;
  const char* want;
  Policy lists = Policy::kEnforce;
  Phase phase = Phase::kSilentWait;
  int evidence = kAskingLists;
};

// Of clients that have begun to wait.
TEST(SessionMemory, WaitsOnlyForWhatHasExpired) {
  const Spared rows[] = {
      {.what = "the lists have nothing against it: it goes on",
       .past = kPregreetPassed,
       .event = {.kind = EventKind::kScored, .score = 2, .standing = Standing::kPassed},
       .want = "disarm, +pass_new, PASS NEW, remember, route"},
      {.what = "as postscreen has it, one who had passed the lists too is no new client",
       .past = kPregreetPassed | kPassedBefore,
       .event = {.kind = EventKind::kScored, .score = 2, .standing = Standing::kPassed},
       .want = "disarm, +pass_new, PASS OLD, remember, route"},
      {.what = "a stranger waits on",
       .past = 0,
       .event = {.kind = EventKind::kScored, .score = 2, .standing = Standing::kPassed},
       .want = ""},
      {.what = "the lists are against it",
       .past = kPregreetPassed,
       .event = {.kind = EventKind::kScored, .score = 9, .standing = Standing::kFailed},
       .want = "+dnsl_failed, RANK, disarm, remember, +refused, converse"},
      {.what = "to no harm: it waits, since that is no pass",
       .past = kPregreetPassed,
       .event = {.kind = EventKind::kScored, .score = 9, .standing = Standing::kFailed},
       .want = "",
       .lists = Policy::kIgnore},
      {.what = "they have not answered when the wait is over",
       .past = kPregreetPassed,
       .event = {.kind = EventKind::kSilence},
       .want = "+dnsl_partial, +pass_new, PASS NEW, remember, route",
       .phase = Phase::kLooking,
       .evidence = kAskingLists | kWaited},
      {.what = "the wait is served again by one who has passed the lists",
       .past = kListsPassed | kPassedBefore,
       .event = {.kind = EventKind::kSilence},
       .want = "+pass_new, PASS OLD, remember, route",
       .phase = Phase::kLooking,
       .evidence = kWaited},
  };
  for (const Spared& row : rows) {
    config::Config config = example();
    config.dnsl.action = row.lists;
    Slot slot;
    slot.phase = row.phase;
    slot.started = kStarted;
    slot.evidence = static_cast<uint16_t>(row.evidence);
    slot.past = static_cast<uint8_t>(row.past);
    const auto actions = step(config, slot, row.event, kStarted + 100);
    EXPECT_EQ(text_of(actions, kStarted), row.want) << row.what;
  }
}

TEST(SessionMemory, AnOldOffenderNeedsNoTimeToReadUnlessItTalks) {
  for (const bool talks : {false, true}) {
    Slot slot;
    slot.phase = Phase::kReplying;
    slot.evidence = kRemembered | kSpokeEarly;
    if (talks) slot.evidence |= kStillTalking;
    step(example(), slot, {EventKind::kReplied, {}}, kStarted);
    EXPECT_EQ(slot.phase, talks ? Phase::kLinger : Phase::kReplying);
  }
}

}  // namespace
}  // namespace lychgate::daemon
