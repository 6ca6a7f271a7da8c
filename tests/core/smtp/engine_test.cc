// The gate's SMTP server: whole dialogues as tables, for clients that are approved and for others.

#include "core/smtp/engine.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/smtp/splits.h"

namespace lychgate::smtp {
namespace {

const std::string kExempt[] = {"postmaster", "abuse"};

struct Gate {
  Treatment treatment;
  EngineRules rules;
  DialogueState state;
};

Gate approving() {
  Gate gate;
  gate.treatment.approved = true;
  return gate;
}

Gate refusing() {
  Gate gate;
  gate.treatment.refusal = ReplyId::kRefuseProtocol;
  gate.treatment.exempt = kExempt;
  return gate;
}

// "250", ">" for a hand-over, "221." for a reply and the close.
std::string code_of(const Answer& answer) {
  if (answer.next == Next::kHandOver) return ">";
  const std::string code(reply_text(answer.reply).substr(0, kReplyCodeSize));
  return answer.next == Next::kClose ? code + "." : code;
}

Answer say(Gate& gate, std::string_view line) {
  ReadLine read;
  read.text = line;
  return obey(parse_command(read), gate.treatment, gate.rules, gate.state);
}

// Says each line until one ends it, and gives the answers with a blank between.
std::string talk(Gate& gate, const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    const Answer answer = say(gate, line);
    out += (out.empty() ? "" : " ") + code_of(answer);
    if (answer.next != Next::kListen) break;
  }
  return out;
}

struct Talk {
  const char* what;
  std::vector<std::string> lines;
  std::string_view want;
};

TEST(Engine, HandsAnApprovedClientOver) {
  const Talk rows[] = {
      {"at MAIL", {"EHLO a", "MAIL FROM:<a@b>"}, "250 >"},
      {"at STARTTLS", {"EHLO a", "STARTTLS"}, "250 >"},
      {"at AUTH", {"EHLO a", "AUTH PLAIN AGEAYg=="}, "250 >"},
      {"at VRFY", {"HELO a", "VRFY a"}, "250 >"},
      {"at ETRN", {"EHLO a", "ETRN b.example"}, "250 >"},
      {"after much else",
       {"NOOP", "RSET", "HELO a", "EHLO a", "mail from:<>"},
       "250 250 250 250 >"},
      {"never at QUIT", {"QUIT"}, "221."},
      {"never at what has no name or no colon",
       {"EHLO", "HELO ", "MAIL", "MAIL FROM", "VRFY", "ETRN"},
       "501 501 501 501 501 500"},
      {"never without MAIL", {"EHLO a", "RCPT TO:<a@b>", "DATA"}, "250 503 503."},
      {"never with a chunk", {"EHLO a", "BDAT 5 LAST"}, "250 554."},
      {"never with a control character",
       {"MAIL FROM:<a>\rRCPT TO:<b>", "AUTH \x01", "VRFY a\x7f", "MAIL FROM:<a> X=\t"},
       "500 500 500 500"},
      {"never at what is no command",
       {"", "EXPN a", "HELP", "XCLIENT ADDR=1", "UNIMPLEMENTED", "GET / HTTP/1.0"},
       "502 502 502 502 502 502"},
  };
  for (const Talk& row : rows) {
    Gate gate = approving();
    EXPECT_EQ(talk(gate, row.lines), row.want) << row.what;
  }
}

TEST(Engine, RefusesOthersAtRcpt) {
  const Talk rows[] = {
      {"each recipient",
       {"EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@f>", "QUIT"},
       "250 250 550 550 221."},
      {"no TLS and no AUTH",
       {"EHLO a", "STARTTLS", "AUTH PLAIN", "MAIL FROM:<a>"},
       "250 502 502 250"},
      {"in the right order only",
       {"RCPT TO:<a>", "MAIL FROM:<a>", "MAIL FROM:<b>", "RCPT a"},
       "503 250 503 501"},
      {"RSET ends the mail",
       {"MAIL FROM:<a>", "RSET", "RCPT TO:<a>", "MAIL FROM:<b>"},
       "250 250 503 250"},
      {"so do HELO and EHLO",
       {"MAIL FROM:<a>", "HELO a", "RCPT TO:<a>", "MAIL FROM:<a>", "EHLO a", "RCPT TO:<a>"},
       "250 250 503 250 250 503"},
      {"VRFY is refused alike", {"VRFY a", "VRFY"}, "550 501"},
      {"ETRN otherwise", {"ETRN a", "ETRN"}, "458 500"},
      {"DATA ends it", {"MAIL FROM:<a>", "RCPT TO:<a>", "DATA"}, "250 550 554."},
      {"DATA with an argument", {"MAIL FROM:<a>", "DATA now"}, "250 501."},
      {"DATA without MAIL", {"DATA"}, "503."},
      {"BDAT ends it", {"MAIL FROM:<a>", "BDAT 5"}, "250 554."},
      {"BDAT without a size", {"MAIL FROM:<a>", "BDAT"}, "250 501."},
      {"BDAT without MAIL", {"BDAT 5"}, "554."},
      {"a mail that could not be said again", {"MAIL FROM:<a>\rDATA", "RCPT TO:<a>"}, "500 503"},
  };
  for (const Talk& row : rows) {
    Gate gate = refusing();
    EXPECT_EQ(talk(gate, row.lines), row.want) << row.what;
  }
}

TEST(Engine, RefusesWithTheReplyItIsGiven) {
  Gate gate = refusing();
  talk(gate, {"EHLO a", "MAIL FROM:<a>"});
  for (const ReplyId id : {ReplyId::kDefer, ReplyId::kRefuseListed, ReplyId::kRefuseService}) {
    gate.treatment.refusal = id;
    const Answer answer = say(gate, "RCPT TO:<a>");
    EXPECT_EQ(answer.reply, id);
    EXPECT_EQ(answer.notable, Notable::kRejected);
    EXPECT_EQ(say(gate, "VRFY a").reply, id);
  }
}

TEST(Engine, HandsExemptRecipientsOver) {
  struct Row {
    const char* what;
    std::string mail;
    std::string_view rcpt;
    std::string_view want;
  };
  const Row rows[] = {
      {"a local part", "MAIL FROM:<a@b>", "RCPT TO:<postmaster@example.org>", ">"},
      {"another, in capitals", "MAIL FROM:<>", "RCPT TO:<ABUSE@example.org>", ">"},
      {"without a domain", "MAIL FROM:<a@b>", "RCPT TO:<Postmaster>", ">"},
      {"behind a source route", "MAIL FROM:<a@b>", "RCPT TO:<@x:abuse@y>", ">"},
      {"one that is like it", "MAIL FROM:<a@b>", "RCPT TO:<postmasters@example.org>", "550"},
      {"one that has it in its domain", "MAIL FROM:<a@b>", "RCPT TO:<a@postmaster>", "550"},
      {"nobody", "MAIL FROM:<a@b>", "RCPT TO:<>", "550"},
      {"with a control character", "MAIL FROM:<a@b>", "RCPT TO:<abuse>\rDATA", "500"},
      {"the longest MAIL that is kept", "MAIL FROM:<" + std::string(243, 'x') + ">",
       "RCPT TO:<abuse>", ">"},
      {"one that cannot be said again", "MAIL FROM:<" + std::string(244, 'x') + ">",
       "RCPT TO:<abuse>", "550"},
  };
  for (const Row& row : rows) {
    Gate gate = refusing();
    EXPECT_EQ(talk(gate, {"EHLO a", row.mail}), "250 250") << row.what;
    EXPECT_EQ(code_of(say(gate, row.rcpt)), row.want) << row.what;
    if (row.want == ">") {
      EXPECT_EQ(gate.state.mail_text(), row.mail) << row.what;
    }
  }
}

TEST(Engine, KeepsToItsRules) {
  Gate gate = refusing();
  gate.rules.helo_required = true;
  gate.rules.disable_vrfy = true;
  gate.treatment.chunking = false;
  EXPECT_EQ(say(gate, "MAIL FROM:<a>").reply, ReplyId::kHelloFirst);
  EXPECT_EQ(say(gate, "ETRN").reply, ReplyId::kHelloFirst);
  EXPECT_EQ(say(gate, "VRFY a").reply, ReplyId::kVrfyDisabled);
  EXPECT_EQ(talk(gate, {"HELO a", "MAIL FROM:<a>"}), "250 250");
  EXPECT_EQ(say(gate, "BDAT 5").reply, ReplyId::kNotImplemented);

  Gate approved = approving();
  approved.rules = gate.rules;
  EXPECT_EQ(talk(approved, {"MAIL FROM:<a>", "VRFY a", "EHLO a", "MAIL FROM:<a>"}),
            "503 502 250 >");
}

TEST(Engine, LimitsCommands) {
  Gate gate = refusing();
  gate.rules.commands_max = 3;
  EXPECT_EQ(talk(gate, {"NOOP", "EHLO a", "RSET"}), "250 250 250");
  const Gate full = gate;
  const Answer answer = say(gate, "NOOP");
  EXPECT_EQ(answer.reply, ReplyId::kTooManyCommands);
  EXPECT_EQ(answer.next, Next::kClose);
  EXPECT_EQ(answer.notable, Notable::kTooMany);
  EXPECT_EQ(gate.state.last, Verb::kRset);
  gate = full;
  EXPECT_EQ(say(gate, "QUIT").reply, ReplyId::kBye);
  gate = full;
  gate.treatment.approved = true;
  EXPECT_EQ(say(gate, "MAIL FROM:<a>").reply, ReplyId::kTooManyCommands) << "approved or not";
}

TEST(Engine, LimitsErrors) {
  Gate gate = refusing();
  gate.rules.errors_max = 2;
  EXPECT_EQ(
      talk(gate, {"MAIL FROM:<a>", "RCPT TO:<a>", "RCPT TO:<a>", "VRFY a", "ETRN a", "FOO", "BAR"}),
      "250 550 550 550 458 502 502")
      << "refusals are no errors";
  const Answer answer = say(gate, "BAZ");
  EXPECT_EQ(answer.reply, ReplyId::kTooManyErrors);
  EXPECT_EQ(answer.next, Next::kClose);
  EXPECT_EQ(answer.notable, Notable::kTooMany);
}

TEST(Engine, CountsACommandOnceThoughItsHandOverIsCalledOff) {
  Gate gate = approving();
  gate.rules.commands_max = 2;
  EXPECT_EQ(talk(gate, {"EHLO a", "MAIL FROM:<a>"}), "250 >");
  EXPECT_EQ(gate.state.commands, 1);
  EXPECT_EQ(gate.state.last, Verb::kEhlo);
  gate.treatment.approved = false;
  EXPECT_EQ(talk(gate, {"MAIL FROM:<a>"}), "250");
  EXPECT_EQ(gate.state.sender(), "a");
}

TEST(Engine, RemembersWhatLogLinesTell) {
  Gate gate = refusing();
  EXPECT_EQ(verb_word(gate.state.last), "CONNECT");
  EXPECT_EQ(gate.state.helo(), "");
  EXPECT_EQ(gate.state.sender(), "");
  EXPECT_EQ(gate.state.protocol(), "SMTP");
  talk(gate, {"helo one two", "MAIL FROM:<@x:a@b> SIZE=5"});
  EXPECT_EQ(gate.state.helo(), "one");
  EXPECT_EQ(gate.state.hello_text(), "HELO one");
  EXPECT_EQ(gate.state.sender(), "a@b");
  EXPECT_EQ(gate.state.protocol(), "SMTP");
  talk(gate, {"eHLO t\x01wo\xc3\r"});
  EXPECT_EQ(gate.state.hello_text(), "EHLO t?wo\xc3?");
  EXPECT_EQ(gate.state.protocol(), "ESMTP");
  talk(gate, {"HELO three", "EXPN a"});
  EXPECT_EQ(gate.state.hello, Verb::kHelo);
  EXPECT_EQ(gate.state.protocol(), "ESMTP") << "once EHLO, always ESMTP, as postscreen";
  EXPECT_EQ(verb_word(gate.state.last), "UNIMPLEMENTED");
  EXPECT_EQ(say(gate, "DATA").notable, Notable::kDataWithoutRcpt);
  EXPECT_EQ(say(gate, "BDAT 1").notable, Notable::kBdatWithoutRcpt);
}

TEST(Engine, KeepsAsMuchAsHasRoom) {
  Gate gate = refusing();
  const std::string name(3000, 'h');
  talk(gate, {"EHLO " + name, "MAIL FROM:<" + name + ">"});
  EXPECT_EQ(gate.state.hello_text(), "EHLO " + name.substr(0, 250));
  EXPECT_EQ(gate.state.mail_text(), "");
  EXPECT_EQ(gate.state.sender(), name.substr(0, 244));
}

// However the bytes of a dialogue come in pieces, the answers are the same.
TEST(Engine, AnswersAlikeHoweverItIsSplit) {
  const std::string_view streams[] = {"EHLO a\r\nNOOP\nQ\rIT\r\nQUIT\r\n", "\n\r\n\rX\r\r\n\n\nA\n",
                                      "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nx"};
  for (const std::string_view stream : streams) {
    std::string want;
    for_each_split(stream, [&](const Pieces& pieces) {
      Gate gate = refusing();
      std::array<char, kCommandLineMax> storage;
      LineReader reader(storage);
      std::string got;
      for (const std::vector<char>& piece : pieces) {
        for (size_t at = 0; at < piece.size();) {
          const ReadLine line = reader.read(std::span(piece).subspan(at));
          at += line.used;
          if (line.outcome != LineOutcome::kLine) continue;
          const Command command = parse_command(line);
          got += code_of(obey(command, gate.treatment, gate.rules, gate.state));
          got += static_cast<char>('0' + misconduct_of(line, command, false));
        }
      }
      if (want.empty()) want = got;
      ASSERT_EQ(got, want) << stream;
    });
  }
}

}  // namespace
}  // namespace lychgate::smtp
