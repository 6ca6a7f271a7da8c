// The denylist test under each action.

#include "core/admission/denylist.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(Denylist, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int evidence;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xffff & ~kDenylisted, Action::kDrop, {}},
      {"failed under ignore: goes on", kDenylisted, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kDenylisted,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kDenylisted, ReplyId::kRefuseService}},
      {"failed under drop: dropped",
       kDenylisted,
       Action::kDrop,
       {Decision::kDrop, Reason::kDenylisted, ReplyId::kDropService}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.access.reject = row.action;
    const Facts facts{static_cast<uint16_t>(row.evidence)};
    EXPECT_EQ(judge_denylist(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
