// One function for each thing a client can do in its dialogue.

#include "core/daemon/converse.h"

#include <span>
#include <string>

#include "core/admission/history.h"
#include "core/admission/verdict.h"

namespace lychgate::daemon {
namespace {

using admission::Decision;
using admission::Verdict;
using smtp::Answer;
using smtp::Command;
using smtp::Verb;

constexpr uint8_t kAllMisconduct = kPipelined | kSpokeNonSmtp | kBareNewline;

struct Scene {
  const config::Config& config;
  Slot& session;
  Dialogue& dialogue;
  ActionList& out;

  Verdict verdict() const { return admission::judge(facts_of(session), config); }
};

// Tests that are made: all that are enabled, be it that some were passed on another visit; all
// there are, as in postscreen, of a client that failed one.
uint8_t watched(const Scene& scene) {
  if (scene.verdict().decision != Decision::kPass) return kAllMisconduct;
  return admission::misconduct_of(admission::dialogue_tests(scene.config));
}

// In the order in which postscreen finds them.
void tell(const Command& command, uint8_t fresh, const Talk& talk, Scene& scene) {
  const Verb after = scene.dialogue.said.last;
  if ((fresh & kBareNewline) != 0) {
    scene.out.count(Counter::kBareNewlines);
    scene.out.log(LogKind::kBareNewline, after, talk.line.text);
  }
  if ((fresh & kSpokeNonSmtp) != 0) {
    scene.out.count(Counter::kNonSmtpCommand);
    scene.out.log(LogKind::kNonSmtpCommand, after, command.line);
  }
  if ((fresh & kPipelined) != 0) {
    scene.out.count(Counter::kPipelining);
    scene.out.log(LogKind::kCommandPipelining, command.verb, talk.behind, command.word);
  }
}

// The first failure of a client that is not ended by it.
void take_failure(const Verdict& verdict, Scene& scene) {
  if (scene.dialogue.told) return;
  scene.dialogue.told = true;
  const bool deferred = verdict.decision == Decision::kDefer;
  scene.out.count(deferred ? Counter::kDeferred : Counter::kRefused);
  scene.out.remember(VisitEnd::kJudged);
}

void close_with(smtp::ReplyId reply, Scene& scene) {
  const bool passed = scene.verdict().decision == Decision::kPass;
  if (passed && !scene.dialogue.told) scene.out.remember(VisitEnd::kLeft);
  say_and_close(scene.session, reply, scene.out);
}

void note_answer(const Answer& answer, const Command& command, Verb before, Scene& scene) {
  switch (answer.notable) {
    case smtp::Notable::kNothing:
      return;
    case smtp::Notable::kRejected:
      scene.out.count(Counter::kRecipientsRefused);
      scene.out.log(LogKind::kRejectRcpt, command.verb,
                    smtp::address_of(command.argument).value_or(""));
      return;
    case smtp::Notable::kDataWithoutRcpt:
      return scene.out.log(LogKind::kDataWithoutRcpt);
    case smtp::Notable::kBdatWithoutRcpt:
      return scene.out.log(LogKind::kBdatWithoutRcpt);
    case smtp::Notable::kTooMany:
      scene.out.count(Counter::kCountLimit);
      return scene.out.log(LogKind::kCountLimit, before, {});
  }
}

// exempt: as in Treatment. REQUIRES: the verdict ends nothing.
void answer_command(const Verdict& verdict, const Command& command,
                    std::span<const std::string> exempt, Scene& scene) {
  const smtp::Treatment treatment{.approved = verdict.decision == Decision::kPass,
                                  .refusal = verdict.reply.value_or(smtp::ReplyId::kRefuseService),
                                  .exempt = exempt,
                                  .chunking = scene.dialogue.chunking};
  const Verb before = scene.dialogue.said.last;
  const Answer answer =
      smtp::obey(command, treatment, engine_rules(scene.config.dialogue), scene.dialogue.said);
  switch (answer.next) {
    case smtp::Next::kListen:
      scene.out.reply(answer.reply);
      note_answer(answer, command, before, scene);
      return scene.out.just(ActionKind::kListen);
    case smtp::Next::kHandOver:
      return scene.out.just(ActionKind::kHandOver);
    case smtp::Next::kClose:
      note_answer(answer, command, before, scene);
      return close_with(answer.reply, scene);
  }
}

void hear(const Talk& talk, Scene& scene) {
  const Command command = smtp::parse_command(talk.line);
  const bool more = !talk.behind.empty();
  // Behind a command that the backend answers nothing may wait that it would take for a command:
  // with STARTTLS it would be obeyed as if it had come encrypted.
  const bool again = talk.kind == TalkKind::kSpokeAgain;
  const uint8_t shown = smtp::misconduct_of(talk.line, command, more) & watched(scene);
  const auto fresh = static_cast<uint8_t>(shown & ~scene.session.misconduct);
  scene.session.misconduct = (scene.session.misconduct | fresh) & kAllMisconduct;
  tell(command, fresh, talk, scene);
  const Verdict verdict = scene.verdict();
  const bool ends = admission::ends_at_once(verdict.decision);
  const bool injected = more && command.verb == Verb::kStarttls;
  if (ends) {
    if (fresh != 0 && !scene.dialogue.told) scene.out.remember(VisitEnd::kJudged);
    return turn_away(verdict, scene.session, scene.out);
  }
  if (verdict.decision != Decision::kPass) take_failure(verdict, scene);
  if (verdict.decision == Decision::kPass && (injected || again)) {
    scene.out.count(Counter::kDropped);
    return close_with(smtp::ReplyId::kDropProtocol, scene);
  }
  // With bytes behind it no hand-over would come to an end: nobody is exempt then.
  const bool alone = !again && !(more && must_be_last(scene.config, scene.session, command.verb));
  const auto exempt = std::span<const std::string>(scene.config.dialogue.exempt);
  answer_command(verdict, command, alone ? exempt : exempt.first(0), scene);
}

void begin(Scene& scene) {
  scene.out.count(Counter::kDialogues);
  // As with early talkers in postscreen: they hear answers to what they have said, and a greeting
  // would be taken for the first of them.
  const bool spoke = (scene.session.evidence & kSpokeEarly) != 0 &&
                     scene.config.greet.pregreet != config::Action::kIgnore &&
                     !is_old_offender(scene.session);
  scene.dialogue.told = scene.verdict().decision != Decision::kPass;
  if (!spoke) scene.out.just(ActionKind::kGreet);
  scene.out.just(ActionKind::kListen);
}

void leave(Scene& scene) {
  scene.session.evidence |= kHungUp;
  scene.out.count(Counter::kHangup);
  scene.out.log(LogKind::kHangupTalking);
  scene.out.log(LogKind::kDisconnect);
  if (!scene.dialogue.told) scene.out.remember(VisitEnd::kLeft);
  scene.out.just(ActionKind::kClose);
}

void end_by_limit(Counter counter, LogKind line, smtp::ReplyId reply, Scene& scene) {
  scene.out.count(counter);
  scene.out.log(line, scene.dialogue.said.last, {});
  close_with(reply, scene);
}

}  // namespace

smtp::EngineRules engine_rules(const config::Dialogue& dialogue) {
  return {.commands_max = dialogue.command_count_limit,
          .errors_max = dialogue.error_limit,
          .helo_required = dialogue.helo_required,
          .disable_vrfy = dialogue.disable_vrfy};
}

bool must_be_last(const config::Config& config, const Slot& session, Verb verb) {
  const config::DialogueTest& test = config.dialogue.pipelining;
  const bool excused = test.action == config::Action::kIgnore ||
                       (test.action == config::Action::kDefer && facts_of(session).returned);
  return verb == Verb::kStarttls || (test.enable && !excused);
}

ActionList converse(const config::Config& config, Slot& session, Dialogue& dialogue,
                    const Talk& talk) {
  ActionList out;
  Scene scene{config, session, dialogue, out};
  switch (talk.kind) {
    case TalkKind::kBegin:
      begin(scene);
      break;
    case TalkKind::kLine:
    case TalkKind::kSpokeAgain:
      hear(talk, scene);
      break;
    case TalkKind::kTooLong:
      end_by_limit(Counter::kLengthLimit, LogKind::kLengthLimit, smtp::ReplyId::kLineTooLong,
                   scene);
      break;
    case TalkKind::kTimeUp:
      end_by_limit(Counter::kTimeLimit, LogKind::kTimeLimit, smtp::ReplyId::kTimeout, scene);
      break;
    case TalkKind::kGone:
      leave(scene);
      break;
    case TalkKind::kTaken:
    case TalkKind::kGaveUp:
      if (!dialogue.told) let_on(session, VisitEnd::kTalked, out);
      break;
  }
  return out;
}

}  // namespace lychgate::daemon
