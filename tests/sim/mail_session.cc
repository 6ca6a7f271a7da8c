// The gate's questions and the answers to them.

#include "tests/sim/mail_session.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "handoff/proxy_header.h"

namespace lychgate::sim {

using ring::Op;

namespace {

constexpr const char* kAllCapabilities[] = {
    "SIZE 1000000",     "STARTTLS", "8BITMIME",   "DSN",
    "AUTH PLAIN LOGIN", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES",
    "CHUNKING"};

}  // namespace

std::vector<std::string> draw_capabilities(Random& random) {
  std::vector<std::string> out;
  const bool all = random.one_in(2);
  for (const char* each : kAllCapabilities) {
    if (all || random.one_in(2)) out.emplace_back(each);
  }
  return out;
}

MailScript draw_mail_script(Random& random, const ServerScript& manners, bool sick,
                            const std::vector<std::string>& capabilities) {
  MailScript out{.manners = manners, .capabilities = capabilities};
  out.in_pieces = random.one_in(5);
  if (!sick) return out;
  if (manners.manner == Manner::kBusy) out.trouble = Trouble::kBusy;
  if (manners.manner == Manner::kMute) out.trouble = Trouble::kMute;
  if (manners.manner == Manner::kCloseEarly) out.trouble = Trouble::kClose;
  if (manners.manner == Manner::kResetEarly) out.trouble = Trouble::kReset;
  if (out.trouble != Trouble::kNone || random.one_in(2)) return out;
  out.trouble = static_cast<Trouble>(random.between(1, static_cast<uint64_t>(Trouble::kTwice)));
  out.at = random.pick({MailStep::kGreeting, MailStep::kHello, MailStep::kHello, MailStep::kMail,
                        MailStep::kPending, MailStep::kPending, MailStep::kQuit});
  // As its next reply, the second would be the client's.
  if (out.at == MailStep::kGreeting && out.trouble == Trouble::kTwice) out.at = MailStep::kHello;
  if (random.one_in(4)) out.capabilities = draw_capabilities(random);
  return out;
}

MailSession::MailSession(Cast& cast, const SocketPtr& socket, const config::Pool& pool,
                         bool by_pass, MailScript script)
    : Actor(cast.stage),
      cast_(cast),
      socket_(socket),
      pool_(pool),
      script_(std::move(script)),
      number_(static_cast<uint32_t>(cast.sessions.size())),
      headed_(by_pass || pool.proxy == config::ProxyHeader::kNone),
      stream_(server_key(number_)),
      connected_at_(cast.stage.agenda.now()) {
  // Where it may come in two pieces nobody can tell the second reply from the next.
  const bool torn = script_.in_pieces || cast.scenario.kernel.faults.short_read_percent > 0;
  if (torn && script_.trouble == Trouble::kTwice) script_.trouble = Trouble::kRefusal;
  wake_at(connected_at_ + script_.manners.greets_after);
  if (headed_ || is_check()) return;
  std::array<char, handoff::kProxyHeaderMax> bytes;
  const ClientScript& from = client().script();
  const size_t size =
      handoff::write_proxy_header(pool.proxy, {.client = from.from, .server = from.to}, bytes);
  header_.assign(bytes.data(), size);
}

void MailSession::fault(const std::string& text) {
  stage_.reactor.violation(
      fmt::format("mail session {} of client {}: {}", number_, socket_->client, text));
}

void MailSession::written(Op op, std::span<const char> bytes) {
  if (op == Op::kCheckSend) {
    if (!is_check()) fault("a check in a client's name");
    lines_due_ += bytes.size();
    return;
  }
  if (is_check()) return fault("a client's bytes over the connection of a check");
  if (op == Op::kBackendHeader) {
    if (std::string_view(bytes.data(), bytes.size()) != header_) fault("a wrong PROXY header");
  } else if (op == Op::kReplaySend) {
    told(bytes);
  } else if (op == Op::kRelaySend) {
    if (replayed_ && !answered_) fault("the client's stream before its last command");
    if (!streams_ && !replayed_) base_ = 0;
    streams_ = true;
  } else {
    fault("written to by an operation that should not");
  }
}

// A line of the replay is on its way.
void MailSession::told(std::span<const char> bytes) {
  if (streams_ || answered_) fault("told more after the client's last command");
  const bool waits = greeted_ && out_.empty();
  if (!waits && script_.trouble == Trouble::kNone) fault("told something before its reply");
  if (!std::string_view(bytes.data(), bytes.size()).ends_with("\r\n")) fault("told half a line");
  replayed_ = true;
  base_ = client().consumed();
  lines_due_ += bytes.size();
}

void MailSession::act() {
  read();
  if (socket_->near_closed || socket_->broken || left_) return;
  const Time now = stage_.agenda.now();
  const ServerScript& manners = script_.manners;
  if (manners.dies && now >= connected_at_ + *manners.dies) return leave(true);
  const Time greets_at = connected_at_ + manners.greets_after;
  if (!greeted_ && now >= greets_at) {
    greeted_ = true;
    answer(MailStep::kGreeting);
  }
  write();
  if (left_) return;
  stream();
  maybe_finish();
  if (left_) return;
  if (manners.dies) wake_at(std::max(now + 1, connected_at_ + *manners.dies));
  if (!greeted_) wake_at(std::max(now + 1, greets_at));
  if (next_write_ > now) wake_at(next_write_);
  const bool slow = manners.reading == Reading::kSlow && !socket_->tx.empty();
  if (slow) wake_at(now + 1 + stage_.random.between(0, manners.pace));
}

void MailSession::read() {
  const Reading reading = script_.manners.reading;
  if (reading == Reading::kNever) return;
  char chunk[16384];
  for (;;) {
    const size_t most = reading == Reading::kSlow ? stage_.random.between(1, 2000) : sizeof(chunk);
    const size_t bytes = stage_.reactor.take(*socket_, std::span(chunk).first(most));
    if (bytes == 0) return;
    hear({chunk, bytes});
    if (reading == Reading::kSlow && !socket_->near_closed) return;
  }
}

// Of a check only its form is known: version 1 ends with its line, version 2 tells its size.
void MailSession::skip_header(std::string_view& bytes) {
  while (!bytes.empty() && !headed_) {
    check_head_ += bytes.front();
    bytes.remove_prefix(1);
    if (lines_due_ > 0) --lines_due_;
    if (pool_.proxy == config::ProxyHeader::kV1) {
      headed_ = check_head_.ends_with("\r\n");
    } else if (check_head_.size() >= 16) {
      const auto rest = static_cast<size_t>(static_cast<uint8_t>(check_head_[14]) << 8 |
                                            static_cast<uint8_t>(check_head_[15]));
      headed_ = check_head_.size() == 16 + rest;
    }
  }
}

void MailSession::hear(std::string_view bytes) {
  if (is_check()) {
    skip_header(bytes);
  } else {
    const size_t of_header = std::min(header_.size(), bytes.size());
    if (bytes.substr(0, of_header) != header_.substr(0, of_header)) fault("no PROXY header");
    header_.erase(0, of_header);
    bytes.remove_prefix(of_header);
  }
  while (!bytes.empty() && lines_due_ > 0) {
    line_ += bytes.front();
    bytes.remove_prefix(1);
    --lines_due_;
    if (line_.ends_with("\r\n")) obey(std::exchange(line_, {}));
  }
  if (bytes.empty()) return;
  if (is_check()) return fault("bytes that nobody has sent");
  if (!client().is_right(base_ + in_, bytes)) {
    fault("a byte of its client is lost, repeated or foreign");
  }
  in_ += bytes.size();
}

void MailSession::obey(const std::string& line) {
  const std::string text = line.substr(0, line.size() - 2);
  if (is_check()) return obey_check(text);
  const Replayed want = client().replayed(base_);
  if (hello_told_ && want.hello.starts_with("EHLO") &&
      !client().may_be_told(script_.capabilities)) {
    fault("goes on though it announced less than the client was told");
  }
  if (text == want.pending) {
    if (!want.hello.empty() && !hello_told_) fault("told a command without the HELO before it");
    if (!want.mail.empty() && !mail_told_) fault("told RCPT without the MAIL before it");
    return answer(MailStep::kPending);
  }
  if (text == want.hello && !hello_told_) {
    hello_told_ = true;
    return answer(MailStep::kHello);
  }
  if (text != want.mail || mail_told_) {
    return fault(fmt::format("told \"{}\", which its client did not say", text));
  }
  mail_told_ = true;
  answer(MailStep::kMail);
}

void MailSession::obey_check(const std::string& text) {
  if (text == "QUIT") return answer(MailStep::kQuit);
  if (!text.starts_with("EHLO ")) return fault(fmt::format("a check that says \"{}\"", text));
  answer(MailStep::kHello);
}

std::string MailSession::right_reply(MailStep step) {
  Random& random = stage_.random;
  switch (step) {
    case MailStep::kGreeting:
      return fmt::format("220 {:08x}\r\n", number_);
    case MailStep::kHello: {
      std::vector<std::string> lines = {fmt::format("{:08x}", number_)};
      lines.insert(lines.end(), script_.capabilities.begin(), script_.capabilities.end());
      std::string out;
      for (size_t i = 0; i < lines.size(); ++i) {
        out += fmt::format("250{}{}\r\n", i + 1 < lines.size() ? "-" : " ", lines[i]);
      }
      return out;
    }
    case MailStep::kMail:
      return fmt::format("250 {:08x}\r\n", number_);
    case MailStep::kPending: {
      const int code = random.pick({250, 250, 220, 334, 454, 451, 550, 554});
      std::string out;
      for (uint64_t n = random.one_in(4) ? random.between(1, 60) : 0; n > 0; --n) {
        out += fmt::format("{}-{:08x}\r\n", code, number_);
      }
      return out + fmt::format("{} {:08x}\r\n", code, number_);
    }
    case MailStep::kQuit:
      break;
  }
  return "221 bye\r\n";
}

std::string MailSession::reply(MailStep step) {
  switch (script_.trouble) {
    case Trouble::kNone:
      break;
    case Trouble::kBusy:
      closes_ = true;
      return "421 busy\r\n";
    case Trouble::kRefusal:
      return fmt::format("554 {:08x}\r\n", number_);
    case Trouble::kGarbage:
      return std::string(stage_.random.between(1, 5000), '\x01') + "\r\n";
    case Trouble::kNoCode:
      return "999 what\r\n";
    case Trouble::kEndless:
      endless_ = true;
      return "250-more\r\n";
    case Trouble::kHalf:
      closes_ = true;
      return "25";
    case Trouble::kTwice:
      return right_reply(step) + "250 injected\r\n";
    case Trouble::kMute:
    case Trouble::kClose:
    case Trouble::kReset:
      return "";
  }
  return right_reply(step);
}

void MailSession::answer(MailStep step) {
  const bool trouble = script_.trouble != Trouble::kNone && script_.at == step;
  if (trouble && script_.trouble == Trouble::kClose) return leave(false);
  if (trouble && script_.trouble == Trouble::kReset) return leave(true);
  out_ += trouble ? reply(step) : right_reply(step);
  answered_ = answered_ || step == MailStep::kPending;
  closes_ = closes_ || step == MailStep::kQuit;
  // Who waits for what it said before goes on then.
  wake_at(stage_.agenda.now() + stage_.random.between(0, 3));
}

void MailSession::write() {
  const Time now = stage_.agenda.now();
  if (socket_->far_ended || now < next_write_) return;
  if (endless_ && out_.empty()) out_ = "250-more\r\n";
  if (out_.empty()) return;
  const size_t most = script_.in_pieces ? stage_.random.between(1, 10) : out_.size();
  out_.erase(0, stage_.reactor.deliver(*socket_, std::string_view(out_).substr(0, most)));
  if (!out_.empty() || endless_) next_write_ = now + stage_.random.between(1, 20);
  if (out_.empty() && closes_) leave(false);
}

// Its client has heard whom it talks to.
void MailSession::stream() {
  const Time now = stage_.agenda.now();
  if (is_check() || !out_.empty() || socket_->far_ended || now < next_write_) return;
  if (client().server() != number_ || stream_.sent() >= script_.manners.total) return;
  const size_t bytes = stage_.random.between(1, script_.manners.chunk);
  const uint64_t rest = script_.manners.total - stream_.sent();
  if (stream_.send(stage_.reactor, *socket_, std::min<uint64_t>(bytes, rest)) > 0) {
    next_write_ = now + stage_.random.between(1, script_.manners.pace);
  }
}

void MailSession::maybe_finish() {
  if (is_check()) {
    if (socket_->near_shut) leave(false);
    return;
  }
  const bool served = client().server() == number_;
  const bool they_ended = socket_->near_shut && socket_->tx.empty();
  if (!served) {
    if (they_ended) leave(false);
    return;
  }
  if (!out_.empty() || stream_.sent() < script_.manners.total || socket_->far_ended) return;
  switch (script_.manners.finish) {
    case ServerFinish::kAfterAll:
      if (they_ended || base_ + in_ >= client().length()) stage_.reactor.end(*socket_);
      return;
    case ServerFinish::kWaitForEnd:
      if (they_ended) stage_.reactor.end(*socket_);
      return;
    case ServerFinish::kClose:
      return leave(false);
    case ServerFinish::kReset:
      return leave(true);
    case ServerFinish::kNothing:
      return;
  }
}

void MailSession::leave(bool by_reset) {
  left_ = true;
  if (by_reset) return stage_.reactor.reset(*socket_, ECONNRESET);
  stage_.reactor.leave(*socket_);
}

void MailSession::judge() {
  if (is_check()) return;
  Client& other = client();
  if (other.server() != number_ || other.was_killed()) return;
  const ServerScript& manners = script_.manners;
  const bool waits_for_ever =
      other.script().finish == Finish::kAfterThem && manners.finish == ServerFinish::kWaitForEnd;
  const bool polite =
      manners.reading == Reading::kPrompt && !manners.dies &&
      (manners.finish == ServerFinish::kAfterAll || manners.finish == ServerFinish::kWaitForEnd);
  if (!polite || !other.script().polite() || waits_for_ever || !cast_.scenario.plenty) return;
  if (base_ + in_ != other.length()) {
    fault(fmt::format("has {} and {} of the client's {} bytes", base_, in_, other.length()));
  }
  if (other.received() != manners.total) {
    fault(fmt::format("the client has {} of its {} bytes", other.received(), manners.total));
  }
}

}  // namespace lychgate::sim
