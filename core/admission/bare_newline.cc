// One bit of misconduct, one action of the configuration.

#include "core/admission/bare_newline.h"

namespace lychgate::admission {

Verdict judge_bare_newline(const Facts& facts, const config::Config& config) {
  if (!facts.has(kBareNewline)) return {};
  return apply_action(config.dialogue.bare_newline.action,
                      {.reason = Reason::kBareNewline,
                       .refuse = smtp::ReplyId::kRefuseProtocol,
                       .drop = smtp::ReplyId::kDropProtocol},
                      facts);
}

}  // namespace lychgate::admission
