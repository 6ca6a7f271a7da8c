// What `why` says: each way a list may answer, and each verdict, in words and in JSON.

#include "core/daemon/why_report.h"

#include <regex>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

using admission::AccessResult;
using config::Action;
using dns::AnswerState;

constexpr uint32_t kListedCode = 0x7f000002;   // 127.0.0.2
constexpr uint32_t kPolicyCode = 0x7f00000b;   // 127.0.0.11
constexpr uint32_t kUnknownCode = 0x7f000063;  // 127.0.0.99

config::CodePattern pattern(std::string_view text) {
  return *config::parse_code_pattern(text);
}

config::List make_list() {
  config::List list;
  list.name = "$k.bl.example.net";
  list.reply_name = "bl.example.net";
  list.zone = *Secret::create();
  list.zone.append("key5e0f1a.bl.example.net");
  list.catalogued = true;
  list.ip6 = false;
  list.codes.push_back({.codes = pattern("127.0.0.2"),
                        .meaning = config::Meaning::kListed,
                        .weight = 3,
                        .text = "spam \"source\""});
  list.codes.push_back({.codes = pattern("127.0.0.11"), .text = "dynamic address"});
  list.lines.push_back({});
  return list;
}

struct World {
  WhyParts parts(int32_t score) {
    WhyParts out{.config = config,
                 .address = *IpAddress::parse("203.0.113.5"),
                 .access = {},
                 .lists = {},
                 .score = score,
                 .reason = {}};
    out.lists.push_back({.list = &list, .state = ListState::kUp, .answer = {}, .ttl = 300});
    return out;
  }
  static dns::ListAnswer answered(uint32_t code, int16_t weight) {
    return {.code = code, .weight = weight, .state = AnswerState::kAnswered};
  }

  config::Config config;
  config::List list = make_list();
};

// The line of a report that begins so, each gap between columns as one " | ".
std::string line_with(const std::string& text, const std::string& start) {
  const size_t at = text.find("\n" + start);
  if (at == std::string::npos) return "";
  const std::string line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
  return std::regex_replace(line, std::regex("  +"), " | ");
}

TEST(WhyReport, TellsEachWayAListMayAnswer) {
  struct Row {
    const char* what;
    ListState state;
    ListFault fault;
    dns::ListAnswer answer;
    const char* want;  // behind the list's name
  };
  const auto up = ListState::kUp;
  const auto none = ListFault::kNone;
  const std::vector<Row> rows = {
      {"listed", up, none, World::answered(kListedCode, 3),
       "listed | 127.0.0.2 | 3 | 300 | spam \"source\""},
      {"a neutral code", up, none, World::answered(kPolicyCode, 0),
       "neutral | 127.0.0.11 | 0 | 300 | dynamic address"},
      {"an unknown code", up, none, World::answered(kUnknownCode, 0),
       "neutral | 127.0.0.99 | 0 | 300 | known to no catalogue and no pattern of dnsl.sites"},
      {"not listed", up, none, World::answered(0, 0), "not listed | 300"},
      {"no answer in time",
       up,
       ListFault::kTimedOut,
       {.state = AnswerState::kFailed},
       "failed | does not answer"},
      {"still under way",
       up,
       none,
       {.state = AnswerState::kAsked},
       "no answer | nothing has come yet"},
      {"disabled, though it answered", ListState::kDisabled, ListFault::kOverQuota,
       World::answered(kListedCode, 3), "disabled | answers that too much is asked"},
      {"answered without a proof", ListState::kUnproven, none, World::answered(kListedCode, 3),
       "listed | 127.0.0.2 | spam \"source\"; not counted: its test points have not "
       "answered"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    World world;
    WhyParts parts = world.parts(0);
    parts.lists[0].state = row.state;
    parts.lists[0].fault = row.fault;
    parts.lists[0].answer = row.answer;
    EXPECT_EQ(line_with(why_text(parts), "$k.bl"), std::string("$k.bl.example.net | ") + row.want);
    EXPECT_EQ(why_text(parts).find("key5e0f1a"), std::string::npos);
    EXPECT_EQ(why_json(parts).find("key5e0f1a"), std::string::npos);
  }
}

TEST(WhyReport, AListIsNotAskedAboutAFamilyItDoesNotList) {
  World world;
  WhyParts parts = world.parts(0);
  parts.address = *IpAddress::parse("2001:db8::1");
  EXPECT_EQ(line_with(why_text(parts), "$k.bl"),
            "$k.bl.example.net | not asked | it lists no IPv6 addresses");
}

TEST(WhyReport, TellsTheVerdictAsTheGateWouldGiveIt) {
  struct Row {
    const char* what;
    std::optional<AccessResult> access;
    int32_t score;
    Action lists;
    int wait_ms;
    const char* verdict;
    const char* reply;
  };
  const char* listed =
      "5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net; see there";
  const std::string refused = std::string("550 ") + listed;
  const std::string dropped = std::string("521 ") + listed;
  const auto dunno = AccessResult::kDunno;
  const std::vector<Row> rows = {
      {"clean", {}, 7, Action::kEnforce, 6000, "passes, if it waits for the greeting", ""},
      {"at the threshold", dunno, 8, Action::kEnforce, 6000, "refused: the score is too high",
       refused.c_str()},
      {"to be dropped", dunno, 8, Action::kDrop, 6000, "dropped: the score is too high",
       dropped.c_str()},
      {"ignored", dunno, 8, Action::kIgnore, 6000,
       "passes: the score is too high, but dnsl.action is \"ignore\"", ""},
      {"vouched for", dunno, -4, Action::kEnforce, 6000,
       "passes without the rest of the wait: the DNS lists vouch for it", ""},
      {"permitted", AccessResult::kPermit, 99, Action::kDrop, 6000,
       "passes at once: the access list permits it", ""},
      {"rejected", AccessResult::kReject, -99, Action::kEnforce, 6000,
       "refused: the access list rejects it", "550 5.3.2 Service currently unavailable"},
      {"no wait", dunno, 99, Action::kEnforce, 0, "passes: greet.wait is 0, so no list is asked",
       ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    World world;
    world.config.dnsl.action = row.lists;
    world.config.access.reject = Action::kEnforce;
    world.config.greet.wait = milliseconds{row.wait_ms};
    WhyParts parts = world.parts(row.score);
    parts.access = row.access;
    parts.named = &world.list;
    parts.reason = "see there";
    const std::string text = why_text(parts);
    EXPECT_EQ(line_with(text, "verdict"), std::string("verdict | ") + row.verdict);
    const std::string reply = *row.reply == '\0' ? "" : std::string("reply | ") + row.reply;
    EXPECT_EQ(line_with(text, "reply"), reply);
  }
}

TEST(WhyReport, AWholeReport) {
  World world;
  WhyParts parts = world.parts(3);
  parts.access = AccessResult::kDunno;
  parts.lists[0].answer = World::answered(kListedCode, 3);
  EXPECT_EQ(why_text(parts),
            "client       203.0.113.5\n"
            "access list  dunno\n"
            "\n"
            "list               answer  record     weight  ttl  meaning\n"
            "$k.bl.example.net  listed  127.0.0.2       3  300  spam \"source\"\n"
            "\n"
            "score        3 (too high at 8 or more, vouched for at -4 or less)\n"
            "verdict      passes, if it waits for the greeting\n");
  EXPECT_EQ(why_json(parts),
            "{\"address\":\"203.0.113.5\",\"access\":\"dunno\",\"lists\":[{\"list\":"
            "\"$k.bl.example.net\",\"state\":\"up\",\"answer\":\"listed\",\"record\":\"127.0.0.2\","
            "\"meaning\":\"spam \\\"source\\\"\",\"weight\":3,\"ttl\":300}],\"score\":3,"
            "\"threshold\":8,\"allow_threshold\":-4,\"decision\":\"pass\",\"verdict\":\"passes, if "
            "it waits for the greeting\",\"reply\":null,\"remembered\":null}\n");
}

TEST(WhyReport, SaysThatNoListsAreConfigured) {
  World world;
  world.config.dnsl.allow_threshold = 0;
  WhyParts parts = world.parts(0);
  parts.lists.clear();
  EXPECT_EQ(why_text(parts),
            "client       203.0.113.5\n"
            "access list  none configured\n"
            "\n"
            "no DNS lists are configured (dnsl.sites)\n"
            "\n"
            "score        0 (too high at 8 or more)\n"
            "verdict      passes, if it waits for the greeting\n");
}

}  // namespace
}  // namespace lychgate::daemon
