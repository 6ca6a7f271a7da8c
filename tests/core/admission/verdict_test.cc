// The verdict as a table: evidence and actions in, decision, reason and reply out.

#include "core/admission/verdict.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using config::Action;
using smtp::ReplyId;

struct Row {
  const char* what;
  int evidence;
  Action reject = Action::kEnforce;
  Action pregreet = Action::kEnforce;
  Action dnsl = Action::kEnforce;
  Verdict want;
  int misconduct = 0;
  bool returned = false;
};

const Row kRows[] = {
    {.what = "a client without evidence passes",
     .evidence = 0,
     .want = {Decision::kPass, Reason::kClean, {}}},
    {.what = "a client that served the wait passes",
     .evidence = kWaited | kTeased | kLookedEarly,
     .want = {Decision::kPass, Reason::kClean, {}}},
    {.what = "over the limit of its address it hears 421 4.7.0",
     .evidence = kAddressFull,
     .want = {Decision::kBusy, Reason::kAddressFull, ReplyId::kTooManyConnections}},
    {.what = "over the limit of the shard it hears that the screening ports are busy",
     .evidence = kShardFull,
     .want = {Decision::kBusy, Reason::kShardFull, ReplyId::kScreeningPortsBusy}},
    {.what = "over the limit of the host it hears the same",
     .evidence = kHostFull,
     .want = {Decision::kBusy, Reason::kHostFull, ReplyId::kScreeningPortsBusy}},
    {.what = "of all limits the one of the address names the reply",
     .evidence = kAddressFull | kShardFull | kHostFull,
     .want = {Decision::kBusy, Reason::kAddressFull, ReplyId::kTooManyConnections}},
    {.what = "of shard and host the shard is named",
     .evidence = kShardFull | kHostFull,
     .want = {Decision::kBusy, Reason::kShardFull, ReplyId::kScreeningPortsBusy}},
    {.what = "limits come before the access list, even for an allowlisted client",
     .evidence = kAllowlisted | kHostFull,
     .want = {Decision::kBusy, Reason::kHostFull, ReplyId::kScreeningPortsBusy}},
    {.what = "a client that hung up is gone, whatever else it did",
     .evidence = kHungUp | kSpokeEarly | kDenylisted,
     .want = {Decision::kGone, Reason::kHungUp, {}}},
    {.what = "an allowlisted client that hung up is gone too",
     .evidence = kHungUp | kAllowlisted,
     .want = {Decision::kGone, Reason::kHungUp, {}}},
    {.what = "an allowlisted client passes at once",
     .evidence = kAllowlisted,
     .want = {Decision::kPass, Reason::kAllowlisted, {}}},
    {.what = "an allowlisted client is not tested for pregreet",
     .evidence = kAllowlisted | kSpokeEarly,
     .pregreet = Action::kDrop,
     .want = {Decision::kPass, Reason::kAllowlisted, {}}},
    {.what = "who has passed everything on earlier visits is known",
     .evidence = kRemembered,
     .want = {Decision::kPass, Reason::kKnown, {}}},
    {.what = "but not in spite of the access list",
     .evidence = kRemembered | kDenylisted,
     .want = {Decision::kRefuse, Reason::kDenylisted, ReplyId::kRefuseService}},
    {.what = "who failed a test on an earlier visit is refused as it was then",
     .evidence = kRemembered | kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
    {.what = "denylisted, ignore: it passes",
     .evidence = kDenylisted,
     .reject = Action::kIgnore,
     .want = {Decision::kPass, Reason::kClean, {}}},
    {.what = "denylisted, ignore: the other tests go on",
     .evidence = kDenylisted | kSpokeEarly,
     .reject = Action::kIgnore,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
    {.what = "denylisted, enforce: 550 5.3.2",
     .evidence = kDenylisted,
     .want = {Decision::kRefuse, Reason::kDenylisted, ReplyId::kRefuseService}},
    {.what = "denylisted, drop: 521 5.3.2",
     .evidence = kDenylisted,
     .reject = Action::kDrop,
     .want = {Decision::kDrop, Reason::kDenylisted, ReplyId::kDropService}},
    {.what = "pregreet, ignore: it passes",
     .evidence = kSpokeEarly,
     .pregreet = Action::kIgnore,
     .want = {Decision::kPass, Reason::kClean, {}}},
    {.what = "pregreet, enforce: 550 5.5.1",
     .evidence = kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
    {.what = "pregreet, drop: 521 5.5.1",
     .evidence = kSpokeEarly,
     .pregreet = Action::kDrop,
     .want = {Decision::kDrop, Reason::kSpokeEarly, ReplyId::kDropProtocol}},
    {.what = "of two enforced tests the last one names the reply",
     .evidence = kDenylisted | kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
    {.what = "a drop wins over an enforce that comes later",
     .evidence = kDenylisted | kSpokeEarly,
     .reject = Action::kDrop,
     .want = {Decision::kDrop, Reason::kDenylisted, ReplyId::kDropService}},
    {.what = "a drop wins over an enforce that came earlier",
     .evidence = kDenylisted | kSpokeEarly,
     .pregreet = Action::kDrop,
     .want = {Decision::kDrop, Reason::kSpokeEarly, ReplyId::kDropProtocol}},
    {.what = "of two drops the first ends it, as it would have at the door",
     .evidence = kDenylisted | kSpokeEarly,
     .reject = Action::kDrop,
     .pregreet = Action::kDrop,
     .want = {Decision::kDrop, Reason::kDenylisted, ReplyId::kDropService}},
    {.what = "an ignored test does not take back an earlier refusal",
     .evidence = kDenylisted | kSpokeEarly,
     .pregreet = Action::kIgnore,
     .want = {Decision::kRefuse, Reason::kDenylisted, ReplyId::kRefuseService}},
    {.what = "a test of the dialogue answers when all before it were passed",
     .evidence = kWaited,
     .want = {Decision::kRefuse, Reason::kPipelined, ReplyId::kRefuseProtocol},
     .misconduct = kPipelined},
    {.what = "of several the last names the reason",
     .evidence = kWaited | kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kBareNewline, ReplyId::kRefuseProtocol},
     .misconduct = kPipelined | kSpokeNonSmtp | kBareNewline},
    {.what = "an allowlisted client is not tested for how it talks",
     .evidence = kAllowlisted,
     .want = {Decision::kPass, Reason::kAllowlisted, {}},
     .misconduct = kPipelined},
    {.what = "denylisted, defer: 450",
     .evidence = kDenylisted,
     .reject = Action::kDefer,
     .want = {Decision::kDefer, Reason::kDenylisted, ReplyId::kDefer}},
    {.what = "whose network came back is let on in spite of that",
     .evidence = kDenylisted,
     .reject = Action::kDefer,
     .want = {Decision::kPass, Reason::kClean, {}},
     .returned = true},
    {.what = "but not in spite of what is enforced",
     .evidence = kDenylisted | kSpokeEarly,
     .reject = Action::kDefer,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol},
     .returned = true},
    {.what = "hold ends it as drop does, whatever comes later",
     .evidence = kDenylisted | kSpokeEarly,
     .reject = Action::kHold,
     .pregreet = Action::kDrop,
     .want = {Decision::kHold, Reason::kDenylisted, ReplyId::kRefuseService}},
    {.what = "listed, ignore: it passes",
     .evidence = kListsFailed,
     .dnsl = Action::kIgnore,
     .want = {Decision::kPass, Reason::kClean, {}}},
    {.what = "listed, enforce: 550 5.7.1",
     .evidence = kListsFailed,
     .want = {Decision::kRefuse, Reason::kListsFailed, ReplyId::kRefuseListed}},
    {.what = "listed, drop: 521 5.7.1",
     .evidence = kListsFailed,
     .dnsl = Action::kDrop,
     .want = {Decision::kDrop, Reason::kListsFailed, ReplyId::kDropListed}},
    {.what = "of an early talker that is listed too the lists name the reply",
     .evidence = kListsFailed | kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kListsFailed, ReplyId::kRefuseListed}},
    {.what = "but a drop for its talk comes first",
     .evidence = kListsFailed | kSpokeEarly,
     .pregreet = Action::kDrop,
     .dnsl = Action::kDrop,
     .want = {Decision::kDrop, Reason::kSpokeEarly, ReplyId::kDropProtocol}},
    {.what = "an allowlisted client is not asked about",
     .evidence = kListsFailed | kAllowlisted,
     .want = {Decision::kPass, Reason::kAllowlisted, {}}},
    {.what = "allowed by the lists it passes, and the reason says so",
     .evidence = kListsAllow,
     .want = {Decision::kPass, Reason::kListsAllow, {}}},
    {.what = "the access list is asked before the lists",
     .evidence = kListsAllow | kAllowlisted,
     .want = {Decision::kPass, Reason::kAllowlisted, {}}},
    {.what = "the lists do not excuse early talk under enforce",
     .evidence = kListsAllow | kSpokeEarly,
     .want = {Decision::kRefuse, Reason::kSpokeEarly, ReplyId::kRefuseProtocol}},
    {.what = "nor under drop",
     .evidence = kListsAllow | kSpokeEarly,
     .pregreet = Action::kDrop,
     .want = {Decision::kDrop, Reason::kSpokeEarly, ReplyId::kDropProtocol}},
    {.what = "talk that is ignored anyway does not hinder them",
     .evidence = kListsAllow | kSpokeEarly,
     .pregreet = Action::kIgnore,
     .want = {Decision::kPass, Reason::kListsAllow, {}}},
    {.what = "the lists do not excuse whom the access list rejects",
     .evidence = kListsAllow | kDenylisted,
     .want = {Decision::kRefuse, Reason::kDenylisted, ReplyId::kRefuseService}},
    {.what = "whom the lists allow may still hang up",
     .evidence = kListsAllow | kHungUp,
     .want = {Decision::kGone, Reason::kHungUp, {}}},
};

TEST(Verdict, FollowsTheEvidence) {
  for (const Row& row : kRows) {
    config::Config config;
    config.access.reject = row.reject;
    config.greet.pregreet = row.pregreet;
    config.dnsl.action = row.dnsl;
    const Facts facts{static_cast<uint16_t>(row.evidence), static_cast<uint8_t>(row.misconduct),
                      row.returned};
    EXPECT_EQ(judge(facts, config), row.want) << row.what;
  }
}

TEST(Verdict, TheTarpitsRefusalsHaveADropInItsPlace) {
  EXPECT_EQ(drop_for(ReplyId::kRefuseProtocol), ReplyId::kDropProtocol);
  EXPECT_EQ(drop_for(ReplyId::kRefuseService), ReplyId::kDropService);
  EXPECT_EQ(drop_for(ReplyId::kRefuseListed), ReplyId::kDropListed);
}

// Whatever the evidence and the actions: a reply exactly when there is somebody to answer.
TEST(Verdict, HasAReplyExactlyWhenTheClientHearsOne) {
  const Action actions[] = {Action::kIgnore, Action::kEnforce, Action::kDefer, Action::kDrop,
                            Action::kHold};
  for (const Action reject : actions) {
    for (const Action pregreet : actions) {
      for (const Action dnsl : actions) {
        config::Config config;
        config.access.reject = reject;
        config.greet.pregreet = pregreet;
        config.dnsl.action = dnsl;
        for (uint16_t evidence = 0; evidence < (kListsAllow << 1); ++evidence) {
          const Verdict verdict = judge(Facts{evidence}, config);
          const bool silent =
              verdict.decision == Decision::kPass || verdict.decision == Decision::kGone;
          ASSERT_EQ(verdict.reply.has_value(), !silent) << "evidence " << evidence;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lychgate::admission
