// A client's talk with the gate, and what it thinks of the answers.

#include <algorithm>
#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "tests/sim/client.h"

namespace lychgate::sim {

using ring::Op;
using smtp::ReplyId;

namespace {

bool is_reply_line(std::string_view line) {
  return line.size() >= 6 && std::isdigit(static_cast<unsigned char>(line[0])) != 0 &&
         std::isdigit(static_cast<unsigned char>(line[1])) != 0 &&
         std::isdigit(static_cast<unsigned char>(line[2])) != 0 &&
         (line[3] == ' ' || line[3] == '-') && line.ends_with("\r\n");
}

bool is_whole_reply(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos || !is_reply_line(bytes.substr(0, end + 1))) return false;
    const bool last = bytes[3] == ' ';
    bytes.remove_prefix(end + 1);
    if (last != bytes.empty()) return false;
  }
  return true;
}

// "250 0000002a\r\n": who of the backends says so.
std::optional<uint32_t> session_in(std::string_view line) {
  if (line.size() != 14) return std::nullopt;
  uint32_t out = 0;
  const auto [end, error] = std::from_chars(line.data() + 4, line.data() + 12, out, 16);
  if (error != std::errc() || end != line.data() + 12) return std::nullopt;
  return out;
}

bool is_refusal(ReplyId id) {
  return id == ReplyId::kRefuseProtocol || id == ReplyId::kRefuseService ||
         id == ReplyId::kRefuseListed || id == ReplyId::kDefer;
}
bool is_drop(ReplyId id) {
  return id == ReplyId::kDropProtocol || id == ReplyId::kDropService ||
         id == ReplyId::kDropListed || id == ReplyId::kDropNonSmtp;
}

// The connection ends with it.
bool is_last(ReplyId id) {
  switch (id) {
    case ReplyId::kBye:
    case ReplyId::kDataUsage:
    case ReplyId::kDataNeedsRcpt:
    case ReplyId::kBdatUsage:
    case ReplyId::kBdatNeedsMail:
    case ReplyId::kNoValidRecipients:
      return true;
    default:
      return is_drop(id) || smtp::reply_text(id).starts_with("421");
  }
}

// What a gate may say to one who does nothing wrong.
bool is_kind(ReplyId id) {
  return id == ReplyId::kGreeting || id == ReplyId::kHelo || id == ReplyId::kEhlo ||
         id == ReplyId::kOk || id == ReplyId::kBye || smtp::reply_text(id).starts_with("421");
}

}  // namespace

uint64_t Client::taken() const {
  return header_sent_ + sent() - std::min<uint64_t>(header_sent_ + sent(), socket_->rx.size());
}

uint64_t Client::consumed() const {
  return taken() - std::min<uint64_t>(taken(), script_.header.size());
}

bool Client::introduced() const {
  return !script_.proxied() || (script_.header_good && taken() >= script_.header.size());
}

bool Client::is_right(uint64_t offset, std::string_view bytes) const {
  if (offset < said_.size()) {
    const std::string_view mine = std::string_view(said_).substr(offset, bytes.size());
    if (bytes.substr(0, mine.size()) != mine) return false;
    bytes.remove_prefix(mine.size());
    offset += mine.size();
  }
  return bytes.empty() || !content_.first_difference(offset - said_.size(), bytes);
}

bool Client::may_be_told(const std::vector<std::string>& capabilities) const {
  std::string_view rest = told_;
  rest.remove_prefix(std::min(rest.size(), rest.find('\n') + 1));
  while (rest.size() > 6) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(4, end - 5);
    const std::string_view keyword = line.substr(0, line.find(' '));
    const bool there = std::ranges::any_of(capabilities, [&](const std::string& each) {
      return std::string_view(each).substr(0, each.find(' ')) == keyword;
    });
    if (!there) return false;
    rest.remove_prefix(end + 1);
  }
  return true;
}

Time Client::shortest(milliseconds usual,
                      std::optional<milliseconds> config::LevelSettings::*of_level) const {
  milliseconds out = usual;
  const config::Overload& overload = scenario_.config.overload;
  for (const auto* level : {&overload.busy, &overload.stress, &overload.emergency}) {
    if (talks() && level->*of_level) out = std::min(out, *(level->*of_level));
  }
  return static_cast<Time>(out.count());
}

Time Client::shortest_wait() const {
  return shortest(scenario_.config.greet.wait, &config::LevelSettings::greet_wait);
}

Time Client::shortest_timeout() const {
  return shortest(scenario_.config.dns.timeout, &config::LevelSettings::dns_timeout);
}

// For whoever reads of a violation.
std::string Client::talk_so_far() const {
  std::string out = fmt::format("; it had said {} of {} bytes: \"", consumed(), sent());
  for (const char c : said_.substr(0, 300)) {
    const bool plain = c >= 32 && c < 127;
    out += plain ? std::string(1, c) : fmt::format("\\{:02x}", static_cast<uint8_t>(c));
  }
  out += "\", and heard";
  for (const ReplyId id : replies_) out += fmt::format(" {}", smtp::reply_text(id).substr(0, 9));
  const config::Dialogue& rules = scenario_.config.dialogue;
  return out + fmt::format(
                   "; early {}, clean {}, offender {}, known {}, proxied {}, seen {}{}{}, "
                   "actions {}{}{}{}{}, handed over {}, server {}, failed {}",
                   script_.speaks_early.has_value(), script_.talk.clean, offender_, known_,
                   script_.proxied(), found_silent_, found_talking_, found_gone_,
                   static_cast<int>(scenario_.config.greet.pregreet),
                   static_cast<int>(scenario_.config.dnsl.action),
                   static_cast<int>(rules.pipelining.action),
                   static_cast<int>(rules.non_smtp_command.action),
                   static_cast<int>(rules.bare_newline.action), handed_over_, server_.has_value(),
                   record_.failed);
}

void Client::send_header() {
  const size_t piece = script_.header.size() / script_.header_pieces + 1;
  const auto rest = std::string_view(script_.header).substr(header_sent_, piece);
  header_sent_ += stage_.reactor.deliver(*socket_, rest);
  next_write_ = stage_.agenda.now() + stage_.random.between(1, script_.pace);
}

bool Client::may_speak() const {
  if (awaits_ || broke_off_ || spoken_ >= script_.talk.says.size()) return false;
  if (script_.proxied() && !script_.header_good) return false;
  if (greeted_ || heard_any_) return greeted_ || script_.speaks_early.has_value();
  const bool early =
      script_.speaks_early && stage_.agenda.now() >= script_.arrives + *script_.speaks_early;
  return early && spoken_ < script_.talk.early;
}

void Client::speak() {
  const Time now = stage_.agenda.now();
  if (left_ || socket_->far_ended || now < next_write_) return;
  if (header_sent_ < script_.header.size()) return send_header();
  const TalkScript& talk = script_.talk;
  if (unsaid_.empty()) {
    if (!may_speak()) return;
    unsaid_ = talk.says[spoken_].bytes;
    // Before it is greeted it waits for nothing.
    awaits_ = talk.says[spoken_].awaits && (greeted_ || spoken_ + 1 >= talk.early);
    if (talk.breaks_off == spoken_) {
      unsaid_.resize(stage_.random.between(0, unsaid_.size()));
      broke_off_ = true;
    }
    ++spoken_;
  }
  const auto part = std::string_view(unsaid_).substr(0, stage_.random.between(1, talk.chunk));
  const size_t sent = stage_.reactor.deliver(*socket_, part);
  if (sent == 0) return;
  if (!first_byte_at_) first_byte_at_ = now;
  said_ += unsaid_.substr(0, sent);
  unsaid_.erase(0, sent);
  next_write_ = now + stage_.random.between(1, talk.pace);
}

// What it hears comes from a backend, from the first byte on.
bool Client::is_served_directly() const {
  return (relayed_ && !handed_over_) || socket_->claims > 0 || released_claimed_;
}

void Client::hear_in_talk(std::string_view bytes) {
  while (!bytes.empty() && !server_ && !deaf_) {
    heard_any_ = true;
    const size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, std::min(end, bytes.size() - 1) + 1);
    // What the gate said before it handed the client off is heard behind that.
    if (expected_.starts_with(part)) {
      expected_.erase(0, part.size());
    } else if (!is_served_directly() && !tarpitted_) {
      return fault("heard what the gate did not say");
    }
    line_ += part;
    bytes.remove_prefix(part.size());
    if (end != std::string_view::npos) hear_whole_line(std::exchange(line_, {}));
  }
  if (server_ && !in_->receive(bytes)) fault("a byte of its server is lost, repeated or foreign");
}

void Client::hear_whole_line(const std::string& line) {
  if (!is_reply_line(line)) {
    if (!is_served_directly()) fault(fmt::format("heard \"{}\"", line.substr(0, line.size() - 1)));
    deaf_ = true;
    return;
  }
  ends_whole_ = line[3] == ' ';
  if (line.starts_with("220-gate.example")) {
    if (teased_ && !tarpitted_) fault("teased twice");
    teased_ = true;
    ends_whole_ = true;
    return;
  }
  const auto session = session_in(line);
  if (session && ends_whole_) {
    server_ = session;
    in_.emplace(server_key(*session));
    wake_server();
  } else if (!session && is_served_directly()) {
    deaf_ = true;
  } else if (!session && ends_whole_) {
    hear_answer(line);
  }
}

// Its server speaks only once it was heard; to one who says nothing more nobody tells it that.
void Client::wake_server() {
  const bool there = *server_ < crowd_.sessions->size() && (*crowd_.sessions)[*server_];
  if (script_.total == 0 && there) (*crowd_.sessions)[*server_]->poke();
}

void Client::hear_answer(const std::string& line) {
  if (line.starts_with("220") && !greeted_) {
    greeted_ = true;
  } else {
    awaits_ = false;
  }
}

bool Client::must_be_last() const {
  const std::string pending = replayed(consumed()).pending;
  std::string verb = pending.substr(0, pending.find(' '));
  std::ranges::transform(verb, verb.begin(), [](unsigned char c) { return std::toupper(c); });
  const config::DialogueTest& test = scenario_.config.dialogue.pipelining;
  return verb == "STARTTLS" || (test.enable && counts_against(test.action));
}

void Client::written_in_talk(Op op, std::span<const char> bytes) {
  if (!introduced()) fault("spoken to before its header was whole");
  const std::string_view text(bytes.data(), bytes.size());
  if (op == Op::kTeaser) {
    if (kernel_holds() || allowlisted() || known_ || offender_ || gate_greeted_ || relayed_)
      fault("teased at the wrong time");
    expected_ += text;
  } else if (op == Op::kReply) {
    written_reply(text);
  } else if (op == Op::kDrip) {
    if (text.size() != 1 || reply_ || relayed_) fault("a drip that is none");
    if (!tarpitted_ && !may_be_guilty()) fault("held although it failed no test");
    tarpitted_ = true;
  } else if (op == Op::kReplaySend) {
    if (handed_over_) fault("handed over twice");
    if (off_hook_ && must_be_last()) fault("handed over with bytes behind its last command");
    if (!is_whole_reply(text)) fault("a backend's reply that is not whole");
    handed_over_ = relayed_ = true;
    expected_ += text;
  } else if (op == Op::kRelaySend) {
    if (gate_greeted_ && !handed_over_) fault("relayed before its last command was answered");
    relayed_ = true;
  } else {
    fault("written to by an operation that should not");
  }
}

void Client::written_reply(std::string_view bytes) {
  if (reply_) fault("a reply after the last one");
  if (relayed_) fault("a reply of the gate after the hand-over");
  if (tarpitted_) {
    reply_ = ReplyId::kRefuseProtocol;
    return;
  }
  const auto id = identify(bytes);
  if (!id || !is_whole_reply(bytes)) {
    return fault(fmt::format("a reply that is none: {}", bytes));
  }
  if (bytes.size() > socket_->tx_room()) unread_ = true;
  expected_ += bytes;
  replies_.push_back(*id);
  reply_line_ = bytes;
  if (is_last(*id)) reply_ = id;
  check_reply(*id, bytes);
}

void Client::check_reply(ReplyId id, std::string_view bytes) {
  if (id == ReplyId::kGreeting) {
    if (gate_greeted_) fault("greeted twice");
    if (found_talking_ && counts_against(scenario_.config.greet.pregreet)) {
      fault("greeted although it was seen to speak early");
    }
    gate_greeted_ = true;
  }
  // One line alone is the answer to HELO, too.
  if (id == ReplyId::kEhlo || id == ReplyId::kHelo) told_ = bytes;
  if (id == ReplyId::kRefuseListed || id == ReplyId::kDropListed) check_listed_reply(bytes);
  if (may_be_guilty()) return;
  // Bytes behind what must be the last are answered so whatever the tests are.
  const bool hurries = script_.talk.pipelines || (script_.speaks_early && script_.talk.early > 1);
  if (id == ReplyId::kDropProtocol && hurries) return;
  if (is_refusal(id) || is_drop(id)) fault("refused although it failed no test");
  if (id == ReplyId::kMailOk) fault("its MAIL is taken although it failed no test");
  if (script_.talk.clean && !script_.speaks_early && !is_kind(id)) {
    fault(fmt::format("did nothing wrong, and hears {}", smtp::reply_text(id)));
  }
}

bool Client::action_counts(const config::DialogueTest& test) const {
  return test.enable && test.action != config::Action::kIgnore;
}

// On an earlier visit, as it was told of when this one came or since.
bool Client::has_record() const {
  for (size_t test = 0; test < kScreenTestCount; ++test) {
    if (may_have_failed(static_cast<ScreenTest>(test))) return true;
  }
  return false;
}

bool Client::may_be_guilty() const {
  const config::Config& config = scenario_.config;
  if (is_on_reject_list() || offender_ || has_record()) return true;
  if (found_talking_ && config.greet.pregreet != config::Action::kIgnore) return true;
  const bool listed = asks_lists() && config.dnsl.action != config::Action::kIgnore &&
                      most_of_lists() >= config.dnsl.threshold;
  const TalkScript& talk = script_.talk;
  const bool hurries = talk.pipelines || (script_.speaks_early && talk.early > 1);
  return listed || (hurries && action_counts(config.dialogue.pipelining)) ||
         (talk.bare && action_counts(config.dialogue.bare_newline)) ||
         (talk.foreign && action_counts(config.dialogue.non_smtp_command));
}

// In the middle of its session; those who failed are handed over to those alone who take mail of
// anybody.
void Client::check_handed_over() {
  const std::string kept = said_.substr(0, consumed());
  const config::Dialogue& dialogue = scenario_.config.dialogue;
  if (kept.empty() || ends_with_exempt(kept, dialogue.exempt)) return;
  const auto taken = [&](const config::DialogueTest& test, ScreenTest which) {
    return test.enable && counts_against(test.action) && !may_be_spared(which);
  };
  if (taken(dialogue.bare_newline, ScreenTest::kBareNewline) && has_bare_newline(kept)) {
    fault("handed over although it ended a line with LF alone");
  }
  if (taken(dialogue.non_smtp_command, ScreenTest::kNonSmtp) && has_foreign_word(kept)) {
    fault("handed over although it spoke another protocol");
  }
}

// Closed without a word: it does not read what it is told, or did not say who it is.
bool Client::may_be_left_unsaid() const {
  if (!talks()) return false;
  // Out of the tarpit, or after BDAT.
  const bool let_go = !replies_.empty() &&
                      (is_refusal(replies_.back()) || replies_.back() == ReplyId::kNotImplemented);
  return unread_ || !introduced() || let_go || tarpitted_;
}

void Client::judge_talk() {
  const bool listened = script_.reading == Reading::kPrompt && !left_at_;
  if (!listened || abandoned_ || socket_->near_reset || deaf_ || !script_.header_good) return;
  if (relayed_ && !handed_over_ && !server_) return;
  if (handed_over_ && !server_ && !line_.empty()) return;
  if (!introduced()) return;  // the gate has stopped before it knew who it is
  if (!heard_any_ && !server_) return fault("patient, and never told anything");
  if (!server_ && (!line_.empty() || !ends_whole_)) fault("left in the middle of a reply");
  const bool refused = tarpitted_ || std::ranges::any_of(replies_, is_refusal);
  const bool blameless =
      script_.talk.clean && !script_.speaks_early && !refused && !may_be_guilty();
  if (!blameless || server_) return;
  if (replies_.empty() || !is_last(replies_.back())) fault("did nothing wrong, and is let go");
}

}  // namespace lychgate::sim
