// Records as tables: what they say of a client now, what that adds to its evidence, and what a
// visit adds to the record.

#include "core/admission/history.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;

constexpr Seconds kNow = 1'000'000;
constexpr uint8_t kPregreet = bit_of(ScreenTest::kPregreet);
constexpr uint8_t kLists = bit_of(ScreenTest::kLists);

// Both tests are enabled.
config::Config example() {
  config::Config config;
  // Those of the dialogue have a table of their own.
  for (config::DialogueTest* test : {&config.dialogue.pipelining, &config.dialogue.non_smtp_command,
                                     &config.dialogue.bare_newline}) {
    test->enable = false;
  }
  config.dnsl.sites.resize(1);
  return config;
}

struct Passes {
  Seconds pregreet = 0;
  Seconds lists = 0;
};

ClientRecord record_of(Passes passes) {
  ClientRecord record;
  record.passed_until[static_cast<size_t>(ScreenTest::kPregreet)] = passes.pregreet;
  record.passed_until[static_cast<size_t>(ScreenTest::kLists)] = passes.lists;
  record.first_seen = record.last_seen = kNow - 100;
  return record;
}

TEST(History, KnowsWhoHasAPassOfEveryEnabledTest) {
  struct Row {
    const char* what;
    Passes passes;
    bool want = false;
    bool before = false;
    bool lists = true;
    int wait = 6000;
  };
  const Row rows[] = {
      {.what = "passed nothing", .passes = {}},
      {.what = "passed both", .passes = {kNow + 1, kNow + 1}, .want = true, .before = true},
      {.what = "the second itself is too late", .passes = {kNow, kNow + 9}, .before = true},
      {.what = "the lists' pass has expired", .passes = {kNow + 9, kNow - 9}, .before = true},
      {.what = "never passed the lists", .passes = {.pregreet = kNow + 9}},
      {.what = "no lists are asked",
       .passes = {.pregreet = kNow + 9},
       .want = true,
       .before = true,
       .lists = false},
      {.what = "passed the lists alone, and nobody waits any more",
       .passes = {.lists = kNow + 9},
       .want = true,
       .before = true,
       .wait = 0},
      {.what = "no test is enabled",
       .passes = {},
       .want = true,
       .before = true,
       .lists = false,
       .wait = 0},
  };
  for (const Row& row : rows) {
    config::Config config = example();
    if (!row.lists) config.dnsl.sites.clear();
    config.greet.wait = milliseconds(row.wait);
    const History history = history_of(record_of(row.passes), config, kNow);
    EXPECT_EQ(history.is_known, row.want) << row.what;
    EXPECT_EQ(history.passed_before, row.before) << row.what;
    EXPECT_EQ(history.passed & ~enabled_tests(config), 0) << row.what;
  }
}

TEST(History, RemembersFailuresOfTestsThatRefuse) {
  struct Row {
    const char* what;
    uint8_t failed;
    Seconds until = kNow + 1;
    Action pregreet = Action::kEnforce;
    Action lists = Action::kEnforce;
    std::optional<ScreenTest> want;
    bool asks = true;
  };
  const Row rows[] = {
      {.what = "nothing failed", .failed = 0, .want = {}},
      {.what = "spoke early", .failed = kPregreet, .want = ScreenTest::kPregreet},
      {.what = "was listed", .failed = kLists, .want = ScreenTest::kLists},
      {.what = "long ago", .failed = kLists, .until = kNow, .want = {}},
      {.what = "the action is ignore now",
       .failed = kPregreet,
       .pregreet = Action::kIgnore,
       .want = {}},
      {.what = "the lists are not asked now", .failed = kLists, .want = {}, .asks = false},
      {.what = "of both the later test names the reply",
       .failed = kPregreet | kLists,
       .want = ScreenTest::kLists},
      {.what = "unless the earlier one drops",
       .failed = kPregreet | kLists,
       .pregreet = Action::kDrop,
       .want = ScreenTest::kPregreet},
      {.what = "a test of a later version", .failed = bit_of(ScreenTest::kBareNewline), .want = {}},
  };
  for (const Row& row : rows) {
    config::Config config = example();
    config.greet.pregreet = row.pregreet;
    config.dnsl.action = row.lists;
    if (!row.asks) config.dnsl.sites.clear();
    ClientRecord record = record_of({});
    record.failed = row.failed;
    record.failed_until = row.until;
    EXPECT_EQ(history_of(record, config, kNow).offence, row.want) << row.what;
  }
}

TEST(History, ObeysCommandsUntilTheyExpire) {
  struct Row {
    const char* what;
    Seconds allowed;
    Seconds denied;
    bool want_allowed;
    bool want_denied;
  };
  const Row rows[] = {
      {"neither", 0, 0, false, false},
      {"allowed", kNow + 1, 0, true, false},
      {"no longer", kNow, kNow, false, false},
      {"denied", 0, kForever, false, true},
      {"denied wins", kForever, kNow + 1, false, true},
      {"until it expires", kForever, kNow, true, false},
  };
  for (const Row& row : rows) {
    ClientRecord record;
    record.allowed_until = row.allowed;
    record.denied_until = row.denied;
    const History history = history_of(record, example(), kNow);
    EXPECT_EQ(history.allowed, row.want_allowed) << row.what;
    EXPECT_EQ(history.denied, row.want_denied) << row.what;
  }
}

TEST(History, CountsVisitsAndTime) {
  ClientRecord record = record_of({});
  record.passes = 7;
  EXPECT_EQ(history_of(record, example(), kNow).passes, 7U);
  EXPECT_EQ(history_of(record, example(), kNow).seen_for, 100U);
  record.first_seen = kNow + 5;
  EXPECT_EQ(history_of(record, example(), kNow).seen_for, 0U) << "another host's clock is ahead";
  record.first_seen = 0;
  EXPECT_EQ(history_of(record, example(), kNow).seen_for, 0U) << "a record made by command";
}

TEST(History, BecomesEvidence) {
  struct Row {
    const char* what;
    int before;
    History history;
    int want;
  };
  const Row rows[] = {
      {"nothing is known", kDenylisted, {}, kDenylisted},
      {"passed everything", 0, {.is_known = true, .offence = {}}, kRemembered},
      {"spoke early", 0, {.offence = ScreenTest::kPregreet}, kRemembered | kSpokeEarly},
      {"was listed: that counts more than its passes",
       0,
       {.is_known = true, .offence = ScreenTest::kLists},
       kRemembered | kListsFailed},
      {"permitted by the access list, it is no offender",
       kAllowlisted,
       {.offence = ScreenTest::kLists},
       kAllowlisted},
      {"permitted, it is not known: it took no test",
       kAllowlisted,
       {.is_known = true, .offence = {}},
       kAllowlisted},
      {"allowed by command in spite of everything",
       kDenylisted,
       {.offence = ScreenTest::kLists, .allowed = true},
       kAllowlisted},
      {"denied by command in spite of the access list",
       kAllowlisted,
       {.offence = {}, .denied = true},
       kDenylisted},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(with_history(static_cast<uint16_t>(row.before), row.history), row.want) << row.what;
  }
}

struct VisitRow {
  const char* what;
  int evidence;
  uint32_t lists_good_for = 0;
  Seconds want_pregreet = 0;  // all after kNow
  Seconds want_lists = 0;
  Seconds want_failed = 0;
  uint8_t want_tests = 0;
  Action pregreet = Action::kEnforce;
  Action lists = Action::kEnforce;
};

// greet.life 1,000 s, dnsl.life_min 60 s and life_max 3,600 s, store.failures 600 s.
void expect_visit(const VisitRow& row) {
  config::Config config = example();
  config.greet.life = std::chrono::seconds(1000);
  config.greet.pregreet = row.pregreet;
  config.dnsl.action = row.lists;
  const ClientRecord visit = visit_of({.evidence = static_cast<uint16_t>(row.evidence),
                                       .score = 3,
                                       .lists_good_for = row.lists_good_for},
                                      config, kNow);
  const auto after = [](Seconds at) { return at == 0 ? 0 : at - kNow; };
  EXPECT_EQ(after(visit.passed_until[0]), row.want_pregreet) << row.what;
  EXPECT_EQ(after(visit.passed_until[1]), row.want_lists) << row.what;
  EXPECT_EQ(after(visit.failed_until), row.want_failed) << row.what;
  EXPECT_EQ(visit.failed, row.want_tests) << row.what;
  const uint32_t failures = row.want_tests != 0 ? 1 : 0;
  EXPECT_EQ(visit.failures, failures) << row.what;
  EXPECT_EQ(visit.passes, 1 - failures) << row.what;
  EXPECT_EQ(visit.first_seen, kNow) << row.what;
  EXPECT_EQ(visit.last_seen, kNow) << row.what;
  EXPECT_EQ(visit.score, 3) << row.what;
}

TEST(History, AVisitLeavesWhatItHasShown) {
  const VisitRow rows[] = {
      {.what = "silent to the end, all lists heard",
       .evidence = kWaited,
       .lists_good_for = 300,
       .want_pregreet = 1000,
       .want_lists = 300},
      {.what = "an answer with a short life counts for a minute",
       .evidence = kWaited,
       .lists_good_for = 1,
       .want_pregreet = 1000,
       .want_lists = 60},
      {.what = "one with a long life for an hour",
       .evidence = kWaited,
       .lists_good_for = UINT32_MAX,
       .want_pregreet = 1000,
       .want_lists = 3600},
      {.what = "an answer is missing", .evidence = kWaited, .want_pregreet = 1000},
      {.what = "vouched for by the lists: the wait is passed for as long",
       .evidence = kListsAllow,
       .lists_good_for = 300,
       .want_pregreet = 300,
       .want_lists = 300},
      {.what = "vouched for at the end of the wait: that counts for longer",
       .evidence = kListsAllow | kWaited,
       .lists_good_for = 300,
       .want_pregreet = 1000,
       .want_lists = 300},
      {.what = "let on without the wait, which it has passed before",
       .evidence = 0,
       .lists_good_for = 300,
       .want_lists = 300},
      {.what = "known: it took no test", .evidence = kRemembered},
      {.what = "allowlisted: likewise", .evidence = kAllowlisted, .lists_good_for = 300},
      {.what = "spoke early",
       .evidence = kSpokeEarly | kWaited,
       .lists_good_for = 300,
       .want_failed = 600,
       .want_tests = kPregreet},
      {.what = "was listed",
       .evidence = kListsFailed | kWaited,
       .want_failed = 600,
       .want_tests = kLists},
      {.what = "both",
       .evidence = kListsFailed | kSpokeEarly,
       .want_failed = 600,
       .want_tests = kPregreet | kLists},
      {.what = "spoke early, to no harm: no pass, no failure",
       .evidence = kSpokeEarly | kWaited,
       .lists_good_for = 300,
       .want_lists = 300,
       .pregreet = Action::kIgnore},
      {.what = "was listed, to no harm",
       .evidence = kListsFailed | kWaited,
       .lists_good_for = 300,
       .want_pregreet = 1000,
       .lists = Action::kIgnore},
      {.what = "one to no harm, the other not",
       .evidence = kListsFailed | kSpokeEarly,
       .want_failed = 600,
       .want_tests = kLists,
       .pregreet = Action::kIgnore},
  };
  for (const VisitRow& row : rows) expect_visit(row);
}

TEST(History, TheTestsOfTheDialogueArePassedByTalkingToItsEnd) {
  struct Row {
    const char* what;
    Conduct conduct;
    int want_passed = 0;  // bits of ScreenTest
    int want_failed = 0;
    uint32_t want_passes = 1;
    Action action = Action::kEnforce;
    bool enable = true;
  };
  constexpr int kAll = bit_of(ScreenTest::kPipelining) | bit_of(ScreenTest::kNonSmtp) |
                       bit_of(ScreenTest::kBareNewline);
  const Row rows[] = {
      {.what = "to its end, without a fault",
       .conduct = {.evidence = kWaited, .talked = true},
       .want_passed = kPregreet | kAll},
      {.what = "it left before: only what it passed until then",
       .conduct = {.evidence = kWaited, .left = true},
       .want_passed = kPregreet,
       .want_passes = 0},
      {.what = "not a test that is off",
       .conduct = {.evidence = kWaited, .talked = true},
       .want_passed = kPregreet,
       .enable = false},
      {.what = "a fault that is ignored is no pass",
       .conduct = {.evidence = kWaited, .misconduct = kBareNewline, .talked = true},
       .want_passed = kPregreet | (kAll & ~bit_of(ScreenTest::kBareNewline)),
       .action = Action::kIgnore},
      {.what = "a fault that is not: nothing is passed",
       .conduct = {.evidence = kWaited, .misconduct = kBareNewline, .talked = true},
       .want_failed = bit_of(ScreenTest::kBareNewline),
       .want_passes = 0},
      {.what = "who was deferred is no offender, or it could not come back",
       .conduct = {.evidence = kWaited, .misconduct = kPipelined},
       .want_passes = 0,
       .action = Action::kDefer},
  };
  for (const Row& row : rows) {
    config::Config config = example();
    for (config::DialogueTest* test :
         {&config.dialogue.pipelining, &config.dialogue.non_smtp_command,
          &config.dialogue.bare_newline}) {
      *test = {.enable = row.enable, .action = row.action};
    }
    const ClientRecord visit = visit_of(row.conduct, config, kNow);
    int passed = 0;
    for (size_t i = 0; i < kScreenTestCount; ++i) {
      if (visit.passed_until[i] > kNow) passed |= 1 << i;
    }
    EXPECT_EQ(passed, row.want_passed) << row.what;
    EXPECT_EQ(visit.failed, row.want_failed) << row.what;
    EXPECT_EQ(visit.failed_until > kNow, row.want_failed != 0) << row.what;
    EXPECT_EQ(visit.passes, row.want_passes) << row.what;
  }
}

TEST(History, AFaultOfTheDialogueIsRememberedAsMisconduct) {
  for (const Misconduct bit : {kPipelined, kSpokeNonSmtp, kBareNewline}) {
    config::Config config;
    const ClientRecord visit = visit_of({.misconduct = static_cast<uint8_t>(bit)}, config, kNow);
    const History history = history_of(visit, config, kNow + 1);
    ASSERT_TRUE(history.offence);
    EXPECT_EQ(misconduct_of(bit_of(*history.offence)), bit);
    EXPECT_EQ(with_history(0, history), kRemembered);
  }
}

TEST(History, LivesOfNothingLeaveNothing) {
  config::Config config = example();
  config.greet.life = milliseconds(0);
  config.store.failures = milliseconds(0);
  const ClientRecord passed = visit_of({.evidence = kWaited}, config, kNow);
  EXPECT_EQ(passed.passed_until[0], 0U);
  EXPECT_EQ(passed.passes, 1U);
  const ClientRecord failed = visit_of({.evidence = kSpokeEarly}, config, kNow);
  EXPECT_EQ(failed.failed_until, 0U);
  EXPECT_EQ(failed.failed, 0);
  EXPECT_EQ(failed.failures, 1U);
}

TEST(History, TimeNeverRunsOver) {
  config::Config config = example();
  config.greet.life = std::chrono::hours(24 * 365);
  const ClientRecord visit = visit_of({.evidence = kWaited}, config, kForever - 5);
  EXPECT_EQ(visit.passed_until[0], kForever - 1);
}

}  // namespace
}  // namespace lychgate::admission
