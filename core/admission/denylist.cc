// The denylist test: one bit of evidence, one action of the configuration.

#include "core/admission/denylist.h"

namespace lychgate::admission {

Verdict judge_denylist(const Facts& facts, const config::Config& config) {
  if (!facts.has(kDenylisted)) return {};
  return apply_action(config.access.reject,
                      {.reason = Reason::kDenylisted,
                       .refuse = smtp::ReplyId::kRefuseService,
                       .drop = smtp::ReplyId::kDropService},
                      facts);
}

}  // namespace lychgate::admission
