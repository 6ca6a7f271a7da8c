// The pregreet test: one bit of evidence, one action of the configuration.

#include "core/admission/pregreet.h"

namespace lychgate::admission {

Verdict judge_pregreet(const Facts& facts, const config::Config& config) {
  if (!facts.has(kSpokeEarly)) return {};
  return apply_action(config.greet.pregreet,
                      {.reason = Reason::kSpokeEarly,
                       .refuse = smtp::ReplyId::kRefuseProtocol,
                       .drop = smtp::ReplyId::kDropProtocol},
                      facts);
}

}  // namespace lychgate::admission
