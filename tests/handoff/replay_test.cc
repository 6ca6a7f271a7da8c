// Hand-overs in the middle of a session, over a real ring: what the backend hears, what the client
// hears, and that each fault of a backend ends at the next one or in one refusal.

#include <fmt/format.h>

#include "tests/handoff/ring_world.h"

namespace lychgate::handoff {
namespace {

using Kind = ScriptedBackend::Kind;

const std::string kEhloReply =
    "250-mx.example\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
constexpr std::string_view kAnnounced = "SIZE 1000\nSTARTTLS\n8BITMIME\n";

class ReplayTest : public ring::RingTest {
 protected:
  void SetUp() override {
    ring::RingTest::SetUp();
    if (!IsSkipped()) world_.emplace();
  }
  void TearDown() override {
    if (!world_) return;
    client_.reset();
    if (slot_ != kNoSlot) {
      EXPECT_TRUE(world_->until([this] { return world_->slots[slot_].transfer == kNoSlot; }));
      world_->connections.retire(slot_);
    }
    EXPECT_TRUE(world_->nothing_is_left()) << world_->slots.used() << " slots are left";
    world_.reset();
  }

  // The first news of the client.
  Outcome hand_over(const Said& said) {
    client_ = world_->connect(slot_);
    return hand_over_again(said);
  }
  Outcome hand_over_again(const Said& said) {
    world_->transfers().begin_replay(slot_, 0, said, world_->now);
    return next_news();
  }
  Outcome next_news() {
    std::optional<Outcome> news;
    EXPECT_TRUE(world_->until([&] {
      news = world_->transfers().next_outcome();
      return news.has_value();
    }));
    return news.value_or(Outcome{});
  }
  std::string client_hears(size_t bytes) {
    std::string heard;
    world_->until([&] {
      char part[4096];
      const ssize_t got = recv(client_.get(), part, sizeof(part), MSG_DONTWAIT);
      if (got > 0) heard.append(part, static_cast<size_t>(got));
      return heard.size() >= bytes;
    });
    return heard;
  }
  Script good(std::string last = "250 2.1.0 Ok\r\n") {
    return {.replies = {"220 mx.example ESMTP\r\n", kEhloReply, std::move(last), "354 go\r\n"}};
  }

  std::optional<RingWorld> world_;
  uint32_t slot_ = kNoSlot;
  ring::Fd client_;
};

constexpr Said kMailPending{.hello = "EHLO client.example",
                            .pending = "MAIL FROM:<a@client.example>",
                            .announced = kAnnounced,
                            .cookie = 77};

TEST_F(ReplayTest, BothWaysLetTheBackendAnswerTheLastCommand) {
  for (const Kind kind : {Kind::kTcp, Kind::kPass}) {
    SCOPED_TRACE(kind == Kind::kTcp ? "tcp" : "pass");
    ScriptedBackend& backend = world_->add(kind, good());
    const Outcome news = hand_over(kMailPending);
    ASSERT_EQ(news.news, TransferNews::kReplayed);
    EXPECT_EQ(news.cookie, 77U);
    EXPECT_EQ(client_hears(14), "250 2.1.0 Ok\r\n");
    EXPECT_EQ(backend.heard(), "EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n");
    ring::write_all(client_, "RCPT TO:<b@example>\r\n");
    EXPECT_EQ(client_hears(8), "354 go\r\n") << "the relay goes on";
    client_.reset();
    const Outcome end = next_news();
    EXPECT_EQ(end.news, TransferNews::kRelayEnded);
    EXPECT_EQ(end.cookie, kNoSlot) << "told before";
    EXPECT_EQ(world_->count(Counter::kHandedOver), 1U);
    EXPECT_EQ(backend.header().empty(), kind == Kind::kPass);
    EXPECT_EQ(backend.attributes().empty(), kind == Kind::kTcp);
    TearDown();
    slot_ = kNoSlot;
    world_.emplace();
  }
}

TEST_F(ReplayTest, MailThatTheGateHasTakenIsSaidAgain) {
  ScriptedBackend& backend = world_->add(
      Kind::kTcp,
      {.replies = {"220 mx\r\n", "250 mx\r\n", "250 sender\r\n", "550-no\r\n550 one\r\n"}});
  const Outcome news =
      hand_over({.hello = "HELO c", .mail = "MAIL FROM:<>", .pending = "RCPT TO:<postmaster>"});
  ASSERT_EQ(news.news, TransferNews::kReplayed);
  EXPECT_EQ(client_hears(17), "550-no\r\n550 one\r\n") << "a refusal is the client's";
  EXPECT_EQ(backend.heard(), "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n");
}

TEST_F(ReplayTest, NothingIsSaidThatWasNot) {
  ScriptedBackend& backend = world_->add(Kind::kTcp, {.replies = {"220 mx\r\n", "252 who\r\n"}});
  ASSERT_EQ(hand_over({.pending = "VRFY x"}).news, TransferNews::kReplayed);
  EXPECT_EQ(backend.heard(), "VRFY x\r\n");
  EXPECT_EQ(client_hears(9), "252 who\r\n");
}

TEST_F(ReplayTest, RepliesMayComeByteByByte) {
  Script script = good("250-a long\r\n250 reply\r\n");
  script.in_bytes = true;
  world_->add(Kind::kTcp, std::move(script));
  ASSERT_EQ(hand_over(kMailPending).news, TransferNews::kReplayed);
  EXPECT_EQ(client_hears(23), "250-a long\r\n250 reply\r\n");
}

// A message takes the way of bulk, by splice(2), through a socketpair as well.
TEST_F(ReplayTest, AMessageFollowsWhole) {
  for (const Kind kind : {Kind::kTcp, Kind::kPass}) {
    SCOPED_TRACE(kind == Kind::kTcp ? "tcp" : "pass");
    ScriptedBackend& backend = world_->add(kind, good());
    ASSERT_EQ(hand_over(kMailPending).news, TransferNews::kReplayed);
    const std::string message = ring::pattern(1'000'000);
    const size_t before = backend.heard().size();
    size_t sent = 0;
    EXPECT_TRUE(world_->until([&] {
      const ssize_t got = send(client_.get(), message.data() + sent, message.size() - sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
      sent += got > 0 ? static_cast<size_t>(got) : 0;
      return backend.heard().size() >= before + message.size();
    }));
    EXPECT_TRUE(backend.heard().substr(before) == message) << sent;
    EXPECT_EQ(world_->count(Counter::kRelayBulk), 1U);
    TearDown();
    slot_ = kNoSlot;
    world_.emplace();
  }
}

TEST_F(ReplayTest, WhoIsSlowInEveryByteIsCutOffInTheEnd) {
  Script slow = good();
  slow.in_bytes = true;
  slow.replies[0] = std::string(400, ' ').insert(0, "220 ") + "\r\n";
  world_->config.pools[0].greeting_timeout = milliseconds(1);
  world_->config.pools[0].wait = milliseconds(0);
  world_->add(Kind::kTcp, slow);
  client_ = world_->connect(slot_);
  world_->transfers().begin_replay(slot_, 0, kMailPending, world_->now);
  std::optional<Outcome> news;
  for (int i = 0; i < 300 && !news; ++i) {
    world_->turn();
    world_->now += 1;
    news = world_->transfers().next_outcome();
  }
  ASSERT_TRUE(news.has_value());
  EXPECT_EQ(news->news, TransferNews::kGaveUp);
}

struct FaultRow {
  const char* what;
  Script script;
  uint64_t replay_failed = 0;  // counted
};

// What a backend can do wrong, each before the reply that the client would hear.
std::vector<FaultRow> faults() {
  const std::string hi = "220 mx\r\n";
  std::string much = kEhloReply;
  for (int i = 0; i < 200; ++i) much.insert(0, "250-X" + std::to_string(i) + "\r\n");
  std::vector<FaultRow> rows = {
      {"no greeting", {.replies = {""}}, 0},
      {"busy", {.replies = {"421 busy\r\n"}}, 0},
      {"refuses this client", {.replies = {"554 no\r\n"}}, 1},
      {"no SMTP server", {.replies = {"SSH-2.0-x\r\n"}}, 0},
      {"a greeting without end", {.replies = {std::string(5000, '2')}}, 0},
      {"speaks on behind its greeting", {.replies = {hi + "220 mx\r\n"}}, 0},
      {"an endless reply", {.replies = {hi, "250-mx\r\n"}, .endless = true}, 1},
      {"more lines than a reply has", {.replies = {hi, much}}, 1},
      {"knows no EHLO", {.replies = {hi, "502 what\r\n"}}, 1},
      {"EHLO without STARTTLS",
       {.replies = {hi, "250-mx\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"}},
       1},
      {"takes smaller mail",
       {.replies = {hi, "250-mx\r\n250-SIZE 9\r\n250-STARTTLS\r\n250 8BITMIME\r\n"}},
       1},
      {"says nothing to EHLO", {.replies = {hi}}, 1},
      {"goes away at the last command", {.replies = {hi, kEhloReply, "421 bye\r\n"}}, 1},
      {"garbage to the last command",
       {.replies = {hi, kEhloReply, std::string("\0\xff\r\n", 4)}},
       1},
      {"says more than it was asked", {.replies = {hi, kEhloReply, "250 ok\r\n250 ok\r\n"}}, 1},
      {"a last reply too long to send on",
       {.replies = {hi, kEhloReply,
                    [] {
                      std::string text;
                      for (int i = 0; i < 100; ++i) text += "250-" + std::string(60, 'x') + "\r\n";
                      return text + "250 x\r\n";
                    }()}},
       1},
  };
  for (size_t step = 0; step <= 2; ++step) {
    rows.push_back({"closes after a step",
                    {.replies = {hi, kEhloReply, "250 ok\r\n"}, .closes_after = step},
                    step == 0 ? 0U : 1U});
    rows.back().script.replies.resize(step);
  }
  return rows;
}

TEST_F(ReplayTest, AFaultyBackendIsFollowedByTheNextOrByOneRefusal) {
  for (const Kind kind : {Kind::kTcp, Kind::kPass}) {
    for (const FaultRow& row : faults()) {
      for (const bool with_next : {true, false}) {
        SCOPED_TRACE(fmt::format("{} {} {}", kind == Kind::kTcp ? "tcp" : "pass", row.what,
                                 row.script.closes_after));
        world_->config.pools[0].wait = milliseconds(0);
        ScriptedBackend& faulty = world_->add(kind, row.script);
        if (with_next) world_->add(Kind::kTcp, good());
        const Outcome news = hand_over(kMailPending);
        EXPECT_EQ(news.news, with_next ? TransferNews::kReplayed : TransferNews::kGaveUp);
        EXPECT_EQ(news.cookie, 77U);
        if (with_next) {
          EXPECT_EQ(client_hears(14), "250 2.1.0 Ok\r\n") << "one reply";
        }
        EXPECT_EQ(faulty.connections(), 1U);
        EXPECT_EQ(world_->count(Counter::kReplayFailed), row.replay_failed);
        TearDown();
        slot_ = kNoSlot;
        world_.emplace();
      }
    }
  }
}

TEST_F(ReplayTest, AServiceThatDiesWithTheEndUnreadIsFollowedByTheNext) {
  world_->add(Kind::kPass, {.takes_nothing = true});
  world_->add(Kind::kTcp, good());
  EXPECT_EQ(hand_over(kMailPending).news, TransferNews::kReplayed);
}

struct BehindRow {
  const char* what;
  Said said;
  std::string_view behind;
  bool must_be_last;
};
const BehindRow kBehindRows[] = {
    {"behind STARTTLS", {.hello = "EHLO c", .pending = "STARTTLS"}, "RSET\r\n", true},
    {"behind MAIL", {.hello = "EHLO c", .pending = "MAIL FROM:<>"}, "RCPT TO:<x>\r\n", true},
    {"behind MAIL, which is ignored",
     {.hello = "EHLO c", .pending = "MAIL FROM:<>"},
     "RCPT TO:<x>\r\n",
     false},
};

// CVE-2011-0411: what was said in the open must not be obeyed as said in private.
TEST_F(ReplayTest, WhatCameBehindTheLastCommandCallsItOff) {
  for (const BehindRow& row : kBehindRows) {
    SCOPED_TRACE(row.what);
    ScriptedBackend& backend = world_->add(
        Kind::kTcp, {.replies = {"220 mx\r\n", "250 mx\r\n", "220 go on\r\n", "250 next\r\n"}});
    client_ = world_->connect(slot_);
    ring::write_all(client_, row.behind);
    Said said = row.said;
    said.must_be_last = row.must_be_last;
    const Outcome news = hand_over_again(said);
    if (row.must_be_last) {
      EXPECT_EQ(news.news, TransferNews::kSpokeBehind);
      EXPECT_EQ(news.text, row.behind);
      EXPECT_EQ(world_->slots[slot_].transfer, kNoSlot);
      EXPECT_EQ(world_->count(Counter::kSpokeBehind), 1U);
      EXPECT_EQ(backend.heard().find(row.behind), std::string::npos);
    } else {
      EXPECT_EQ(news.news, TransferNews::kReplayed);
      EXPECT_EQ(client_hears(21), "220 go on\r\n250 next\r\n");
    }
    TearDown();
    slot_ = kNoSlot;
    world_.emplace();
  }
}

TEST_F(ReplayTest, AClientThatHasGoneEndsAsARelayDoes) {
  world_->add(Kind::kTcp, good());
  client_ = world_->connect(slot_);
  client_.reset();
  EXPECT_EQ(hand_over_again(kMailPending).news, TransferNews::kReplayed);
  EXPECT_EQ(next_news().news, TransferNews::kRelayEnded);
}

TEST_F(ReplayTest, AWildcardListenerTellsTheTrueServerAddress) {
  world_->config.listens[0].address = *Endpoint::parse("0.0.0.0:25");
  ScriptedBackend& backend = world_->add(Kind::kPass, good());
  ASSERT_EQ(hand_over(kMailPending).news, TransferNews::kReplayed);
  EXPECT_NE(backend.attributes().find("127.0.0.1"), std::string::npos);
}

}  // namespace
}  // namespace lychgate::handoff
