// The DNS lists test: one bit of evidence, one action of the configuration.

#include "core/admission/dnsl.h"

namespace lychgate::admission {

Verdict judge_dnsl(const Facts& facts, const config::Config& config) {
  if (!facts.has(kListsFailed)) return {};
  return apply_action(config.dnsl.action,
                      {.reason = Reason::kListsFailed,
                       .refuse = smtp::ReplyId::kRefuseListed,
                       .drop = smtp::ReplyId::kDropListed},
                      facts);
}

}  // namespace lychgate::admission
