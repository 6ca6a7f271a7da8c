// Conversations with the gate as scripts: what the client does, line by line, and what follows.

#include "core/daemon/converse.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/client_record.h"
#include "tests/core/daemon/session_words.h"

namespace lychgate::daemon {
namespace {

using Policy = config::Action;

struct Line {
  const char* text;  // with a bare line end where it ends in '\n'
  const char* want;
  const char* behind = "";
  TalkKind kind = TalkKind::kLine;
};

struct Script {
  const char* what;
  int evidence = 0;
  Policy action = Policy::kEnforce;  // of the tests of the dialogue
  std::vector<Line> lines;
  Phase want_phase = Phase::kDialogue;
  int want_misconduct = 0;
  std::vector<std::string> exempt = {};
  int past = 0;
  bool pipelining = true;
  uint32_t commands_max = 20;
};

config::Config config_of(const Script& script) {
  config::Config config;
  config.dialogue.pipelining.enable = script.pipelining;
  config.dialogue.exempt = script.exempt;
  config.dialogue.command_count_limit = script.commands_max;
  for (config::DialogueTest* test : {&config.dialogue.pipelining, &config.dialogue.non_smtp_command,
                                     &config.dialogue.bare_newline}) {
    test->action = script.action;
  }
  return config;
}

Talk talk_of(const Line& line) {
  std::string_view text = line.text;
  const bool bare = text.ends_with('\n');
  if (bare) text.remove_suffix(1);
  return {line.kind,
          {.outcome = smtp::LineOutcome::kLine,
           .flags = static_cast<uint8_t>(bare ? smtp::kBareLf : 0),
           .text = text},
          line.behind};
}

void hold(const Script& script) {
  const config::Config config = config_of(script);
  Slot slot;
  slot.phase = Phase::kDialogue;
  slot.evidence = static_cast<uint16_t>(script.evidence);
  slot.past = static_cast<uint8_t>(script.past);
  Dialogue dialogue;
  converse(config, slot, dialogue, {TalkKind::kBegin});
  for (const Line& line : script.lines) {
    const ActionList actions = converse(config, slot, dialogue, talk_of(line));
    EXPECT_EQ(text_of(actions, 0), line.want) << script.what << ": " << line.text;
  }
  EXPECT_EQ(slot.phase, script.want_phase) << script.what;
  EXPECT_EQ(slot.misconduct, script.want_misconduct) << script.what;
}

TEST(Converse, GreetsWhoHasNotSpokenEarly) {
  struct Row {
    const char* what;
    int evidence;
    const char* want;
  };
  const Row rows[] = {
      {"a stranger that was silent", kWaited, "+dialogues, greet, listen"},
      {"who is talking already hears answers", kSpokeEarly, "+dialogues, listen"},
      {"who spoke early on another visit is silent now", kSpokeEarly | kRemembered,
       "+dialogues, greet, listen"},
  };
  for (const Row& row : rows) {
    Slot slot;
    slot.phase = Phase::kDialogue;
    slot.evidence = static_cast<uint16_t>(row.evidence);
    Dialogue dialogue;
    const ActionList actions = converse({}, slot, dialogue, {TalkKind::kBegin});
    EXPECT_EQ(text_of(actions, 0), row.want) << row.what;
  }
}

TEST(Converse, HandsOverWhoBehaves) {
  const Script scripts[] = {
      {.what = "EHLO, MAIL: the backend answers the second",
       .lines = {{"EHLO c.example", "say 250 $host, listen"}, {"MAIL FROM:<a@b>", "hand over"}}},
      {.what = "a backend has it: now it has passed",
       .lines = {{"HELO c.example", "say 250 $host, listen"},
                 {"MAIL FROM:<a@b>", "hand over"},
                 {"", "+pass_new, PASS NEW, remember talk", "", TalkKind::kTaken}}},
      {.what = "no backend has it: it has passed all the same",
       .lines = {{"MAIL FROM:<a@b>", "hand over"},
                 {"", "+pass_new, PASS NEW, remember talk", "", TalkKind::kGaveUp}}},
      {.what = "STARTTLS, which is never answered here",
       .lines = {{"EHLO c.example", "say 250 $host, listen"}, {"STARTTLS", "hand over"}}},
      {.what = "who only looks around leaves with what it has passed before",
       .lines = {{"NOOP", "say 250 2.0.0, listen"},
                 {"QUIT", "remember leaving, discard, say 221 2.0.0"}},
       .want_phase = Phase::kReplying},
      {.what = "and so does who goes without a word",
       .lines = {{"", "+hangup, HANGUP talking, DISCONNECT, remember leaving, close", "",
                  TalkKind::kGone}}},
      {.what = "too slow",
       .lines = {{"", "+command_time_limit, TIME LIMIT, remember leaving, discard, say 421 4.4.2",
                  "", TalkKind::kTimeUp}},
       .want_phase = Phase::kReplying},
      {.what = "too long a line",
       .lines = {{"",
                  "+command_length_limit, LENGTH LIMIT, remember leaving, discard, say 421 $host",
                  "", TalkKind::kTooLong}},
       .want_phase = Phase::kReplying},
      {.what = "too many commands",
       .lines = {{"NOOP", "say 250 2.0.0, listen"},
                 {"NOOP",
                  "+command_count_limit, COUNT LIMIT, remember leaving, discard, say 421 "
                  "$host"}},
       .want_phase = Phase::kReplying,
       .commands_max = 1},
  };
  for (const Script& script : scripts) hold(script);
}

TEST(Converse, FailsWhoDoesNotBehave) {
  const Script scripts[] = {
      {.what = "commands before the reply to the last one: refused at RCPT",
       .lines = {{"EHLO c.example",
                  "+pipelining, PIPELINING, +refused, remember, say 250 $host, listen", "MAIL"},
                 {"MAIL FROM:<a@b>", "say 250 2.1.0, listen"},
                 {"RCPT TO:<c@d>", "say 550 5.5.1, +recipients_refused, REJECT rcpt, listen"}},
       .want_misconduct = kPipelined},
      {.what = "told once, however often it is done",
       .lines = {{"NOOP\n",
                  "+bare_newline, BARE NEWLINE, +refused, remember, say 250 2.0.0, listen"},
                 {"NOOP\n", "say 250 2.0.0, listen"}},
       .want_misconduct = kBareNewline},
      {.what = "another protocol, under drop",
       .action = Policy::kDrop,
       .lines = {{"GET / HTTP/1.1",
                  "+non_smtp_command, NON-SMTP, remember, +dropped, discard, say 521 5.7.0"}},
       .want_phase = Phase::kReplying,
       .want_misconduct = kSpokeNonSmtp},
      {.what = "under hold",
       .action = Policy::kHold,
       .lines = {{"NOOP\n", "+bare_newline, BARE NEWLINE, remember, hold 550 5.5.1"}},
       .want_misconduct = kBareNewline},
      {.what = "under ignore it is told and goes on",
       .action = Policy::kIgnore,
       .lines = {{"EHLO c.example\n", "+bare_newline, BARE NEWLINE, say 250 $host, listen"},
                 {"MAIL FROM:<a@b>", "hand over"},
                 {"", "remember talk", "", TalkKind::kTaken}},
       .want_misconduct = kBareNewline},
      {.what = "under defer it hears 450",
       .action = Policy::kDefer,
       .lines = {{"MAIL FROM:<a@b>",
                  "+pipelining, PIPELINING, +deferred, remember, say 250 2.1.0, listen", "RCPT"},
                 {"RCPT TO:<c@d>", "say 450 4.3.2, +recipients_refused, REJECT rcpt, listen"}},
       .want_misconduct = kPipelined},
      {.what = "who failed before is told of everything, and asked for nothing",
       .evidence = kSpokeEarly,
       .lines = {{"EHLO c.example", "say 250 $host, listen"},
                 {"STARTTLS", "say 502 5.5.1, listen"},
                 {"MAIL FROM:<a@b>", "say 250 2.1.0, listen"},
                 {"RCPT TO:<c@d>", "say 550 5.5.1, +recipients_refused, REJECT rcpt, listen"},
                 {"QUIT", "discard, say 221 2.0.0"}},
       .want_phase = Phase::kReplying},
      {.what = "its mail to the postmaster is handed over",
       .evidence = kSpokeEarly,
       .lines = {{"MAIL FROM:<a@b>", "say 250 2.1.0, listen"},
                 {"RCPT TO:<postmaster@d>", "hand over"},
                 {"", "", "", TalkKind::kTaken}},
       .exempt = {"postmaster"}},
  };
  for (const Script& script : scripts) hold(script);
}

TEST(Converse, NothingBehindACommandThatMustBeLastIsObeyedByABackend) {
  const Script scripts[] = {
      {.what = "behind STARTTLS in the same bytes",
       .lines = {{"STARTTLS", "+pipelining, PIPELINING, +refused, remember, say 502 5.5.1, listen",
                  "MAIL FROM:<evil@x>\r\n"}},
       .want_misconduct = kPipelined},
      {.what = "found behind it before a backend had answered",
       .lines = {{"STARTTLS", "hand over"},
                 {"STARTTLS", "+pipelining, PIPELINING, +refused, remember, say 502 5.5.1, listen",
                  "MAIL", TalkKind::kSpokeAgain}},
       .want_misconduct = kPipelined},
      {.what = "though the test is off",
       .lines = {{"STARTTLS", "+dropped, remember leaving, discard, say 521 5.5.1", "MAIL"}},
       .want_phase = Phase::kReplying,
       .pipelining = false},
      {.what = "though it was passed on another visit",
       .lines = {{"MAIL FROM:<a@b>", "hand over"},
                 {"MAIL FROM:<a@b>",
                  "+pipelining, PIPELINING, +refused, remember, say 250 2.1.0, listen", "RCPT",
                  TalkKind::kSpokeAgain}},
       .want_misconduct = kPipelined,
       .past = bit_of(ScreenTest::kPipelining)},
      {.what = "behind MAIL where the test is off it is the backend's business",
       .lines = {{"MAIL FROM:<a@b>", "hand over", "RCPT TO:<c@d>\r\n"}},
       .pipelining = false},
  };
  for (const Script& script : scripts) hold(script);
}

TEST(Converse, SaysWhatMustBeLast) {
  config::Config config;
  Slot stranger;
  Slot returned;
  returned.past = kNetworkReturned;
  EXPECT_TRUE(must_be_last(config, stranger, smtp::Verb::kMail));
  config.dialogue.pipelining.action = Policy::kDefer;
  EXPECT_TRUE(must_be_last(config, stranger, smtp::Verb::kMail));
  EXPECT_FALSE(must_be_last(config, returned, smtp::Verb::kMail));
  config.dialogue.pipelining.action = Policy::kIgnore;
  EXPECT_FALSE(must_be_last(config, stranger, smtp::Verb::kMail));
  EXPECT_TRUE(must_be_last(config, returned, smtp::Verb::kStarttls));
}

}  // namespace
}  // namespace lychgate::daemon
