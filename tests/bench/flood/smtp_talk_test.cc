// Whole dialogues of the clients that talk: what they say after each reply, and how they end.

#include "bench/flood/smtp_talk.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

constexpr uint32_t kTextBytes = 100;

Script script() {
  Plan plan;
  Manners manners;
  manners.profile = Profile::kLegit;
  manners.message_bytes = kTextBytes;
  return write_script(plan, manners, "Sat, 21 Nov 2026 09:00:00 +0000");
}

std::string joined(const Words& words) {
  std::string out;
  for (size_t i = 0; i < words.count; ++i) out += words.parts[i];
  return out;
}

// The first word of each line said.
std::string commands(const std::string& said) {
  std::string out;
  for (size_t at = 0; at < said.size(); at = said.find('\n', at) + 1) {
    out += said.substr(at, said.find_first_of(" \r", at) - at) + " ";
  }
  return out;
}

struct Heard {
  std::string said;  // commands, message left out
  std::optional<Ending> end;
  bool delivered = false;
  bool transacted = false;
};

// Lets a client hear one piece after the other, until it ends or the server does.
Heard converse(Profile profile, const std::vector<std::string>& pieces, Ending at_last) {
  const Script words = script();
  ReplyCounts replies;
  Talk talk;
  talk.begin(profile, 7);
  Heard out;
  for (const std::string& piece : pieces) {
    const Move move = talk.hear(piece, words, replies);
    std::string said = joined(move.say);
    if (const size_t message = said.find("From:"); message != std::string::npos) {
      const size_t dot = said.find("\r\n.\r\n", message);
      said = said.substr(0, message) + "(message)\r\n" + said.substr(dot + 5);
    }
    out.said += commands(said);
    out.delivered |= move.delivered;
    out.transacted |= move.transacted;
    if (move.end) {
      out.end = move.end;
      return out;
    }
  }
  out.end = talk.ended_by(at_last);
  return out;
}

struct Row {
  const char* what;
  std::vector<std::string> pieces;
  const char* said;
  Ending end;
  bool delivered = false;
};

void check(Profile profile, const std::vector<Row>& rows, Ending at_last) {
  for (const Row& row : rows) {
    const Heard got = converse(profile, row.pieces, at_last);
    EXPECT_EQ(got.said, row.said) << row.what;
    EXPECT_EQ(kEndingNames[static_cast<size_t>(*got.end)],
              kEndingNames[static_cast<size_t>(row.end)])
        << row.what;
    EXPECT_EQ(got.delivered, row.delivered) << row.what;
    const bool legit_and_done = profile == Profile::kLegit && row.end == Ending::kDone;
    EXPECT_EQ(got.transacted, legit_and_done) << row.what;
  }
}

TEST(Talk, OfALegitimateClientGoesReplyByReply) {
  const std::string hi = "220-wait\r\n220 mx\r\n";
  const std::string ehlo = "250-mx\r\n250-PIPELINING\r\n250 HELP\r\n";
  const std::string ok = "250 ok\r\n";
  check(
      Profile::kLegit,
      {
          {"all goes well",
           {hi, ehlo, ok, ok, "354 go\r\n", ok, "221 bye\r\n"},
           "EHLO MAIL RCPT DATA (message) QUIT ",
           Ending::kDone,
           true},
          {"the greeting comes byte by byte", {"2", "20", " mx\r", "\n"}, "EHLO ", Ending::kClosed},
          {"a teaser alone is no greeting", {"220-wait\r\n"}, "", Ending::kClosed},
          {"an old server knows HELO", {hi, "502 no\r\n", ok}, "EHLO HELO MAIL ", Ending::kClosed},
          {"not even HELO", {hi, "502 no\r\n", "502 no\r\n"}, "EHLO HELO ", Ending::kRefused},
          {"EHLO is put off", {hi, "451 later\r\n"}, "EHLO ", Ending::kRefused},
          {"refused in the greeting", {"220-wait\r\n", "521 go\r\n"}, "", Ending::kRefused},
          {"too busy", {"421 busy\r\n"}, "", Ending::kRefused},
          {"another code within a reply", {hi, "250-a\r\n220 b\r\n"}, "EHLO ", Ending::kBroken},
          {"a line without end", {std::string(600, '2')}, "", Ending::kBroken},
          {"sender refused", {hi, ehlo, "550 no\r\n"}, "EHLO MAIL ", Ending::kRefused},
          {"recipient is elsewhere",
           {hi, ehlo, ok, "251 ok\r\n"},
           "EHLO MAIL RCPT DATA ",
           Ending::kClosed},
          {"recipient refused",
           {hi, ehlo, ok, "450 grey\r\n"},
           "EHLO MAIL RCPT ",
           Ending::kRefused},
          {"message refused",
           {hi, ehlo, ok, ok, "354 go\r\n", "554 spam\r\n"},
           "EHLO MAIL RCPT DATA (message) ",
           Ending::kRefused},
          {"250 where 354 was due",
           {hi, ehlo, ok, ok, ok},
           "EHLO MAIL RCPT DATA ",
           Ending::kBroken},
          {"a reply nobody asked for", {hi + ok}, "EHLO ", Ending::kBroken},
          {"a farewell nobody asked for", {hi + "421 bye\r\n"}, "EHLO ", Ending::kRefused},
          {"no SMTP", {"SSH-2.0-x\r\n"}, "", Ending::kBroken},
          {"closed instead of 221",
           {hi, ehlo, ok, ok, "354 go\r\n", ok},
           "EHLO MAIL RCPT DATA (message) QUIT ",
           Ending::kClosed,
           true},
      },
      Ending::kClosed);
}

TEST(Talk, OfABotWaitsOnceAndThenSaysAll) {
  const std::string all = "EHLO MAIL RCPT DATA (message) QUIT ";
  const std::string replies =
      "250-mx\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n221 bye\r\n";
  check(
      Profile::kBot,
      {
          {"a teaser is not enough", {"220-wait\r\n"}, "", Ending::kClosed},
          {"accepted", {"220 mx\r\n", replies}, all.c_str(), Ending::kDone, true},
          {"refused before the greeting's end", {"220-x\r\n", "521 go\r\n"}, "", Ending::kRefused},
          {"refused for pipelining", {"220 mx\r\n", "503 wait\r\n"}, all.c_str(), Ending::kRefused},
          {"the message is refused",
           {"220 mx\r\n", "250 x\r\n250 x\r\n250 x\r\n354 go\r\n", "554 spam\r\n221 bye\r\n"},
           all.c_str(),
           Ending::kRefused},
          {"cut off before anything", {"220 mx\r\n"}, all.c_str(), Ending::kClosed},
      },
      Ending::kClosed);
}

TEST(Talk, OfAnEarlyTalkerIsDoneWhenItIsAnswered) {
  check(Profile::kEarly,
        {
            {"let in", {"220 mx\r\n", "250 mx\r\n"}, "", Ending::kDone},
            {"let in, in one piece", {"220 mx\r\n250-mx\r\n250 x\r\n"}, "", Ending::kDone},
            {"thrown out", {"220-wait\r\n", "550 you spoke first\r\n"}, "", Ending::kRefused},
            {"greeted, then refused", {"220 mx\r\n", "521 bye\r\n"}, "", Ending::kRefused},
            {"left alone", {"220-wait\r\n"}, "", Ending::kTimedOut},
            {"silence", {}, "", Ending::kTimedOut},
        },
        Ending::kTimedOut);
}

TEST(Talk, TellsTheSizeWhenItMatters) {
  const Script words = script();
  ReplyCounts replies;
  Talk talk;
  talk.begin(Profile::kLegit, 0);
  talk.hear("220 mx\r\n", words, replies);
  const Move move = talk.hear("250-mx\r\n250-SIZE 1000000\r\n250 x\r\n", words, replies);
  EXPECT_TRUE(joined(move.say).starts_with("MAIL FROM:<flood@example.org> SIZE="))
      << joined(move.say);
  EXPECT_EQ(replies, (ReplyCounts{{220, 1}, {250, 1}}));
}

TEST(Talk, MarksEachMessage) {
  const Script words = script();
  ReplyCounts replies;
  Talk talk;
  talk.begin(Profile::kLegit, 41);
  for (const char* reply : {"220 a\r\n", "250 a\r\n", "250 a\r\n", "250 a\r\n"}) {
    talk.hear(reply, words, replies);
  }
  const std::string message = joined(talk.hear("354 a\r\n", words, replies).say);
  EXPECT_NE(message.find("\r\nMessage-ID: <41.1.flood.example>\r\n\r\n"), std::string::npos)
      << message;
}

TEST(Text, HasItsSizeOnceTheDotsAreTakenOff) {
  for (const uint32_t bytes : {0u, 2u, 3u, 71u, 72u, 73u, 74u, 145u, 146u, 4096u, 10'001u}) {
    const std::string text = write_text(bytes);
    ASSERT_TRUE(text.ends_with(".\r\n"));
    size_t plain = 0;
    bool dotted = false;
    for (size_t at = 0; at < text.size() - 3;) {
      const size_t end = text.find("\r\n", at);
      ASSERT_NE(end, std::string::npos) << bytes;
      ASSERT_LE(end - at, 998U) << "RFC 5321, 4.5.3.1.6";
      const bool dot = text[at] == '.';
      ASSERT_TRUE(!dot || text[at + 1] == '.') << "a bare dot would end the message";
      dotted |= dot;
      plain += end + 2 - at - (dot ? 1 : 0);
      at = end + 2;
    }
    EXPECT_EQ(plain, bytes);
    EXPECT_EQ(dotted, bytes >= 145) << "the second line begins with a dot";
  }
}

}  // namespace
}  // namespace lychgate::flood
