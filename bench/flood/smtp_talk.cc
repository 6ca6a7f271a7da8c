// One reply at a time; only the bot says more than it was asked for.

#include "bench/flood/smtp_talk.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::flood {
namespace {

constexpr size_t kTextLine = 72;       // with CRLF, before its dot is doubled
constexpr uint32_t kDottedLine = 8;    // every so many lines begin with a dot
constexpr uint32_t kNoiseLines = 512;  // 3 kB: fits the socket's buffer, floods a slow reader
constexpr std::string_view kQuit = "QUIT\r\n";
constexpr std::string_view kData = "DATA\r\n";

}  // namespace

std::string write_text(uint32_t bytes) {
  std::string out;
  out.reserve(bytes + bytes / kTextLine + kTextLine);
  uint32_t written = 0;
  for (uint32_t line = 0; written < bytes; ++line) {
    // The last line takes what is left over, and no line is shorter than its CRLF.
    size_t length = std::min<size_t>(kTextLine, std::max<uint32_t>(bytes - written, 2));
    if (bytes - written - length == 1) ++length;
    written += static_cast<uint32_t>(length);
    if (line % kDottedLine == 1 && length > 2) {
      out += "..";
      length -= 1;
    }
    for (size_t i = 0; i + 2 < length; ++i) out += static_cast<char>('a' + (line + i) % 26);
    out += "\r\n";
  }
  return out + ".\r\n";
}

Script write_script(const Plan& plan, const Manners& manners, std::string_view date) {
  Script out;
  out.ehlo = fmt::format("EHLO {}\r\n", plan.ehlo);
  out.helo = fmt::format("HELO {}\r\n", plan.ehlo);
  out.early = "EHLO x\r\n";
  out.mail = fmt::format("MAIL FROM:<{}>", plan.mail_from);
  out.rcpt = fmt::format("RCPT TO:<{}>\r\n", plan.rcpt_to);
  out.head = fmt::format("From: <{}>\r\nTo: <{}>\r\nSubject: lychgate-flood\r\nDate: {}\r\n",
                         plan.mail_from, plan.rcpt_to, date);
  out.host = fmt::format("{}.{}", plan.seed, plan.ehlo);
  if (manners.profile == Profile::kLegit || manners.profile == Profile::kBot) {
    out.body = "\r\n" + write_text(manners.message_bytes);
  }
  if (manners.profile == Profile::kNeverReads) {
    out.noise = out.ehlo;
    for (uint32_t i = 0; i < kNoiseLines; ++i) out.noise += "NOOP\r\n";
  }
  return out;
}

void Talk::begin(Profile profile, uint64_t sequence) {
  LYCH_CHECK(profile == Profile::kLegit || profile == Profile::kBot || profile == Profile::kEarly);
  reader_ = smtp::ReplyReader(line_);
  sequence_ = sequence;
  profile_ = profile;
  due_ = Due::kGreeting;
  size_ = refused_ = delivered_ = false;
}

Move Talk::hear(std::string_view bytes, const Script& script, ReplyCounts& replies) {
  Move move;
  while (!move.end) {
    const smtp::ReadReply reply = reader_.read(bytes);
    bytes.remove_prefix(reply.used);
    if (reply.outcome == smtp::ReplyOutcome::kNeedMore) break;
    if (reply.code == 0) {
      move.end = Ending::kBroken;
      break;
    }
    if (due_ == Due::kEhlo && reply.text.starts_with("SIZE")) size_ = true;
    if (reply.outcome == smtp::ReplyOutcome::kContinued) continue;
    ++replies[reply.code];
    // Two replies at once, when only the first was due: the second may only be a farewell.
    if (profile_ == Profile::kLegit && !move.say.empty()) {
      move.end = reply.code >= 400 ? Ending::kRefused : Ending::kBroken;
      break;
    }
    answer(reply.code, script, move);
  }
  return move;
}

Ending Talk::ended_by(Ending what) const {
  if (profile_ == Profile::kLegit) return what;
  if (delivered_) return Ending::kDone;
  return refused_ ? Ending::kRefused : what;
}

void Talk::answer(uint16_t code, const Script& script, Move& move) {
  if (due_ == Due::kGreeting && code == 220) move.greeted = true;
  if (profile_ == Profile::kLegit) return answer_as_legit(code, script, move);
  if (code >= 400) refused_ = true;
  if (profile_ == Profile::kBot) return answer_as_bot(code, script, move);
  answer_as_early(code, move);
}

void Talk::answer_as_legit(uint16_t code, const Script& script, Move& move) {
  struct Wanted {
    uint16_t code;
    uint16_t or_code;
  };
  // In the order of Due. 251: the user is not local, the server forwards.
  constexpr Wanted kWanted[] = {{220, 220}, {250, 250}, {250, 250}, {250, 250},
                                {250, 251}, {354, 354}, {250, 250}, {221, 221}};
  const Wanted& wanted = kWanted[static_cast<size_t>(due_)];
  if (code == wanted.code || code == wanted.or_code) return say_next(script, move);
  if (due_ == Due::kEhlo && code >= 500) {
    // RFC 5321, 3.2: an old server knows HELO only.
    due_ = Due::kHelo;
    move.say.add(script.helo);
    return;
  }
  move.end = code >= 400 ? Ending::kRefused : Ending::kBroken;
}

// The reply that was due has come: says what comes next.
void Talk::say_next(const Script& script, Move& move) {
  switch (due_) {
    case Due::kGreeting:
      due_ = Due::kEhlo;
      return move.say.add(script.ehlo);
    case Due::kEhlo:
    case Due::kHelo:
      due_ = Due::kMail;
      text_ = mail_command(script);
      return move.say.add(text_);
    case Due::kMail:
      due_ = Due::kRcpt;
      return move.say.add(script.rcpt);
    case Due::kRcpt:
      due_ = Due::kData;
      return move.say.add(kData);
    case Due::kData:
      due_ = Due::kMessage;
      text_ = message_head(script);
      move.say.add(text_);
      return move.say.add(script.body);
    case Due::kMessage:
      due_ = Due::kQuit;
      move.delivered = true;
      return move.say.add(kQuit);
    case Due::kQuit:
      move.transacted = true;
      move.end = Ending::kDone;
      return;
  }
}

void Talk::answer_as_bot(uint16_t code, const Script& script, Move& move) {
  if (due_ == Due::kGreeting) {
    if (code != 220) return;
    due_ = Due::kData;
    text_ = script.ehlo + mail_command(script) + script.rcpt + std::string(kData) +
            message_head(script);
    move.say.add(text_);
    move.say.add(script.body);
    move.say.add(kQuit);
    return;
  }
  // It does not care which reply is whose; only these tell what became of the message.
  if (due_ == Due::kMessage) {
    due_ = Due::kQuit;
    move.delivered = delivered_ = code == 250;
  }
  if (code == 354) due_ = Due::kMessage;
}

// Done when its words were accepted as if they had come in time; else it waits to be thrown out.
void Talk::answer_as_early(uint16_t code, Move& move) {
  if (due_ == Due::kGreeting && code == 220) {
    due_ = Due::kEhlo;
  } else if (due_ == Due::kEhlo && code == 250 && !refused_) {
    move.end = Ending::kDone;
  }
}

std::string Talk::mail_command(const Script& script) const {
  if (!size_) return script.mail + "\r\n";
  // RFC 1870: an estimate will do.
  return fmt::format("{} SIZE={}\r\n", script.mail, script.head.size() + script.body.size() + 100);
}

std::string Talk::message_head(const Script& script) const {
  return fmt::format("{}Message-ID: <{}.{}>\r\n", script.head, sequence_, script.host);
}

}  // namespace lychgate::flood
