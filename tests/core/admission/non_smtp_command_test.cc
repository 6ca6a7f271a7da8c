// The test under each action.

#include "core/admission/non_smtp_command.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(NonSmtpCommand, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int misconduct;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xff & ~kSpokeNonSmtp, Action::kDrop, {}},
      {"failed under ignore: goes on", kSpokeNonSmtp, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kSpokeNonSmtp,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kSpokeNonSmtp, ReplyId::kRefuseProtocol}},
      {"failed under defer: deferred",
       kSpokeNonSmtp,
       Action::kDefer,
       {Decision::kDefer, Reason::kSpokeNonSmtp, ReplyId::kDefer}},
      {"failed under drop: dropped",
       kSpokeNonSmtp,
       Action::kDrop,
       {Decision::kDrop, Reason::kSpokeNonSmtp, ReplyId::kDropNonSmtp}},
      {"failed under hold: held",
       kSpokeNonSmtp,
       Action::kHold,
       {Decision::kHold, Reason::kSpokeNonSmtp, ReplyId::kRefuseProtocol}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.dialogue.non_smtp_command.action = row.action;
    const Facts facts{.evidence = 0, .misconduct = static_cast<uint8_t>(row.misconduct)};
    EXPECT_EQ(judge_non_smtp_command(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
