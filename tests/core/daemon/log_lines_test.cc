// The words of the log lines, compared whole: tools of others read them.

#include "core/daemon/log_lines.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

// The first list is named otherwise to refused clients; so is the second, a paid one.
std::vector<config::List> example_lists() {
  std::vector<config::List> lists(2);
  lists[0].name = "bl.example.net";
  lists[0].reply_name = "the Example list";
  lists[1].name = "$key.paid.example.net";
  lists[1].reply_name = "paid.example.net";
  return lists;
}

LogEvent event_of(LogKind kind, const char* client) {
  LogEvent event;
  event.kind = kind;
  event.address = IpAddress::parse(client).value();
  event.port = 1044;
  return event;
}

std::string words_of(const LogEvent& event) {
  config::Config config;
  config.listens.push_back({.name = "a", .address = Endpoint::parse("192.0.2.25:25").value()});
  const std::vector<config::List> lists = example_lists();
  LogLine line;
  put_into_words(event, {.config = config, .lists = lists}, line);
  return std::string(line.text());
}

TEST(LogLines, HaveTheWordsOfPostscreen) {
  struct Row {
    LogKind kind;
    const char* want;
  };
  const Row rows[] = {
      {LogKind::kConnect, "CONNECT from [203.0.113.5]:1044 to [192.0.2.25]:25"},
      {LogKind::kAllowlisted, "ALLOWLISTED [203.0.113.5]:1044"},
      {LogKind::kDenylisted, "DENYLISTED [203.0.113.5]:1044"},
      {LogKind::kPassNew, "PASS NEW [203.0.113.5]:1044"},
      {LogKind::kPassOld, "PASS OLD [203.0.113.5]:1044"},
      {LogKind::kPregreet, "PREGREET 6 after 0.12 from [203.0.113.5]:1044: EHLO\\r\\n"},
      {LogKind::kHangup,
       "HANGUP after 0.12 from [203.0.113.5]:1044 in tests before SMTP handshake"},
      {LogKind::kRejectReply,
       "NOQUEUE: reject: CONNECT from [203.0.113.5]:1044: 550 5.5.1 Protocol error"},
      {LogKind::kRejectPerAddress,
       "NOQUEUE: reject: CONNECT from [203.0.113.5]:1044: too many connections"},
      {LogKind::kRejectScreening,
       "reject: connect from [203.0.113.5]:1044: all screening ports busy"},
      {LogKind::kRejectServer,
       "NOQUEUE: reject: CONNECT from [203.0.113.5]:1044: all server ports busy"},
      {LogKind::kDisconnect, "DISCONNECT [203.0.113.5]:1044"},
      {LogKind::kListsRank, "DNSBL rank 6 for [203.0.113.5]:1044"},
  };
  for (const Row& row : rows) {
    LogEvent event = event_of(row.kind, "203.0.113.5");
    event.since = milliseconds{120};
    event.said = 6;
    std::string_view("EHLO\r\n").copy(event.quoted.data(), 6);
    event.reply = smtp::ReplyId::kRefuseProtocol;
    event.score = 6;
    EXPECT_EQ(words_of(event), row.want);
  }
}

TEST(LogLines, TellWhatAListSaid) {
  struct Row {
    const char* what;
    const char* client;
    uint8_t list;
    int16_t weight;
    const char* want;
  };
  const Row rows[] = {
      {"a listing", "203.0.113.5", 0, 3,
       "addr 203.0.113.5 listed by domain bl.example.net as 127.0.0.4 (weight 3, ttl 120)"},
      {"a paid list is named by its key's name", "203.0.113.5", 1, -2,
       "addr 203.0.113.5 listed by domain $key.paid.example.net as 127.0.0.4 (weight -2, ttl 120)"},
      {"an IPv6 client", "2001:db8::5", 0, 3,
       "addr 2001:db8::5 listed by domain bl.example.net as 127.0.0.4 (weight 3, ttl 120)"},
  };
  for (const Row& row : rows) {
    LogEvent event = event_of(LogKind::kListed, row.client);
    event.list = row.list;
    event.weight = row.weight;
    event.code = 0x7f000004;
    event.ttl = 120;
    EXPECT_EQ(words_of(event), row.want) << row.what;
  }
}

TEST(LogLines, NameTheListThatRefused) {
  struct Row {
    const char* what;
    const char* client;
    uint8_t list;
    const char* want;
  };
  const Row rows[] = {
      {"by its reply name", "203.0.113.5", 0,
       "NOQUEUE: reject: CONNECT from [203.0.113.5]:1044: 550 5.7.1 Service unavailable; client "
       "[203.0.113.5] blocked using the Example list"},
      {"a paid list without its key", "2001:db8::5", 1,
       "NOQUEUE: reject: CONNECT from [2001:db8::5]:1044: 550 5.7.1 Service unavailable; client "
       "[2001:db8::5] blocked using paid.example.net"},
      {"no list is known", "203.0.113.5", kNoList,
       "NOQUEUE: reject: CONNECT from [203.0.113.5]:1044: 550 5.7.1 Service unavailable; client "
       "blocked using a DNS list"},
  };
  for (const Row& row : rows) {
    LogEvent event = event_of(LogKind::kRejectListed, row.client);
    event.list = row.list;
    event.reply = smtp::ReplyId::kRefuseListed;
    EXPECT_EQ(words_of(event), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::daemon
