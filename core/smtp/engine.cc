// One function for each command whose answer depends on anything; the words of the answers are in
// replies.h.

#include "core/smtp/engine.h"

#include <algorithm>

#include "core/base/ascii.h"

namespace lychgate::smtp {
namespace {

bool is_control(char c) {
  return (c >= 0 && c < 32) || c == 127;
}

Answer reply(ReplyId id) {
  return {.reply = id};
}

Answer close(ReplyId id, Notable notable = Notable::kNothing) {
  return {.next = Next::kClose, .reply = id, .notable = notable};
}

Answer hand_over(const Command& command) {
  if (std::ranges::any_of(command.line, is_control)) return reply(ReplyId::kBadSyntax);
  return {.next = Next::kHandOver};
}

Answer obey_hello(const Command& command, DialogueState& state) {
  const bool extended = command.verb == Verb::kEhlo;
  // Like postscreen we take the first word only.
  const std::string_view name = command.argument.substr(0, command.argument.find(' '));
  if (name.empty()) return reply(extended ? ReplyId::kEhloUsage : ReplyId::kHeloUsage);
  std::string_view word = verb_word(command.verb);
  size_t size = 0;
  for (const std::string_view part : {word, std::string_view(" "), name}) {
    for (const char c : part.substr(0, state.hello_line.size() - size)) {
      state.hello_line[size++] = is_control(c) ? '?' : c;
    }
  }
  state.hello_size = static_cast<uint8_t>(size);
  state.hello = command.verb;
  state.esmtp = state.esmtp || extended;
  state.in_mail = false;
  return reply(extended ? ReplyId::kEhlo : ReplyId::kHelo);
}

Answer obey_mail(const Command& command, const Treatment& treatment, const EngineRules& rules,
                 DialogueState& state) {
  if (rules.helo_required && state.hello == Verb::kNone) return reply(ReplyId::kHelloFirst);
  if (state.in_mail) return reply(ReplyId::kNestedMail);
  if (!address_of(command.argument)) return reply(ReplyId::kMailUsage);
  if (treatment.approved) return hand_over(command);
  if (std::ranges::any_of(command.line, is_control)) return reply(ReplyId::kBadSyntax);
  const size_t size = std::min(command.line.size(), state.mail_line.size());
  std::ranges::copy(command.line.substr(0, size), state.mail_line.begin());
  state.mail_size = static_cast<uint8_t>(size);
  state.mail_cut = size < command.line.size();
  state.in_mail = true;
  return reply(ReplyId::kMailOk);
}

bool is_exempt(std::string_view recipient, const Treatment& treatment) {
  const std::string_view local = recipient.substr(0, recipient.rfind('@'));
  return std::ranges::any_of(treatment.exempt,
                             [&](std::string_view name) { return same_word(local, name); });
}

Answer obey_rcpt(const Command& command, const Treatment& treatment, const DialogueState& state) {
  if (!state.in_mail) return reply(ReplyId::kNeedMail);
  const std::optional<std::string_view> recipient = address_of(command.argument);
  if (!recipient) return reply(ReplyId::kRcptUsage);
  const bool may_pass = treatment.approved || is_exempt(*recipient, treatment);
  if (may_pass && !state.mail_text().empty()) return hand_over(command);
  return {.reply = treatment.refusal, .notable = Notable::kRejected};
}

// Who gets here has no recipient and does not wait for replies (PIPELINING is not announced), so
// like postscreen we do not read what follows.
Answer obey_data(const Command& command, const DialogueState& state) {
  ReplyId id = ReplyId::kNoValidRecipients;
  if (!command.argument.empty()) {
    id = ReplyId::kDataUsage;
  } else if (!state.in_mail) {
    id = ReplyId::kDataNeedsRcpt;
  }
  return close(id, Notable::kDataWithoutRcpt);
}

Answer obey_bdat(const Command& command, const Treatment& treatment, const DialogueState& state) {
  ReplyId id = ReplyId::kNoValidRecipients;
  if (!treatment.chunking) {
    id = ReplyId::kNotImplemented;
  } else if (command.argument.empty()) {
    id = ReplyId::kBdatUsage;
  } else if (!state.in_mail) {
    id = ReplyId::kBdatNeedsMail;
  }
  return close(id, Notable::kBdatWithoutRcpt);
}

Answer obey_vrfy(const Command& command, const Treatment& treatment, const EngineRules& rules) {
  if (command.argument.empty()) return reply(ReplyId::kVrfyUsage);
  if (rules.disable_vrfy) return reply(ReplyId::kVrfyDisabled);
  return treatment.approved ? hand_over(command) : reply(treatment.refusal);
}

Answer obey_etrn(const Command& command, const Treatment& treatment, const EngineRules& rules,
                 const DialogueState& state) {
  if (rules.helo_required && state.hello == Verb::kNone) return reply(ReplyId::kHelloFirst);
  if (command.argument.empty()) return reply(ReplyId::kEtrnUsage);
  return treatment.approved ? hand_over(command) : reply(ReplyId::kEtrnCannot);
}

Answer answer_to(const Command& command, const Treatment& treatment, const EngineRules& rules,
                 DialogueState& state) {
  switch (command.verb) {
    case Verb::kHelo:
    case Verb::kEhlo:
      return obey_hello(command, state);
    case Verb::kStarttls:
      return treatment.approved ? hand_over(command) : reply(ReplyId::kNotImplemented);
    case Verb::kAuth:
      return treatment.approved ? hand_over(command) : reply(ReplyId::kNotRecognized);
    case Verb::kMail:
      return obey_mail(command, treatment, rules, state);
    case Verb::kRcpt:
      return obey_rcpt(command, treatment, state);
    case Verb::kData:
      return obey_data(command, state);
    case Verb::kBdat:
      return obey_bdat(command, treatment, state);
    case Verb::kRset:
      state.in_mail = false;
      return reply(ReplyId::kOk);
    case Verb::kNoop:
      return reply(ReplyId::kOk);
    case Verb::kVrfy:
      return obey_vrfy(command, treatment, rules);
    case Verb::kEtrn:
      return obey_etrn(command, treatment, rules, state);
    case Verb::kQuit:
      return close(ReplyId::kBye);
    case Verb::kNone:
    case Verb::kUnknown:
      break;
  }
  return reply(ReplyId::kNotRecognized);
}

bool is_error(const Answer& answer, const Treatment& treatment) {
  return answer.next == Next::kListen && answer.reply != treatment.refusal &&
         reply_text(answer.reply).starts_with('5');
}

}  // namespace

std::string_view DialogueState::helo() const {
  const std::string_view text = hello_text();
  return text.substr(text.find(' ') + 1);
}

std::string_view DialogueState::sender() const {
  return address_of({mail_line.data(), mail_size}).value_or("");
}

Answer obey(const Command& command, const Treatment& treatment, const EngineRules& rules,
            DialogueState& state) {
  // Whoever wants to leave may.
  if (state.commands >= rules.commands_max && command.verb != Verb::kQuit) {
    return close(ReplyId::kTooManyCommands, Notable::kTooMany);
  }
  const Answer answer = answer_to(command, treatment, rules, state);
  if (answer.next == Next::kHandOver) return answer;
  ++state.commands;
  if (is_error(answer, treatment)) {
    if (state.errors >= rules.errors_max) {
      return close(ReplyId::kTooManyErrors, Notable::kTooMany);
    }
    ++state.errors;
  }
  state.last = command.verb;
  return answer;
}

}  // namespace lychgate::smtp
