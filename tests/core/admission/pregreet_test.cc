// The pregreet test under each action.

#include "core/admission/pregreet.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(Pregreet, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int evidence;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xffff & ~kSpokeEarly, Action::kDrop, {}},
      {"failed under ignore: goes on", kSpokeEarly, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kSpokeEarly,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
      {"failed under drop: dropped",
       kSpokeEarly,
       Action::kDrop,
       {Decision::kDrop, Reason::kSpokeEarly, ReplyId::kDropProtocol}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.greet.pregreet = row.action;
    const Facts facts{static_cast<uint16_t>(row.evidence)};
    EXPECT_EQ(judge_pregreet(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
