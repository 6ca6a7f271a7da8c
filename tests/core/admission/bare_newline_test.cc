// The test under each action.

#include "core/admission/bare_newline.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(BareNewline, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int misconduct;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xff & ~kBareNewline, Action::kDrop, {}},
      {"failed under ignore: goes on", kBareNewline, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kBareNewline,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kBareNewline, ReplyId::kRefuseProtocol}},
      {"failed under defer: deferred",
       kBareNewline,
       Action::kDefer,
       {Decision::kDefer, Reason::kBareNewline, ReplyId::kDefer}},
      {"failed under drop: dropped",
       kBareNewline,
       Action::kDrop,
       {Decision::kDrop, Reason::kBareNewline, ReplyId::kDropProtocol}},
      {"failed under hold: held",
       kBareNewline,
       Action::kHold,
       {Decision::kHold, Reason::kBareNewline, ReplyId::kRefuseProtocol}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.dialogue.bare_newline.action = row.action;
    const Facts facts{.evidence = 0, .misconduct = static_cast<uint8_t>(row.misconduct)};
    EXPECT_EQ(judge_bare_newline(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
