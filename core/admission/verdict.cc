// The order of the questions; the tests themselves are rows of the registry.

#include "core/admission/verdict.h"

#include "core/admission/registry.h"

namespace lychgate::admission {

using smtp::ReplyId;

smtp::ReplyId drop_for(smtp::ReplyId refusal) {
  if (refusal == ReplyId::kRefuseService) return ReplyId::kDropService;
  return refusal == ReplyId::kRefuseListed ? ReplyId::kDropListed : ReplyId::kDropProtocol;
}

bool ends_at_once(Decision decision) {
  return decision == Decision::kDrop || decision == Decision::kHold;
}

Verdict apply_action(config::Action action, const FailedTest& test, const Facts& facts) {
  switch (action) {
    case config::Action::kIgnore:
      break;
    case config::Action::kEnforce:
      return {Decision::kRefuse, test.reason, test.refuse};
    case config::Action::kDefer:
      if (facts.returned) break;
      return {Decision::kDefer, test.reason, ReplyId::kDefer};
    case config::Action::kDrop:
      return {Decision::kDrop, test.reason, test.drop};
    case config::Action::kHold:
      return {Decision::kHold, test.reason, test.refuse};
  }
  return {};
}

Verdict judge(const Facts& facts, const config::Config& config) {
  if (facts.has(kAddressFull)) {
    return {Decision::kBusy, Reason::kAddressFull, ReplyId::kTooManyConnections};
  }
  if (facts.has(kShardFull)) {
    return {Decision::kBusy, Reason::kShardFull, ReplyId::kScreeningPortsBusy};
  }
  if (facts.has(kHostFull)) {
    return {Decision::kBusy, Reason::kHostFull, ReplyId::kScreeningPortsBusy};
  }
  if (facts.has(kHungUp)) return {Decision::kGone, Reason::kHungUp, std::nullopt};
  if (facts.has(kAllowlisted)) return {Decision::kPass, Reason::kAllowlisted, std::nullopt};
  Verdict out;
  for (const AdmissionTest& test : kAdmissionTests) {
    const Verdict verdict = test.judge(facts, config);
    if (ends_at_once(verdict.decision)) return verdict;
    if (verdict.decision != Decision::kPass) out = verdict;
  }
  if (out.decision != Decision::kPass) return out;
  if (facts.has(kListsAllow)) out.reason = Reason::kListsAllow;
  if (facts.has(kRemembered)) out.reason = Reason::kKnown;
  return out;
}

}  // namespace lychgate::admission
