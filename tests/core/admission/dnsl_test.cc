// The DNS lists test under each action.

#include "core/admission/dnsl.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

TEST(Dnsl, DoesWhatItsActionSays) {
  struct Row {
    const char* what;
    int evidence;
    Action action;
    Verdict want;
  };
  const Row rows[] = {
      {"not failed: passes even under drop", 0xffff & ~kListsFailed, Action::kDrop, {}},
      {"failed under ignore: goes on", kListsFailed, Action::kIgnore, {}},
      {"failed under enforce: refused",
       kListsFailed,
       Action::kEnforce,
       {Decision::kRefuse, Reason::kListsFailed, ReplyId::kRefuseListed}},
      {"failed under drop: dropped",
       kListsFailed,
       Action::kDrop,
       {Decision::kDrop, Reason::kListsFailed, ReplyId::kDropListed}},
  };
  for (const Row& row : rows) {
    config::Config config;
    config.dnsl.action = row.action;
    const Facts facts{static_cast<uint16_t>(row.evidence)};
    EXPECT_EQ(judge_dnsl(facts, config), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::admission
