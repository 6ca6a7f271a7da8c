// Each profile's life as events and what the client wants after each.

#include "bench/flood/client.h"

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

using Kind = Event::Kind;

// One client, its surroundings, and a clock that only the test moves.
struct Stage {
  explicit Stage(Profile profile) {
    manners.profile = profile;
    manners.hold = milliseconds(2500);
    script = write_script(plan, manners, "today");
    client.phase = Phase::kConnecting;
    client.start = now;
    if (reads_replies(profile)) talk.begin(profile, 0);
  }

  Actions on(const Event& event, milliseconds later = milliseconds(1)) {
    now += later;
    return step(client, &talk, event, {manners, script, *tally, now});
  }
  Actions on(Kind kind, milliseconds later = milliseconds(1)) {
    return on(Event{.kind = kind}, later);
  }
  Actions hears(std::string_view bytes) { return on(Event{.kind = Kind::kBytes, .bytes = bytes}); }
  const Counts& counts() const { return tally->profiles[static_cast<size_t>(manners.profile)]; }
  const Latencies& times() const { return tally->latencies[static_cast<size_t>(manners.profile)]; }

  Plan plan;
  Manners manners;
  Script script;
  std::unique_ptr<Tally> tally = std::make_unique<Tally>();
  Client client;
  Talk talk;
  Instant now{std::chrono::seconds(1000)};
};

// What a client that holds says of its end after its time was up and it found these.
Ending found(Profile profile, const std::vector<Event>& events) {
  Stage stage(profile);
  stage.on(Kind::kConnected);
  stage.on(Kind::kTimeUp, milliseconds(5000));
  Actions actions;
  for (const Event& event : events) {
    EXPECT_FALSE(actions.end) << "it went on after its end";
    actions = stage.on(event);
  }
  return actions.end.value_or(Ending::kCutOff);
}

TEST(Zombie, WaitsForTheFirstBytesAndThenForNothing) {
  Stage stage(Profile::kZombie);
  const Actions connected = stage.on(Kind::kConnected);
  EXPECT_TRUE(connected.receive);
  EXPECT_EQ(connected.wait, Wait::kHold);
  EXPECT_EQ(stage.client.phase, Phase::kHolding);
  const Actions teased = stage.hears("220-wait\r\n");
  EXPECT_FALSE(teased.receive || teased.look || teased.end) << "nothing stays armed";
  EXPECT_TRUE(stage.on(Kind::kTimeUp, milliseconds(2500)).look);
  EXPECT_TRUE(stage.hears("220 mx\r\n").look) << "until nothing is left";
  EXPECT_EQ(stage.on(Kind::kNothing).end, Ending::kDone);
  EXPECT_EQ(stage.counts().first_bytes, 1U);
  EXPECT_EQ(stage.counts().greeted, 1U);
  EXPECT_EQ(stage.counts().bytes_in, 18U);
  EXPECT_EQ(stage.times().first_byte.count(), 1U);
  EXPECT_EQ(stage.times().greeting.count(), 0U) << "when it came is not known";
  EXPECT_EQ(stage.tally->replies, (ReplyCounts{{220, 1}}));
}

TEST(Zombie, CancelsAWaitThatWasInVain) {
  Stage stage(Profile::kZombie);
  stage.on(Kind::kConnected);
  stage.client.requests = kReceive;
  const Actions actions = stage.on(Kind::kTimeUp, milliseconds(2500));
  EXPECT_TRUE(actions.cancel);
  EXPECT_FALSE(actions.look) << "the cancelled wait is the look";
}

TEST(Zombie, EndsAsItFindsThings) {
  const Event refusal{.kind = Kind::kBytes, .bytes = "421 timeout\r\n"};
  const Event greeting{.kind = Kind::kBytes, .bytes = "220 mx\r\n"};
  const Event nothing{.kind = Kind::kNothing};
  const Event end{.kind = Kind::kEnd};
  const Event reset{.kind = Kind::kReset};
  struct Row {
    const char* what;
    std::vector<Event> events;
    Ending want;
  };
  const Row rows[] = {
      {"nothing", {nothing}, Ending::kDone},
      {"a greeting", {greeting, nothing}, Ending::kDone},
      {"closed", {end}, Ending::kClosed},
      {"greeted and closed", {greeting, end}, Ending::kClosed},
      {"refused", {refusal, end}, Ending::kRefused},
      {"refused and not closed", {greeting, refusal, nothing}, Ending::kRefused},
      {"reset", {reset}, Ending::kReset},
      {"a server that never stops is left after sixteen looks", std::vector<Event>(16, greeting),
       Ending::kDone},
  };
  for (const Row& row : rows) EXPECT_EQ(found(Profile::kZombie, row.events), row.want) << row.what;
  EXPECT_EQ(found(Profile::kNeverReads, {refusal, end}), Ending::kRefused);
  EXPECT_EQ(found(Profile::kDrip, {end}), Ending::kClosed);
}

TEST(Drip, SaysAByteEachSecondUntilItsTimeIsUp) {
  Stage stage(Profile::kDrip);
  std::string said;
  Actions actions = stage.on(Kind::kConnected);
  while (!actions.look) {
    ASSERT_EQ(actions.wait, Wait::kSecond);
    said += actions.say.parts[0];
    actions = stage.on(Kind::kTimeUp, milliseconds(1001));
  }
  EXPECT_EQ(said, "EHL");
}

TEST(Drip, TellsAResetFromAClose) {
  for (const auto& [error, want] :
       {std::pair{ECONNRESET, Ending::kReset}, std::pair{EPIPE, Ending::kClosed}}) {
    Stage stage(Profile::kDrip);
    stage.on(Kind::kConnected);
    EXPECT_TRUE(stage.on(Event{.kind = Kind::kNotSent, .error = error}).look);
    EXPECT_EQ(stage.on(Kind::kEnd).end, want);
  }
}

TEST(NeverReads, TalksAndArmsNothing) {
  Stage stage(Profile::kNeverReads);
  const Actions actions = stage.on(Kind::kConnected);
  EXPECT_FALSE(actions.receive || actions.whole);
  EXPECT_TRUE(actions.say.parts[0].starts_with("EHLO flood.example\r\nNOOP\r\n"));
}

TEST(HangupAndReset, AreDoneOnceConnected) {
  for (const Profile profile : {Profile::kHangup, Profile::kReset}) {
    Stage stage(profile);
    EXPECT_EQ(stage.on(Kind::kConnected).end, Ending::kDone);
    EXPECT_EQ(stage.client.is(kAbrupt), profile == Profile::kReset);
  }
}

TEST(Early, TalksAtOnceAndHasOnePatienceForAll) {
  Stage stage(Profile::kEarly);
  const Actions connected = stage.on(Kind::kConnected);
  EXPECT_EQ(connected.say.parts[0], "EHLO x\r\n");
  EXPECT_TRUE(connected.receive);
  EXPECT_EQ(connected.wait, Wait::kHold);
  const Actions teased = stage.hears("220-wait\r\n");
  EXPECT_TRUE(teased.receive);
  EXPECT_FALSE(teased.wait);
  EXPECT_EQ(stage.on(Kind::kTimeUp).end, Ending::kTimedOut);
}

TEST(Legit, TimesItsGreetingAndItsTransaction) {
  Stage stage(Profile::kLegit);
  EXPECT_EQ(stage.on(Kind::kConnected).wait, Wait::kReply);
  for (const char* reply :
       {"220 a\r\n", "250 a\r\n", "250 a\r\n", "250 a\r\n", "354 a\r\n", "250 a\r\n"}) {
    const Actions actions = stage.hears(reply);
    EXPECT_TRUE(actions.receive && !actions.say.empty()) << reply;
    EXPECT_EQ(actions.wait, Wait::kReply) << "each reply has its own time";
    stage.on(Event{.kind = Kind::kSent, .count = 10});
  }
  EXPECT_EQ(stage.hears("221 a\r\n").end, Ending::kDone);
  EXPECT_EQ(stage.counts().delivered, 1U);
  EXPECT_EQ(stage.counts().bytes_out, 60U);
  EXPECT_EQ(stage.times().greeting.most(), std::chrono::milliseconds(2));
  EXPECT_EQ(stage.times().transaction.most(), std::chrono::milliseconds(14));
}

TEST(Legit, IsResetByAServerThatDoesNotRead) {
  Stage stage(Profile::kLegit);
  stage.on(Kind::kConnected);
  EXPECT_FALSE(stage.on(Event{.kind = Kind::kNotSent, .error = ECONNRESET}).end)
      << "its receive tells the rest";
  EXPECT_EQ(stage.on(Kind::kEnd).end, Ending::kReset);
}

TEST(Connecting, EndsInManyWays) {
  struct Row {
    const char* what;
    Event event;
    Ending want;
    int counted;  // 0: no connect error
  };
  const Row rows[] = {
      {"refused",
       {.kind = Kind::kNotConnected, .error = ECONNREFUSED},
       Ending::kUnconnected,
       ECONNREFUSED},
      {"given up",
       {.kind = Kind::kNotConnected, .error = ECANCELED},
       Ending::kUnconnected,
       ETIMEDOUT},
      {"connected and reset at once",
       {.kind = Kind::kNotConnected, .error = ECONNRESET},
       Ending::kReset,
       0},
      {"no such source",
       {.kind = Kind::kNotStarted, .error = EADDRNOTAVAIL},
       Ending::kUnstarted,
       EADDRNOTAVAIL},
      {"stopped", {.kind = Kind::kStop}, Ending::kCutOff, 0},
  };
  for (const Row& row : rows) {
    Stage stage(Profile::kZombie);
    EXPECT_EQ(stage.on(row.event).end, row.want) << row.what;
    const std::map<int, uint64_t> none;
    const std::map<int, uint64_t> one = {{row.counted, 1}};
    EXPECT_EQ(stage.tally->connect_errors, row.counted == 0 ? none : one) << row.what;
  }
  Stage stage(Profile::kZombie);
  EXPECT_TRUE(stage.on(Kind::kTimeUp).cancel) << "a handshake that takes too long is given up";
}

TEST(Waits, AreAsLongAsTheMannersSay) {
  const Manners early{
      .profile = Profile::kEarly, .hold = milliseconds(5000), .timeout = milliseconds(3000)};
  const Manners zombie{.hold = milliseconds(5000), .timeout = milliseconds(3000)};
  EXPECT_EQ(length_of(Wait::kHold, zombie), milliseconds(5000));
  EXPECT_EQ(length_of(Wait::kReply, zombie), milliseconds(3000));
  EXPECT_EQ(length_of(Wait::kHold, early), milliseconds(3000)) << "the shorter of the two";
  EXPECT_EQ(length_of(Wait::kSecond, zombie), milliseconds(1000));
}

}  // namespace
}  // namespace lychgate::flood
