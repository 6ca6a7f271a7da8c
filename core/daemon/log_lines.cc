// One case for each kind of line.

#include "core/daemon/log_lines.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

// dnsblog's words first, so that what reads its lines reads ours.
void say_listed(const LogEvent& event, const Words& words, LogLine& line) {
  const IpAddress code = IpAddress::from_v4(event.code);
  line.add("addr {} listed by domain {} as {} (weight {}, ttl {})", event.address.text(),
           event.list < words.lists.size() ? words.lists[event.list].name : "?", code.text(),
           event.weight, event.ttl);
}

// "COMMAND PIPELINING from [192.0.2.1]:25 after EHLO".
LogLine& say_conduct(std::string_view what, const LogEvent& event, LogLine& line) {
  line.add("{} from ", what).client(event.address, event.port);
  return line.add(" after ");
}

std::string_view said_by(const LogEvent& event) {
  return {event.quoted.data(), std::min<size_t>(event.said, kQuotedBytesMax)};
}

// The lines of a dialogue. REQUIRES: the event is one.
void say_dialogue(const LogEvent& event, LogLine& line) {
  const std::string_view after = smtp::verb_word(event.after);
  switch (event.kind) {
    case LogKind::kCommandPipelining:
      say_conduct("COMMAND PIPELINING", event, line)
          .escaped({event.word.data(), event.word_size})
          .add(": ")
          .escaped(said_by(event));
      return;
    case LogKind::kNonSmtpCommand:
      say_conduct("NON-SMTP COMMAND", event, line).add("{}: ", after).escaped(said_by(event));
      return;
    case LogKind::kBareNewline:
      say_conduct("BARE NEWLINE", event, line).escaped(said_by(event));
      return;
    case LogKind::kTimeLimit:
      say_conduct("COMMAND TIME LIMIT", event, line).add("{}", after);
      return;
    case LogKind::kCountLimit:
      say_conduct("COMMAND COUNT LIMIT", event, line).add("{}", after);
      return;
    case LogKind::kLengthLimit:
      say_conduct("COMMAND LENGTH LIMIT", event, line).add("{}", after);
      return;
    case LogKind::kDataWithoutRcpt:
      line.add("DATA without valid RCPT from ").client(event.address, event.port);
      return;
    case LogKind::kBdatWithoutRcpt:
      line.add("BDAT without valid RCPT from ").client(event.address, event.port);
      return;
    default:
      LYCH_CHECK(false);
  }
}

}  // namespace

void say_reply(const LogEvent& event, const Words& words, LogLine& line) {
  if (event.list >= words.lists.size()) {
    line.add("{}", smtp::reply_text(event.reply));
    return;
  }
  std::array<char, smtp::kReplyLineMax> reply;
  const size_t size = smtp::write_listed_reply(
      event.reply,
      {.client = event.address, .reply_name = words.lists[event.list].reply_name, .reason = {}},
      reply);
  std::string_view text(reply.data(), size);
  text.remove_suffix(2);  // CRLF
  line.add("{}", text);
}

namespace {

// Of lines that are a word and the client. REQUIRES: the kind is one of these.
std::string_view bare_word(LogKind kind) {
  switch (kind) {
    case LogKind::kAllowlisted:
      return "ALLOWLISTED";
    case LogKind::kDenylisted:
      return "DENYLISTED";
    case LogKind::kPassNew:
      return "PASS NEW";
    case LogKind::kPassOld:
      return "PASS OLD";
    default:
      return "DISCONNECT";
  }
}

// Who is turned away in the greeting. REQUIRES: the event is one of these.
void say_turned_away(const LogEvent& event, const Words& words, LogLine& line) {
  // As in postscreen.
  const bool screening = event.kind == LogKind::kRejectScreening;
  line.add("{} from ", screening ? "reject: connect" : "NOQUEUE: reject: CONNECT");
  line.client(event.address, event.port).add(": ");
  switch (event.kind) {
    case LogKind::kRejectPerAddress:
      line.add("too many connections");
      return;
    case LogKind::kRejectScreening:
      line.add("all screening ports busy");
      return;
    case LogKind::kRejectServer:
      line.add("all server ports busy");
      return;
    case LogKind::kRejectListed:
      return say_reply(event, words, line);
    default:
      line.add("{}", smtp::reply_text(event.reply));
  }
}

}  // namespace

void put_into_words(const LogEvent& event, const Words& words, LogLine& line) {
  const auto client = [&]() -> LogLine& { return line.client(event.address, event.port); };
  switch (event.kind) {
    case LogKind::kConnect: {
      // A wildcard listener's local address is not known before the hand-off; asking the kernel
      // for it would cost more than the accept (measured: 3.4 us against 2.4 us).
      const Endpoint& local = words.config.listens[event.listener].address;
      line.add("CONNECT from ");
      client().add(" to ").client(local.address, local.port);
      return;
    }
    case LogKind::kPregreet:
      line.add("PREGREET {} after ", event.said).seconds(event.since).add(" from ");
      client().add(": ").escaped(said_by(event));
      return;
    case LogKind::kHangup:
    case LogKind::kHangupTalking:
      line.add("HANGUP after ").seconds(event.since).add(" from ");
      client().add(" in tests {} SMTP handshake",
                   event.kind == LogKind::kHangup ? "before" : "after");
      return;
    case LogKind::kAllowlisted:
    case LogKind::kDenylisted:
    case LogKind::kPassNew:
    case LogKind::kPassOld:
    case LogKind::kDisconnect:
      line.add("{} ", bare_word(event.kind));
      client();
      return;
    case LogKind::kListsRank:
      line.add("DNSBL rank {} for ", event.score);
      client();
      return;
    case LogKind::kListed:
      say_listed(event, words, line);
      return;
    case LogKind::kProxyFailed:
      line.add("warning: PROXY header from ");
      client().add(": ").add("{}", said_by(event));
      return;
    case LogKind::kCommandPipelining:
    case LogKind::kNonSmtpCommand:
    case LogKind::kBareNewline:
    case LogKind::kTimeLimit:
    case LogKind::kCountLimit:
    case LogKind::kLengthLimit:
    case LogKind::kDataWithoutRcpt:
    case LogKind::kBdatWithoutRcpt:
      return say_dialogue(event, line);
    case LogKind::kRejectReply:
    case LogKind::kRejectPerAddress:
    case LogKind::kRejectScreening:
    case LogKind::kRejectServer:
    case LogKind::kRejectListed:
      return say_turned_away(event, words, line);
    case LogKind::kRejectRcpt:
      break;
  }
}

}  // namespace lychgate::daemon
