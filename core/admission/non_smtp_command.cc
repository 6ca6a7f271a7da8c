// One bit of misconduct, one action of the configuration.

#include "core/admission/non_smtp_command.h"

namespace lychgate::admission {

Verdict judge_non_smtp_command(const Facts& facts, const config::Config& config) {
  if (!facts.has(kSpokeNonSmtp)) return {};
  return apply_action(config.dialogue.non_smtp_command.action,
                      {.reason = Reason::kSpokeNonSmtp,
                       .refuse = smtp::ReplyId::kRefuseProtocol,
                       .drop = smtp::ReplyId::kDropNonSmtp},
                      facts);
}

}  // namespace lychgate::admission
