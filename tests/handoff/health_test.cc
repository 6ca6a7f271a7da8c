// Health checks over a real ring: what each backend hears, what its board says afterwards, what is
// announced, and who is passed over.

#include "handoff/health.h"

#include <fmt/format.h>

#include "tests/handoff/ring_world.h"

namespace lychgate::handoff {
namespace {

using Kind = ScriptedBackend::Kind;

class HealthTest : public ring::RingTest {
 protected:
  void SetUp() override {
    ring::RingTest::SetUp();
    if (!IsSkipped()) world_.emplace();
  }
  void TearDown() override {
    if (!world_) return;
    world_->checks().stop();
    EXPECT_TRUE(world_->nothing_is_left()) << world_->slots.used() << " slots are left";
    world_.reset();
  }
  BackendWord board(size_t backend) {
    return read_board(world_->counters.boards().pools.backends[0][backend]);
  }
  bool becomes(size_t backend, BackendHealth health) {
    return world_->until([&] { return board(backend).health == health; });
  }
  std::string announced() {
    Announcements announcements(world_->config, &world_->counters.boards().pools);
    announcements.refresh();
    return std::string(announcements.of(0));
  }
  static Script good(
      std::string ehlo = "250-mx\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250 STARTTLS\r\n") {
    return {.replies = {"220 mx ESMTP\r\n", std::move(ehlo), "221 bye\r\n"}, .closes_after = 3};
  }

  std::optional<RingWorld> world_;
};

struct WayRow {
  const char* what;
  Kind kind;
  config::ProxyHeader proxy;
  std::string_view header_begins;
};
const WayRow kWayRows[] = {
    {"tcp, version 2 says LOCAL",
     Kind::kTcp,
     config::ProxyHeader::kV2,
     {"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16}},
    {"tcp, version 1 has the true ends", Kind::kTcp, config::ProxyHeader::kV1,
     "PROXY TCP4 127.0.0.1 127.0.0.1 "},
    {"tcp without a header", Kind::kTcp, config::ProxyHeader::kNone, ""},
    {"a pass service", Kind::kPass, config::ProxyHeader::kV2, ""},
};

TEST_F(HealthTest, GreetsABackendAndTakesItsLeave) {
  for (const WayRow& row : kWayRows) {
    SCOPED_TRACE(row.what);
    world_->config.pools[0].proxy = row.proxy;
    ScriptedBackend& backend = world_->add(row.kind, good());
    world_->checks().start(world_->now);
    world_->checks().advance(world_->now);
    EXPECT_TRUE(becomes(0, BackendHealth::kUp));
    EXPECT_EQ(board(0).text, "SIZE 1000\nPIPELINING\nSTARTTLS\n");
    EXPECT_EQ(announced(), "SIZE 1000\nSTARTTLS\n");
    EXPECT_TRUE(world_->until([&] { return world_->count(Counter::kChecks) == 1; }));
    EXPECT_EQ(backend.heard(), "EHLO gate.example\r\nQUIT\r\n");
    EXPECT_TRUE(backend.header().starts_with(row.header_begins)) << backend.header();
    EXPECT_EQ(backend.attributes().empty(), row.kind == Kind::kTcp);
    EXPECT_EQ(world_->count(Counter::kChecksFailed), 0U);
    EXPECT_FALSE(world_->checks().next_line().has_value()) << "no line for who is well at once";
    TearDown();
    world_.emplace();
  }
}

struct SickRow {
  const char* what;
  Script script;
  std::string_view cause;
};

TEST_F(HealthTest, ASickBackendIsDownWithTheReason) {
  const SickRow rows[] = {
      {"no greeting", {.replies = {""}}, "no reply in time"},
      {"busy", {.replies = {"421 busy\r\n"}}, "greeted with 421"},
      {"no SMTP server", {.replies = {"SSH-2.0-x\r\n"}}, "no reply of an SMTP server"},
      {"closes", {.replies = {}, .closes_after = 0}, "closed the connection"},
      {"knows no EHLO", {.replies = {"220 mx\r\n", "502 what\r\n"}}, "EHLO answered with 502"},
      {"an endless reply",
       {.replies = {"220 mx\r\n", "250-mx\r\n"}, .endless = true},
       "no reply of an SMTP server"},
  };
  for (const Kind kind : {Kind::kTcp, Kind::kPass}) {
    for (const SickRow& row : rows) {
      SCOPED_TRACE(fmt::format("{} {}", kind == Kind::kTcp ? "tcp" : "pass", row.what));
      world_->add(kind, row.script);
      const std::string name = world_->config.pools[0].backends[0].text;
      world_->checks().start(world_->now);
      world_->checks().advance(world_->now);
      EXPECT_TRUE(becomes(0, BackendHealth::kDown));
      EXPECT_EQ(announced(), "");
      EXPECT_GE(world_->count(Counter::kChecksFailed), 1U);
      EXPECT_EQ(world_->checks().next_line(),
                fmt::format("warning: pool strangers: service {} is down: {}", name, row.cause));
      EXPECT_FALSE(world_->checks().next_line().has_value()) << "once";
      TearDown();
      world_.emplace();
    }
  }
}

TEST_F(HealthTest, ABackendThatComesBackIsFoundAgain) {
  ScriptedBackend& backend = world_->add(Kind::kTcp, {.replies = {"421 busy\r\n"}});
  world_->checks().start(world_->now);
  world_->checks().advance(world_->now);
  ASSERT_TRUE(becomes(0, BackendHealth::kDown));
  backend.change(good());
  ASSERT_TRUE(becomes(0, BackendHealth::kUp));
  world_->checks().next_line();
  const auto line = world_->checks().next_line();
  ASSERT_TRUE(line.has_value());
  EXPECT_TRUE(line->ends_with("is up again")) << *line;
}

TEST_F(HealthTest, AnnouncesWhatAllHealthyBackendsHave) {
  world_->add(Kind::kTcp, good("250-a\r\n250-SIZE 1000\r\n250-DSN\r\n250 STARTTLS\r\n"));
  world_->add(Kind::kTcp, good("250-b\r\n250-STARTTLS\r\n250-ETRN\r\n250 SIZE 500\r\n"));
  world_->add(Kind::kTcp, {.replies = {"421 busy\r\n"}});
  world_->config.dialogue.hide = {"etrn"};
  world_->checks().start(world_->now);
  world_->checks().advance(world_->now);
  ASSERT_TRUE(becomes(0, BackendHealth::kUp));
  ASSERT_TRUE(becomes(1, BackendHealth::kUp));
  EXPECT_EQ(announced(), "SIZE 500\nSTARTTLS\n");
}

TEST_F(HealthTest, WhoIsDownIsPassedOverUnlessAllAre) {
  world_->add(Kind::kTcp, {.replies = {"421 busy\r\n"}});
  world_->add(Kind::kTcp, good());
  SharedPools& boards = world_->counters.boards().pools;
  Pools pools(world_->config, world_->counters.shards(), 0, &boards);
  world_->checks().start(world_->now);
  world_->checks().advance(world_->now);
  ASSERT_TRUE(becomes(0, BackendHealth::kDown));
  ASSERT_TRUE(becomes(1, BackendHealth::kUp));
  EXPECT_EQ(pools.choose(0, 0, world_->now).backend, 1U);
  EXPECT_FALSE(pools.choose(0, 2, world_->now).backend.has_value()) << "tried, and the other down";
  boards.backends[0][1].health = static_cast<uint8_t>(BackendHealth::kDown);
  EXPECT_TRUE(pools.choose(0, 2, world_->now).backend.has_value()) << "all are";
}

TEST_F(HealthTest, APoolWithoutChecksIsUnknown) {
  ScriptedBackend& backend = world_->add(Kind::kTcp, good());
  world_->config.pools[0].check_interval = milliseconds(0);
  world_->counters.boards().pools.backends[0][0].health =
      static_cast<uint8_t>(BackendHealth::kDown);
  world_->checks().start(world_->now);
  world_->checks().advance(world_->now);
  EXPECT_EQ(board(0).health, BackendHealth::kUnknown) << "of a configuration before";
  EXPECT_FALSE(world_->checks().next_wake().has_value());
  for (int i = 0; i < 10; ++i) world_->turn();
  EXPECT_EQ(backend.connections(), 0U);
}

TEST_F(HealthTest, MoreBackendsThanChecksAtOnceAreAllChecked) {
  for (uint32_t i = 0; i < kChecksAtOnce + 3; ++i) world_->add(Kind::kTcp, good());
  world_->checks().start(world_->now);
  world_->checks().advance(world_->now);
  for (uint32_t i = 0; i < kChecksAtOnce + 3; ++i) EXPECT_TRUE(becomes(i, BackendHealth::kUp)) << i;
}

}  // namespace
}  // namespace lychgate::handoff
