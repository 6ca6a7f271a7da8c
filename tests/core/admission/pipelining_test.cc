// The test under each action.

#include "core/admission/pipelining.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(Pipelining, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int misconduct;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xff & ~kPipelined, Action::kDrop, {}},
      {"failed under ignore: goes on", kPipelined, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kPipelined,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kPipelined, ReplyId::kRefuseProtocol}},
      {"failed under defer: deferred",
       kPipelined,
       Action::kDefer,
       {Decision::kDefer, Reason::kPipelined, ReplyId::kDefer}},
      {"failed under drop: dropped",
       kPipelined,
       Action::kDrop,
       {Decision::kDrop, Reason::kPipelined, ReplyId::kDropProtocol}},
      {"failed under hold: held",
       kPipelined,
       Action::kHold,
       {Decision::kHold, Reason::kPipelined, ReplyId::kRefuseProtocol}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.dialogue.pipelining.action = row.action;
    const Facts facts{.evidence = 0, .misconduct = static_cast<uint8_t>(row.misconduct)};
    EXPECT_EQ(judge_pipelining(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
