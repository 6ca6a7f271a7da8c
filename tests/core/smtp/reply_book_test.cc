// The replies of a dialogue with names and footer in them, and the answer to EHLO.

#include "core/smtp/reply_book.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "core/smtp/reply_reader.h"

namespace lychgate::smtp {
namespace {

TEST(ReplyBook, HasTheNamesInIt) {
  const ReplyBook book({.hostname = "mx.example.org", .banner = "$hostname ready", .footer = ""});
  struct Row {
    const char* what;
    ReplyId id;
    std::string_view want;
  };
  const Row rows[] = {
      {"the banner", ReplyId::kGreeting, "220 mx.example.org ready\r\n"},
      {"the answer to HELO", ReplyId::kHelo, "250 mx.example.org\r\n"},
      {"to EHLO, no backend known", ReplyId::kEhlo, "250 mx.example.org\r\n"},
      {"a time limit", ReplyId::kTimeout, "421 4.4.2 mx.example.org Error: timeout exceeded\r\n"},
      {"a limit", ReplyId::kTooManyCommands,
       "421 mx.example.org Service unavailable - try again later\r\n"},
      {"the limit of errors", ReplyId::kTooManyErrors,
       "421 4.7.0 mx.example.org Error: too many errors\r\n"},
      {"without names it is the table's", ReplyId::kBye, "221 2.0.0 Bye\r\n"},
  };
  for (const Row& row : rows) EXPECT_EQ(book.bytes(row.id), row.want) << row.what;
}

TEST(ReplyBook, GreetsWithoutATeaserToo) {
  const ReplyBook book({.hostname = "mx.example.org", .banner = "", .footer = ""});
  EXPECT_EQ(book.bytes(ReplyId::kGreeting), "220 mx.example.org ESMTP\r\n");
}

TEST(ReplyBook, TakesAHostnameAsItIs) {
  const ReplyBook book({.hostname = "$hostname", .banner = "$hostname", .footer = "$hostname"});
  EXPECT_EQ(book.bytes(ReplyId::kGreeting), "220 $hostname\r\n");
  EXPECT_EQ(book.bytes(ReplyId::kHelo), "250 $hostname\r\n");
}

TEST(ReplyBook, HasAFooterBehindEachRefusalAlone) {
  const ReplyBook book({.hostname = "mx.example.org", .banner = "mx", .footer = "Call 555-0100"});
  EXPECT_EQ(book.footer(), "Call 555-0100");
  EXPECT_EQ(book.bytes(ReplyId::kRefuseProtocol),
            "550-5.5.1 Protocol error\r\n550 5.5.1 Call 555-0100\r\n");
  for (size_t i = 0; i < kReplyCount; ++i) {
    const std::string_view bytes = book.bytes(static_cast<ReplyId>(i));
    const bool refuses = bytes[0] == '4' || bytes[0] == '5';
    EXPECT_EQ(bytes.ends_with("Call 555-0100\r\n"), refuses) << bytes;
  }
}

// Every reply of the longest names is one whole reply to a client that reads.
TEST(ReplyBook, IsReadByAnyClient) {
  const std::string longest(600, 'h');
  const ReplyBook book({.hostname = longest, .banner = "$hostname", .footer = longest});
  for (size_t i = 0; i < kReplyCount; ++i) {
    const std::string_view bytes = book.bytes(static_cast<ReplyId>(i));
    std::array<char, kReplyLineMax> storage;
    ReplyReader reader(storage);
    ReadReply reply = reader.read(bytes);
    size_t used = reply.used;
    if (reply.outcome == ReplyOutcome::kContinued) {
      reply = reader.read(bytes.substr(used));
      used += reply.used;
    }
    EXPECT_EQ(reply.outcome, ReplyOutcome::kComplete) << bytes;
    EXPECT_EQ(used, bytes.size()) << bytes;
  }
}

TEST(EhloReply, AnnouncesWhatItIsGiven) {
  struct Row {
    const char* what;
    std::string_view capabilities;
    EhloFor whom;
    std::string_view want;
  };
  const Row rows[] = {
      {"nothing", "", EhloFor::kEveryone, "250 mx\r\n"},
      {"one", "DSN", EhloFor::kEveryone, "250-mx\r\n250 DSN\r\n"},
      {"in their order, with parameters", "SIZE 10240000\nSTARTTLS\nAUTH PLAIN\n8BITMIME",
       EhloFor::kEveryone,
       "250-mx\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n"},
      {"less to who has failed", "SIZE 10240000\nStartTLS\nAUTH PLAIN\nAUTH=PLAIN\n8BITMIME",
       EhloFor::kFailed, "250-mx\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n"},
      {"nothing left", "STARTTLS\nAUTH PLAIN", EhloFor::kFailed, "250 mx\r\n"},
      {"a keyword is all of its word", "STARTTLSX\nAUTHOR", EhloFor::kFailed,
       "250-mx\r\n250-STARTTLSX\r\n250 AUTHOR\r\n"},
      {"empty lines are none", "\nDSN\n\n", EhloFor::kEveryone, "250-mx\r\n250 DSN\r\n"},
      {"no line can be added", "DSN\r250 x", EhloFor::kEveryone, "250-mx\r\n250 DSN?250 x\r\n"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(ehlo_reply({.hostname = "mx", .capabilities = row.capabilities}, row.whom), row.want)
        << row.what;
  }
  EXPECT_EQ(ehlo_reply({.hostname = std::string(600, 'h'), .capabilities = std::string(600, 'c')},
                       EhloFor::kEveryone)
                .size(),
            2 * kReplyLineMax);
}

}  // namespace
}  // namespace lychgate::smtp
