// The table of replies: exact bytes, form of every row, footers, and the teaser line.

#include "core/smtp/replies.h"

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>

namespace lychgate::smtp {
namespace {

TEST(Replies, HaveTheWordsOfPostscreen) {
  struct Row {
    const char* what;
    ReplyId id;
    std::string_view want;
  };
  const Row rows[] = {
      {"too many clients of one address", ReplyId::kTooManyConnections,
       "421 4.7.0 Error: too many connections\r\n"},
      {"no backend took the client", ReplyId::kServerPortsBusy,
       "421 4.3.2 All server ports are busy\r\n"},
      {"the shard or the host is full", ReplyId::kScreeningPortsBusy,
       "421 4.3.2 All screening ports are busy\r\n"},
      {"the gate is stopping", ReplyId::kShuttingDown, "421 4.3.2 Service shutting down\r\n"},
      {"pregreet, enforce", ReplyId::kRefuseProtocol, "550 5.5.1 Protocol error\r\n"},
      {"pregreet, drop", ReplyId::kDropProtocol, "521 5.5.1 Protocol error\r\n"},
      {"denylisted, enforce", ReplyId::kRefuseService,
       "550 5.3.2 Service currently unavailable\r\n"},
      {"denylisted, drop", ReplyId::kDropService, "521 5.3.2 Service currently unavailable\r\n"},
      {"listed, enforce, when nothing can be written", ReplyId::kRefuseListed,
       "550 5.7.1 Service unavailable; client blocked using a DNS list\r\n"},
      {"listed, drop, when nothing can be written", ReplyId::kDropListed,
       "521 5.7.1 Service unavailable; client blocked using a DNS list\r\n"},
      {"greylisted", ReplyId::kDefer, "450 4.3.2 Service currently unavailable\r\n"},
      {"BDAT that was not announced", ReplyId::kNotImplemented,
       "502 5.5.1 Error: command not implemented\r\n"},
      {"MAIL again", ReplyId::kNestedMail, "503 5.5.1 Error: nested MAIL command\r\n"},
      {"DATA without MAIL", ReplyId::kDataNeedsRcpt, "503 5.5.1 Error: need RCPT command\r\n"},
      {"no enhanced code", ReplyId::kEtrnCannot, "458 Unable to queue messages\r\n"},
      {"with what only a book knows", ReplyId::kTimeout,
       "421 4.4.2 $hostname Error: timeout exceeded\r\n"},
  };
  for (const Row& row : rows) EXPECT_EQ(reply_bytes(row.id), row.want) << row.what;
}

TEST(Replies, AreWholeLinesWithinTheLimit) {
  for (size_t i = 0; i < kReplyCount; ++i) {
    const auto id = static_cast<ReplyId>(i);
    const std::string_view line = reply_bytes(id);
    EXPECT_LE(line.size(), kReplyLineMax) << line;
    EXPECT_TRUE(line.ends_with("\r\n")) << line;
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line only: " << line;
    // The class of the code and of the enhanced code agree (RFC 2034 section 4).
    if (line.substr(5, 1) == ".") {
      EXPECT_EQ(line[0], line[4]) << line;
    }
    EXPECT_EQ(std::string(reply_text(id)) + "\r\n", line);
  }
}

TEST(Replies, GoOnInTheTarpit) {
  EXPECT_EQ(continued_reply(ReplyId::kRefuseProtocol), "550-5.5.1 Protocol error\r\n");
  EXPECT_EQ(continued_reply(ReplyId::kDefer), "450-4.3.2 Service currently unavailable\r\n");
}

std::string listed_reply(ReplyId id, const char* client, std::string_view name,
                         std::string_view reason) {
  std::array<char, kReplyLineMax> out;
  const size_t size = write_listed_reply(
      id, {.client = IpAddress::parse(client).value(), .reply_name = name, .reason = reason}, out);
  return {out.data(), size};
}

TEST(ListedReply, NamesTheClientTheListAndItsReason) {
  struct Row {
    const char* what;
    ReplyId id;
    const char* client;
    std::string reason;
    std::string want;
  };
  const Row rows[] = {
      {"without a reason", ReplyId::kRefuseListed, "203.0.113.5", "",
       "550 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net\r\n"},
      {"with one", ReplyId::kRefuseListed, "203.0.113.5", "see https://bl.example.net/5",
       "550 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net; see "
       "https://bl.example.net/5\r\n"},
      {"under drop", ReplyId::kDropListed, "203.0.113.5", "",
       "521 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net\r\n"},
      {"an IPv6 client", ReplyId::kRefuseListed, "2001:db8::5", "",
       "550 5.7.1 Service unavailable; client [2001:db8::5] blocked using bl.example.net\r\n"},
      {"a reason cannot add a line, a control or a byte that is not ASCII", ReplyId::kRefuseListed,
       "203.0.113.5", std::string("a\r\n250 b\0\x7f\xc3\xa9\tc", 14),
       "550 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net; "
       "a??250 b????\tc\r\n"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(listed_reply(row.id, row.client, "bl.example.net", row.reason), row.want) << row.what;
  }
}

TEST(ListedReply, IsCutAtTheLineLimit) {
  const std::string head = listed_reply(ReplyId::kRefuseListed, "203.0.113.5", "bl", "");
  const size_t room = kReplyLineMax - head.size() - 2;  // "; "
  for (const size_t size : {room - 1, room, room + 1, size_t{255}, size_t{10000}}) {
    const std::string line =
        listed_reply(ReplyId::kRefuseListed, "203.0.113.5", "bl", std::string(size, 'x'));
    EXPECT_EQ(line.size(), std::min(kReplyLineMax, head.size() + 2 + size)) << size;
    EXPECT_TRUE(line.ends_with("x\r\n")) << size;
  }
  const std::string name =
      listed_reply(ReplyId::kRefuseListed, "203.0.113.5", std::string(1000, 'n'), "never seen");
  EXPECT_EQ(name.size(), kReplyLineMax);
  EXPECT_TRUE(name.ends_with("n\r\n"));
}

std::string footed(std::string_view text, std::string_view footer) {
  std::array<char, kFootedReplyMax> out;
  return {out.data(), write_reply({.text = text, .footer = footer}, out)};
}

TEST(Footer, FollowsARefusal) {
  struct Row {
    const char* what;
    std::string_view text;
    std::string_view footer;
    std::string_view want;
  };
  const Row rows[] = {
      {"none", "550 5.5.1 Protocol error", "", "550 5.5.1 Protocol error\r\n"},
      {"in a line of its own with both codes", "550 5.5.1 Protocol error", "Call 555-0100",
       "550-5.5.1 Protocol error\r\n550 5.5.1 Call 555-0100\r\n"},
      {"in the same line", "550 5.5.1 Protocol error", "\\c. Call 555-0100",
       "550 5.5.1 Protocol error. Call 555-0100\r\n"},
      {"behind a reply without enhanced code", "458 Unable to queue messages", "Call",
       "458-Unable to queue messages\r\n458 Call\r\n"},
      {"what has two dots is no code", "421 mx.example.org Service unavailable", "Call",
       "421-mx.example.org Service unavailable\r\n421 Call\r\n"},
      {"never behind what is no refusal", "250 2.0.0 Ok", "Call", "250 2.0.0 Ok\r\n"},
      {"masked", "550 no", "a\r\n250 b", "550-no\r\n550 a??250 b\r\n"},
  };
  for (const Row& row : rows) EXPECT_EQ(footed(row.text, row.footer), row.want) << row.what;
}

TEST(Footer, IsCutLikeTheReply) {
  const std::string both = footed("550 " + std::string(1000, 'x'), std::string(1000, 'y'));
  EXPECT_EQ(both.size(), kFootedReplyMax);
  EXPECT_EQ(both.find("x\r\n550 y"), kReplyLineMax - 3);
  EXPECT_TRUE(both.ends_with("y\r\n"));
  EXPECT_EQ(footed("550 no", "\\c" + std::string(1000, 'y')).size(), kReplyLineMax);

  std::array<char, kReplyLineMax> little;
  const std::string text = "550 " + std::string(1000, 'x');
  const size_t size = write_reply({.text = text, .footer = "Call"}, little);
  EXPECT_EQ(std::string_view(little.data(), size),
            "550-" + std::string(kReplyLineMax / 2 - 6, 'x') + "\r\n550 Call\r\n");
}

// A listed client that also pipelined, refused for that, used to end the process.
TEST(ListedReply, IsForListedClientsOnly) {
  EXPECT_EQ(listed_reply(ReplyId::kRefuseProtocol, "203.0.113.5", "bl", "never seen"),
            "550 5.5.1 Protocol error\r\n");
}

TEST(Footer, FollowsAListedReply) {
  std::array<char, kFootedReplyMax> out;
  const size_t size = write_listed_reply(ReplyId::kRefuseListed,
                                         {.client = IpAddress::parse("203.0.113.5").value(),
                                          .reply_name = "bl",
                                          .reason = "spam",
                                          .footer = "Call"},
                                         out);
  EXPECT_EQ(std::string_view(out.data(), size),
            "550-5.7.1 Service unavailable; client [203.0.113.5] blocked using bl; spam\r\n"
            "550 5.7.1 Call\r\n");
}

TEST(Teaser, IsBuiltFromTheBanner) {
  struct Row {
    const char* what;
    std::string banner;
    std::string hostname;
    std::string want;
  };
  const Row rows[] = {
      {"the default banner", "$hostname ESMTP", "mx.example.org", "220-mx.example.org ESMTP\r\n"},
      {"no banner, no teaser", "", "mx.example.org", ""},
      {"a banner without the mark is taken as it is", "mx ready", "other", "220-mx ready\r\n"},
      {"every mark is replaced", "$hostname ($hostname)", "a", "220-a (a)\r\n"},
      {"a mark at the end", "this is $hostname", "a", "220-this is a\r\n"},
      {"a hostname is not searched for marks", "$hostname", "$hostname", "220-$hostname\r\n"},
      {"a dollar alone is text", "$host 5$", "a", "220-$host 5$\r\n"},
      {"bytes that could end the line or are not ASCII are masked", "a\r\n250 b\x01\xc3\xa9", "a",
       "220-a??250 b???\r\n"},
      {"a tab is allowed", "a\tb", "a", "220-a\tb\r\n"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(teaser_line({.banner = row.banner, .hostname = row.hostname}), row.want) << row.what;
  }
}

TEST(Teaser, IsCutAtTheLineLimit) {
  const std::string name(300, 'h');
  const std::string line =
      teaser_line({.banner = "$hostname $hostname $hostname", .hostname = name});
  EXPECT_EQ(line.size(), kReplyLineMax);
  EXPECT_TRUE(line.ends_with("h\r\n"));
  const std::string longest(kReplyLineMax - 6, 'x');
  EXPECT_EQ(teaser_line({.banner = longest, .hostname = ""}), "220-" + longest + "\r\n");
  EXPECT_EQ(teaser_line({.banner = longest + "y", .hostname = ""}), "220-" + longest + "\r\n");
}

}  // namespace
}  // namespace lychgate::smtp
