// Lines of the control socket: what each means, and what is said of those that mean nothing.

#include "core/daemon/control_request.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

TEST(ControlRequest, SimpleOnesAreAWord) {
  struct Row {
    const char* line;
    ControlVerb verb;
    bool json;
    bool changes;
  };
  const Row rows[] = {
      {"status", ControlVerb::kStatus, false, false},
      {"status json", ControlVerb::kStatus, true, false},
      {"  lists   json  ", ControlVerb::kLists, true, false},
      {"figures", ControlVerb::kFigures, false, false},
      {"pools", ControlVerb::kPools, false, false},
      {"sessions", ControlVerb::kSessions, false, false},
      {"sessions kill", ControlVerb::kSessions, false, true},
      {"remembered 192.0.2.1", ControlVerb::kRemembered, false, false},
      {"allow 192.0.2.1", ControlVerb::kAllow, false, true},
      {"deny 2001:db8::1 for=1h", ControlVerb::kDeny, false, true},
      {"forget 192.0.2.1", ControlVerb::kForget, false, true},
      {"pools drain p", ControlVerb::kPools, false, true},
      {"stop", ControlVerb::kStop, false, true},
  };
  for (const Row& row : rows) {
    const auto request = parse_control_request(row.line);
    ASSERT_TRUE(request) << row.line << ": " << request.error();
    EXPECT_EQ(request->verb, row.verb) << row.line;
    EXPECT_EQ(request->json, row.json) << row.line;
    EXPECT_EQ(request->changes(), row.changes) << row.line;
  }
}

TEST(ControlRequest, SessionsAreChosenByEverythingGiven) {
  const auto request = parse_control_request(
      "sessions json state=relay address=192.0.2.0/24 age=90s id=1:17:4 limit=5 kill");
  ASSERT_TRUE(request) << request.error();
  EXPECT_TRUE(request->json);
  EXPECT_TRUE(request->kill);
  EXPECT_EQ(request->filter.phases, 1U << static_cast<unsigned>(Phase::kRelay));
  EXPECT_EQ(request->filter.network.text(), "192.0.2.0/24");
  EXPECT_EQ(request->filter.age_min, 90000U);
  EXPECT_EQ(request->shard, 1U);
  EXPECT_EQ(request->slot, 17U);
  EXPECT_EQ(request->filter.generation, 4U);
  EXPECT_EQ(request->limit, 5U);
  EXPECT_EQ(parse_control_request("sessions")->limit, kSessionsTold);
}

TEST(ControlRequest, TimesAndPoolsAreRead) {
  EXPECT_EQ(parse_control_request("allow 192.0.2.1")->duration, std::nullopt);
  EXPECT_EQ(parse_control_request("allow 192.0.2.1 for=2m")->duration, milliseconds{120000});
  const auto pools = parse_control_request("pools down hostile tcp:192.0.2.7:25");
  ASSERT_TRUE(pools);
  EXPECT_EQ(pools->use, BackendUse::kDown);
  EXPECT_EQ(pools->pool, "hostile");
  EXPECT_EQ(pools->backend, "tcp:192.0.2.7:25");
}

TEST(ControlRequest, WhatIsWrongIsSaid) {
  struct Row {
    std::string line;
    const char* said;
  };
  const Row rows[] = {
      {"", "the request is empty"},
      {"   ", "the request is empty"},
      {"statu", "unknown request \"statu\"; expected one of status, lists"},
      {std::string("status\0", 7), "printable ASCII"},
      {"status\x1b[2J", "printable ASCII"},
      {"status \xff", "printable ASCII"},
      {"status \"json\"", "printable ASCII without quotes"},
      {"status yes", "unexpected word \"yes\" behind status"},
      {"json", "unknown request"},
      {"sessions state=gone", "no state is called \"gone\", expected one of proxy, silent_wait"},
      {"sessions state=backend", "no state is called"},
      {"sessions state=free", "no state is called"},
      {"sessions address=192.0.2.1/24", "host bits 0"},
      {"sessions age=5", "has no unit"},
      {"sessions age=25d", "at most 24d"},
      {"sessions id=1:2", "SHARD:SLOT:GENERATION"},
      {"sessions id=1:2:3:4", "SHARD:SLOT:GENERATION"},
      {"sessions id=1:2:99999999999", "SHARD:SLOT:GENERATION"},
      {"sessions limit=20001", "expected 0 to 20000"},
      {"sessions limit=", "expected 0 to 20000"},
      {"sessions everybody", "unknown word \"everybody\""},
      {"sessions state", "unknown word \"state\""},
      {"allow", "is not an IP address"},
      {"allow mail.example.org", "is not an IP address"},
      {"allow 192.0.2.1 forever", "unexpected word \"forever\""},
      {"allow 192.0.2.1 for=1h more", "unexpected word \"more\""},
      {"allow 192.0.2.1 for=0s", "1s to 3650d"},
      {"forget 192.0.2.1 for=1h", "unexpected word"},
      {"pools drain", "name of a pool"},
      {"pools sideways p", "expected nothing, or drain, up or down"},
      {"pools drain p b c", "expected nothing, or drain, up or down"},
  };
  for (const Row& row : rows) {
    const auto request = parse_control_request(row.line);
    ASSERT_FALSE(request) << row.line;
    EXPECT_NE(request.error().find(row.said), std::string::npos)
        << row.line << ": " << request.error();
  }
}

}  // namespace
}  // namespace lychgate::daemon
