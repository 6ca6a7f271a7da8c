// A client's acts, and its judgement of the gate.

#include "tests/sim/client.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

namespace lychgate::sim {

using ring::Op;
using smtp::ReplyId;

namespace {

// In a run in which all questions are answered: when all lists have been proven, and how long the
// questions about a client take at most.
constexpr Time kAllProven = 5000;
constexpr Time kAnswered = 2500;

constexpr std::string_view kListed = " 5.7.1 Service unavailable; client [";

}  // namespace

// The one reply that has names in it is known by its beginning.
std::optional<ReplyId> Client::identify(std::string_view line) const {
  for (size_t i = 0; i < smtp::kReplyCount; ++i) {
    const auto id = static_cast<ReplyId>(i);
    if (crowd_.replies->bytes(id) == line || smtp::reply_bytes(id) == line) return id;
  }
  const std::string_view words = line.size() < 4 ? "" : line.substr(4);
  const bool listed = words.starts_with(kListed.substr(1));
  if (listed && line.starts_with("550")) return ReplyId::kRefuseListed;
  if (listed && line.starts_with("521")) return ReplyId::kDropListed;
  if (line.starts_with("250-gate.example\r\n")) return ReplyId::kEhlo;
  return std::nullopt;
}

Client::Client(Stage& stage, const Scenario& scenario, Crowd& crowd, uint32_t index,
               const ClientScript& script)
    : Actor(stage),
      scenario_(scenario),
      crowd_(crowd),
      index_(index),
      script_(script),
      socket_(std::make_shared<Socket>()),
      content_(client_key(index)),
      out_(client_key(index)) {
  socket_->far = this;
  socket_->client = index;
  socket_->remote = script.proxied() ? script.peer : script.from;
  socket_->local = script.to;
  socket_->rx_max = stage.random.pick<size_t>({300, 4096, 65536, 200000});
  socket_->tx_max = stage.random.pick<size_t>({1000, 4096, 65536, 200000});
}

void Client::fault(const std::string& text) {
  stage_.reactor.violation(fmt::format("client {} ({}): {}{}", index_, script_.from.bracketed(),
                                       text, talks() ? talk_so_far() : ""));
}

bool Client::allowlisted() const {
  return scenario_.access.lookup(script_.from.address) == admission::AccessResult::kPermit;
}

bool Client::is_on_reject_list() const {
  return scenario_.config.access.reject != config::Action::kIgnore &&
         scenario_.access.lookup(script_.from.address) == admission::AccessResult::kReject;
}

// For certain: who is deferred is let on when its network comes back.
bool Client::counts_against(config::Action action) const {
  const bool may_be_let_on = action == config::Action::kDefer && crowd_.memory != nullptr &&
                             crowd_.memory->may_have_returned(script_.from.address);
  return action != config::Action::kIgnore && !may_be_let_on;
}

bool Client::rejected() const {
  return is_on_reject_list() && counts_against(scenario_.config.access.reject);
}

void Client::come(bool syn_told) {
  syn_told_ = syn_told;
  ++crowd_.syns[script_.from.address.text()];
  in_queue_ = stage_.reactor.arrive(script_.listener_fd, socket_);
  if (in_queue_) plan();
}

void Client::act() {
  read();
  if (socket_->near_closed || socket_->broken) return;
  write();
  maybe_finish();
  plan();
}

// The next moment at which the script wants something; the network wakes it besides.
void Client::plan() {
  const Time now = stage_.agenda.now();
  const bool slow = script_.reading == Reading::kSlow && !socket_->tx.empty();
  if (slow) wake_at(now + 1 + stage_.random.between(0, script_.pace));
  if (next_write_ > now) wake_at(next_write_);
  const auto at = [&](const std::optional<Time>& after) {
    if (after && script_.arrives + *after > now) wake_at(script_.arrives + *after);
  };
  at(script_.speaks_early);
  if (!left_) at(script_.goes);
}

void Client::read() {
  if (script_.reading == Reading::kNever) return;
  char chunk[16384];
  for (;;) {
    const size_t most =
        script_.reading == Reading::kSlow ? stage_.random.between(1, 2000) : sizeof(chunk);
    const size_t bytes = stage_.reactor.take(*socket_, std::span(chunk).first(most));
    if (bytes == 0) return;
    hear({chunk, bytes});
    if (script_.reading == Reading::kSlow && !socket_->near_closed) return;
  }
}

void Client::hear(std::string_view bytes) {
  if (talks()) return hear_in_talk(bytes);
  while (!bytes.empty() && !server_) {
    if (heard_reply_) return fault("bytes after the last reply");
    const size_t end = bytes.find('\n');
    const size_t length = end == std::string_view::npos ? bytes.size() : end + 1;
    line_ += bytes.substr(0, length);
    bytes.remove_prefix(length);
    if (end != std::string_view::npos) hear_line(std::exchange(line_, {}));
  }
  if (server_ && !in_->receive(bytes)) fault("a byte of its server is lost, repeated or foreign");
}

void Client::hear_line(const std::string& line) {
  if (line.starts_with("220-")) {
    if (teased_) fault("teased twice");
    teased_ = true;
  } else if (line.starts_with("220 ") && line.size() == 14) {
    uint32_t session = 0;
    std::from_chars(line.data() + 4, line.data() + 12, session, 16);
    server_ = session;
    in_.emplace(server_key(session));
  } else if (const auto reply = identify(line)) {
    heard_reply_ = reply;
    if (reply != reply_ || line != reply_line_) fault("heard a reply that the gate did not send");
  } else {
    fault(fmt::format("heard \"{}\"", line.substr(0, line.size() - 1)));
  }
}

void Client::write() {
  if (talks() && !server_) return speak();
  const Time now = stage_.agenda.now();
  if (left_ || socket_->far_ended || now < next_write_) return;
  uint64_t wanted = 0;
  if (server_) {
    wanted = script_.total;
  } else if (script_.speaks_early && now >= script_.arrives + *script_.speaks_early) {
    wanted = script_.early_bytes;
  }
  if (out_.sent() >= wanted) return;
  const size_t bytes = stage_.random.between(1, script_.chunk);
  const size_t sent = out_.send(stage_.reactor, *socket_, std::min(bytes, wanted - out_.sent()));
  if (sent == 0) return;
  if (!first_byte_at_) first_byte_at_ = now;
  next_write_ = now + stage_.random.between(1, script_.pace);
}

void Client::maybe_finish() {
  if (left_) return;
  const Time now = stage_.agenda.now();
  if (script_.goes && now >= script_.arrives + *script_.goes) return go(script_.leaving);
  const bool they_ended = socket_->near_shut && socket_->tx.empty();
  if (heard_reply_ && they_ended) return go(Leaving::kLeave);
  if (deaf_ || (they_ended && talks() && !server_)) return go(Leaving::kLeave);
  if (broke_off_ && unsaid_.empty()) return go(script_.leaving);
  if (server_ && out_.sent() >= script_.total) finish();
}

void Client::finish() {
  const bool they_ended = socket_->near_shut && socket_->tx.empty();
  switch (script_.finish) {
    case Finish::kEndAndRead:
      if (!socket_->far_ended) stage_.reactor.end(*socket_);
      if (they_ended) go(Leaving::kLeave);
      return;
    case Finish::kAfterThem:
      if (they_ended) go(Leaving::kLeave);
      return;
    case Finish::kLeave:
      return go(Leaving::kLeave);
    case Finish::kReset:
      return go(Leaving::kReset);
    case Finish::kNothing:
      return;
  }
}

void Client::go(Leaving how) {
  left_ = true;
  left_at_ = stage_.agenda.now();
  switch (how) {
    case Leaving::kEnd:
      if (!socket_->far_ended) stage_.reactor.end(*socket_);
      return;
    case Leaving::kLeave:
      return stage_.reactor.leave(*socket_);
    case Leaving::kReset:
      return stage_.reactor.reset(*socket_, stage_.random.pick({ECONNRESET, ETIMEDOUT}));
  }
}

void Client::accepted() {
  accepted_at_ = stage_.agenda.now();
  const uint32_t of_address = ++crowd_.of_address[script_.from.address.text()];
  if (crowd_.memory != nullptr) record_ = crowd_.memory->record_of(script_.from.address);
  first_of_address_ = ++crowd_.ever[script_.from.address.text()] == 1 && !script_.proxied();
  ++crowd_.clients;
  if (script_.proxied()) return;  // nobody knows who it is yet, and there are no limits
  if (crowd_.memory != nullptr && !allowlisted()) {
    known_ = !is_on_reject_list() && crowd_.memory->is_known(script_.from.address);
    offender_ = crowd_.memory->is_offender(script_.from.address);
  }
  const config::Limits& limits = scenario_.config.limits;
  const auto over = [](uint64_t count, uint32_t limit) { return limit > 0 && count > limit; };
  if (over(of_address, limits.per_address)) {
    expected_busy_ = ReplyId::kTooManyConnections;
  } else if (over(crowd_.clients, limits.per_shard) ||
             over(crowd_.clients + crowd_.elsewhere, limits.held)) {
    expected_busy_ = ReplyId::kScreeningPortsBusy;
  }
}

// What may have been remembered of it when it came, or any time since.
bool Client::may_be_known() const {
  return crowd_.memory != nullptr &&
         crowd_.memory->may_be_known(script_.from.address, *accepted_at_);
}
bool Client::may_be_spared(ScreenTest test) const {
  return crowd_.memory != nullptr &&
         crowd_.memory->may_be_spared(script_.from.address, test, *accepted_at_);
}
bool Client::may_have_failed(ScreenTest test) const {
  if (crowd_.memory == nullptr) return false;
  // Another visit's failure may have taken the place of what was known when this one came.
  const bool told =
      (record_.failed & bit_of(test)) != 0 && record_.failed_until > second_at(*accepted_at_);
  return told || crowd_.memory->may_have_failed(script_.from.address, test, *accepted_at_);
}

void Client::looked(Op op, int result) {
  if (op == Op::kReplayPeek) off_hook_ = result > 0;
  if (op != Op::kLook || !introduced()) return;
  if (known_ || offender_) fault("tested although it is known");
  if (result > 0) {
    found_talking_ = true;
  } else if (result == -EAGAIN) {
    found_silent_ = true;
  } else {
    found_gone_ = true;
  }
}

// What was seen decides; who comes from the kernel is always seen.
void Client::check_looks() {
  if (found_gone_) fault("handed off although it was seen to be gone");
  if (found_talking_ && counts_against(scenario_.config.greet.pregreet)) {
    fault("handed off although it was seen to speak early");
  }
  if (kernel_holds() && !found_silent_ && !found_talking_) fault("handed off without a look");
}

// May be called again for each backend that is tried.
void Client::hand_off_begins() {
  if (released_) fault("handed off after it was let go");
  if (talks() && !said_.empty()) check_handed_over();
  const bool exempt =
      talks() && ends_with_exempt(said_.substr(0, consumed()), scenario_.config.dialogue.exempt);
  if (exempt) return;
  if (expected_busy_) fault("handed off although it is over a limit");
  if (reply_) fault("handed off after a reply");
  if (relayed_) fault("handed off again while relayed");
  const config::Config& config = scenario_.config;
  if (allowlisted()) return;
  if (rejected()) fault("handed off although the access list rejects it");
  if (config.greet.wait == milliseconds(0)) return;
  if (offender_) fault("let on although its failure is remembered");
  if (may_be_known()) return;
  // It served its wait on another visit, and has only to talk.
  const bool waited = talks() && may_be_spared(ScreenTest::kPregreet) &&
                      (scenario_.lists.empty() || may_be_spared(ScreenTest::kLists));
  if (waited) return;
  check_looks();
  // The kernel's wait is over when its clients come.
  const Time served = *accepted_at_ + (kernel_holds() ? 0 : shortest_wait());
  if (stage_.agenda.now() < served) check_let_off();
  // The verdict may be older than this: a backend was waited for.
  if (!kernel_holds() && (let_off_ || may_be_let_off())) return;
  check_score_when_handed_off();
  if (may_be_spared(ScreenTest::kPregreet)) return;
  const bool early = first_byte_at_ && *first_byte_at_ < served;
  if (early && counts_against(config.greet.pregreet)) {
    fault("handed off although it spoke early");
  }
  if (left_at_ && *left_at_ < served && !first_byte_at_) {
    fault("handed off although it hung up during the wait");
  }
}

// The score that its route is chosen by; nullopt: what the gate has heard in time is its own
// affair.
std::optional<int> Client::routed_by() const {
  if (!asks_lists() || rejected()) return 0;
  if (is_on_reject_list()) return std::nullopt;
  if (talks() && has_record()) return std::nullopt;  // of one who is refused without being tested
  if (may_be_spared(ScreenTest::kLists)) return std::nullopt;  // as it was on another visit
  const bool exact = are_verdicts_exact() && (!kernel_holds() || script_.arrives > kAllProven);
  if (!exact) return std::nullopt;
  return crowd_.lists->whole_score(script_.from.address);
}

RoutedClient Client::as_routed() const {
  RoutedClient out{.address = script_.from.address,
                   .listener = script_.listener,
                   .allowlisted = allowlisted(),
                   .score = routed_by()};
  if (known_ || allowlisted() || !may_be_known()) out.known = known_;
  if (crowd_.memory == nullptr) return out;
  const ClientRecord now = crowd_.memory->record_of(script_.from.address);
  const Seconds second = second_at(stage_.agenda.now());
  out.passes_min = record_.passes;
  out.passes_max = now.passes;
  if (record_.first_seen != 0) out.seen_for_min = second_at(*accepted_at_) - record_.first_seen;
  if (now.first_seen != 0) out.seen_for_max = second - now.first_seen;
  return out;
}

void Client::offered_to(const config::Pool& pool) {
  const auto allowed = pools_for(scenario_.config, as_routed());
  const auto index = static_cast<uint32_t>(&pool - scenario_.config.pools.data());
  if (!allowed.contains(index)) fault(fmt::format("offered to {}", pool.name));
}

bool Client::may_be_asked_about() const {
  return !allowlisted() && !rejected();
}

bool Client::asks_lists() const {
  return !scenario_.lists.empty() && scenario_.config.greet.wait > milliseconds(0) &&
         !allowlisted();
}

// All lists are proven soon, unless by a successor of the shard, which is not simulated.
bool Client::are_verdicts_exact() const {
  const bool unproven = scenario_.carry.retires && !crowd_.lists->all_up(stage_.agenda.now());
  return scenario_.answers_all && !unproven;
}

// Lists may have fallen since its verdict.
int Client::most_of_lists() const {
  if (most_at_verdict_) return *most_at_verdict_;
  return crowd_.lists->greatest_ever(script_.from.address, good_since(), *accepted_at_);
}

// What was good for a client that still waited when this one came is good for this one too; that
// client may have been told what was good for one that still waited when it came.
Time Client::good_since() const {
  const auto gate = static_cast<Time>(scenario_.config.greet.wait.count());
  const Time waits = 2 * (kernel_holds() ? scenario_.kernel_wait : gate) + 3000;
  return *accepted_at_ - std::min(*accepted_at_, waits);
}

// It came out of the waiting room when its wait was over, not after another SYN-ACK.
bool Client::came_when_due() const {
  return *accepted_at_ <= script_.arrives + scenario_.kernel_wait + 500;
}

// The lists were asked at its SYN, and nothing can have pushed out what they said in the meantime.
bool Client::remembered() const {
  const Memory* memory = crowd_.memory;
  const IpAddress& address = script_.from.address;
  const bool spared = memory != nullptr &&
                      (memory->may_be_spared(address, ScreenTest::kLists, script_.arrives) ||
                       memory->may_be_known(address, script_.arrives) ||
                       memory->may_have_failed(address, ScreenTest::kLists, script_.arrives) ||
                       memory->may_have_failed(address, ScreenTest::kPregreet, script_.arrives));
  if (spared) return false;
  // A lower rate of the feed leaves out some of a crowd, and nobody reads it while clients are
  // carried.
  if (scenario_.config.greet.syn_feed != 20000 || !scenario_.carry.loops.empty()) return false;
  return syn_told_ && scenario_.syn.forged == 0 && scenario_.config.dns.cache == 65536 &&
         came_when_due();
}

// It waited in the kernel for longer than its questions take, with lists that had been proven.
bool Client::should_find_answers() const {
  return remembered() && scenario_.answers_all && script_.arrives > kAllProven &&
         *accepted_at_ >= script_.arrives + kAnswered && crowd_.lists->all_up(script_.arrives) &&
         crowd_.syns.at(script_.from.address.text()) == 1;
}

// Handed off before the end of the wait. A later attempt at another backend may find the answers
// expired: the first one counts.
void Client::check_let_off() {
  if (let_off_) return;
  let_off_ = true;
  if (!may_be_let_off() && !may_be_spared(ScreenTest::kPregreet))
    fault("handed off before it served the wait");
}

bool Client::may_be_let_off() const {
  const config::Dnsl& dnsl = scenario_.config.dnsl;
  return asks_lists() && dnsl.allow_threshold < 0 &&
         crowd_.lists->least_ever(script_.from.address, good_since()) <= dnsl.allow_threshold;
}

void Client::check_score_when_handed_off() {
  const config::Dnsl& dnsl = scenario_.config.dnsl;
  if (!asks_lists() || !counts_against(dnsl.action)) return;
  if (may_be_spared(ScreenTest::kLists)) return;
  const auto timeout = static_cast<Time>(scenario_.config.dns.timeout.count());
  const auto gate = static_cast<Time>(scenario_.config.greet.wait.count());
  const Time wait = kernel_holds() ? timeout : gate;
  const Time shortest = kernel_holds() ? shortest_timeout() : shortest_wait();
  const ListBook& lists = *crowd_.lists;
  const IpAddress& address = script_.from.address;
  if (are_verdicts_exact() && lists.whole_score(address) >= dnsl.threshold) {
    fault(fmt::format("handed off with a score of {}", lists.whole_score(address)));
  }
  if (should_find_answers() && lists.told_since(address, *accepted_at_ + 1)) {
    fault("asked about when it came, although the SYN feed had it");
  }
  // By a later attempt at another backend the lists may say something else.
  const bool at_once = stage_.agenda.now() <= *accepted_at_ + wait + 1000;
  const bool unbounded = scenario_.config.dns.in_flight == 100000;
  if (!first_of_address_ || !at_once || !unbounded) return;
  // Where another SYN has asked, questions may be older than this client; where its own has and was
  // forgotten, their answers reach nobody.
  const bool asked_by_others = crowd_.syns.at(script_.from.address.text()) > 1;
  const bool has_feed = scenario_.syn.ring_bytes > 0;
  if (has_feed && (scenario_.syn.of_clients || asked_by_others)) return;
  if (syn_told_ && !remembered()) return;
  // Nor does anybody hear what was said before it was carried to a shard with other lists.
  if (!scenario_.carry.loops.empty() && !scenario_.carry.same_lists) return;
  const Time asked = syn_told_ ? script_.arrives : *accepted_at_;
  const int certain =
      lists.certain_score(address, asked, *accepted_at_ + shortest, asked + timeout);
  if (certain >= dnsl.threshold) {
    fault(fmt::format("handed off with a score of {} at least", certain));
  }
}

// Nobody is refused for what the lists have not said.
void Client::check_listed_reply(std::string_view line) {
  const config::Dnsl& dnsl = scenario_.config.dnsl;
  const ListBook& lists = *crowd_.lists;
  const int most = most_of_lists();
  if (!asks_lists()) fault("refused by lists that it was not measured with");
  if (may_have_failed(ScreenTest::kLists)) return;
  if (most < dnsl.threshold) {
    fault(fmt::format("refused by lists with a score of {} at most", most));
  }
  const int whole = lists.whole_score(script_.from.address);
  if (are_verdicts_exact() && whole < dnsl.threshold) {
    fault(fmt::format("refused with a score of {}", whole));
  }
  const auto id = *identify(line);
  if (line == smtp::reply_bytes(id) || line == crowd_.replies->bytes(id)) return;  // no room
  if (!scenario_.config.dialogue.reject_footer.empty()) return;
  const std::string named = fmt::format("{}] blocked using ", script_.from.address.text());
  line.remove_prefix(3 + kListed.size());
  line.remove_suffix(2);
  if (!line.starts_with(named)) return fault("a reply with the wrong address");
  line.remove_prefix(named.size());
  const size_t end = std::min(line.find("; "), line.size());
  const ListModel* list = lists.find(line.substr(0, end));
  if (list == nullptr) return fault("a reply that names a list that is none");
  const bool reason = end < line.size();
  if (reason && !dnsl.reason) fault("a reason that nobody asked for");
  if (reason && line.substr(end + 2) != list->reason(script_.from.address)) {
    fault(fmt::format("a reason that {} did not give: {}", list->zone, line.substr(end + 2)));
  }
}

void Client::written(Op op, std::span<const char> bytes) {
  if (op != Op::kTeaser && asks_lists() && !most_at_verdict_) most_at_verdict_ = most_of_lists();
  if (talks()) return written_in_talk(op, bytes);
  if (op == Op::kTeaser) {
    if (kernel_holds() || allowlisted() || known_ || offender_ || reply_ || relayed_)
      fault("teased at the wrong time");
  } else if (op == Op::kReply) {
    if (reply_) fault("two replies");
    reply_line_.assign(bytes.begin(), bytes.end());
    reply_ = identify(reply_line_);
    if (!reply_) fault("a reply that is none");
    const bool listed = reply_ == ReplyId::kRefuseListed || reply_ == ReplyId::kDropListed;
    if (listed) check_listed_reply(reply_line_);
    const bool early = reply_ == ReplyId::kRefuseProtocol || reply_ == ReplyId::kDropProtocol;
    if (early && !found_talking_ && !may_have_failed(ScreenTest::kPregreet))
      fault("refused for speaking early, and was not seen to speak");
  } else if (op == Op::kRelaySend) {
    relayed_ = true;
  } else {
    fault("written to by an operation that should not");
  }
}

void Client::killed() {
  if (!accepted_at_ || released_) fault("killed, and was not there");
  if (killed_) fault("killed twice");
  killed_ = true;
}

void Client::carried_away() {
  if (!accepted_at_ || released_) fault("carried away, and was not there");
  if (reply_ || relayed_ || expected_busy_) fault("carried away after its verdict");
  carried_away_ = released_ = true;
  --crowd_.of_address[script_.from.address.text()];
  --crowd_.clients;
}

// The gate has closed its descriptor: by now exactly one thing has become of the client.
void Client::let_go() {
  released_ = true;
  released_claimed_ = socket_->claims > 0;
  --crowd_.of_address[script_.from.address.text()];
  --crowd_.clients;
  if (socket_->carry_lost) return;
  const int outcomes = (reply_ ? 1 : 0) + (released_claimed_ ? 1 : 0) + (relayed_ ? 1 : 0);
  if (outcomes > 1) fault("more than one outcome");
  // The gate may run out of patience with a service before the news of its death arrives.
  const Time news = scenario_.kernel.faults.late_max + 500;
  if (outcomes == 0 && dropped_at_ && stage_.agenda.now() <= *dropped_at_ + news) {
    abandoned_ = released_claimed_ = true;
  } else if (outcomes == 0 && !socket_->far_ended && !killed_ && !may_be_left_unsaid()) {
    fault("closed in silence though it was there");
  }
  if (expected_busy_ && reply_ != expected_busy_) fault("over a limit and not told so");
  const bool busy =
      reply_ == ReplyId::kTooManyConnections || reply_ == ReplyId::kScreeningPortsBusy;
  if (busy && !expected_busy_) fault("told that it is over a limit and was not");
}

void Client::judge() {
  if (!may_be_asked_about() && crowd_.lists->was_asked_about(script_.from.address)) {
    fault("lists were told of it although the access list knows it");
  }
  if (!accepted_at_ || !released_ || was_carried_off() || killed_) return;
  if (talks()) return judge_talk();
  const bool listened = script_.reading == Reading::kPrompt && !left_at_;
  if (!listened || abandoned_ || socket_->near_reset) return;
  if (relayed_ && !line_.empty()) return;  // its server broke off in the middle of the greeting
  if (!heard_reply_ && !server_) fault("patient, and never told anything");
}

}  // namespace lychgate::sim
