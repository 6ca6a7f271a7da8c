// One bit of misconduct, one action of the configuration.

#include "core/admission/pipelining.h"

namespace lychgate::admission {

Verdict judge_pipelining(const Facts& facts, const config::Config& config) {
  if (!facts.has(kPipelined)) return {};
  return apply_action(config.dialogue.pipelining.action,
                      {.reason = Reason::kPipelined,
                       .refuse = smtp::ReplyId::kRefuseProtocol,
                       .drop = smtp::ReplyId::kDropProtocol},
                      facts);
}

}  // namespace lychgate::admission
