// A question's life: queued, sent up to three times, answered or over. Everything about one
// question can be written again from its record, so nothing but the record is kept while it is
// under way.

#include "dns/resolver.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "core/base/check.h"

namespace lychgate::dns {

using ring::Completion;
using ring::Op;
using ring::OpTag;

namespace {

constexpr size_t kPacketStride = 320;
static_assert(kPacketStride >= kQuestionBytesMax);
// The packet that replies are compared with.
constexpr uint32_t kScratch = kDnsSendsPerTurnMax;

// How long an attempt waits before the next one: a fifth of the deadline, then twice that; the last
// attempt has the rest.
Tick attempt_span(milliseconds timeout, uint32_t attempt) {
  return to_ticks(timeout) / 5 * (1u << attempt);
}

}  // namespace

Result<std::unique_ptr<Resolver>> Resolver::create(const ResolverParts& parts) {
  auto packets = PrivateMemory::create(kPacketStride * (kDnsSendsPerTurnMax + 1));
  if (!packets) return tl::unexpected(packets.error());
  auto streams = PrivateMemory::create(TcpSeats::kMemoryBytes);
  if (!streams) return tl::unexpected(streams.error());
  return std::unique_ptr<Resolver>(new Resolver(parts, std::move(*packets), std::move(*streams)));
}

Resolver::Resolver(const ResolverParts& parts, PrivateMemory packets, PrivateMemory streams)
    : connections_(parts.connections),
      counters_(parts.connections.counters),
      zones_(parts.zones),
      config_(parts.config),
      key_(parts.key),
      servers_(parts.servers, parts.sockets, parts.config.in_flight, counters_),
      tcp_(parts.connections, std::move(streams)),
      packet_memory_(std::move(packets)),
      patience_(parts.patience) {
  LYCH_CHECK(zones_.size() <= kListsMax);
  queries_.reserve(config_.in_flight);
  for (uint32_t i = 0; i < servers_.sockets(); ++i) to_rearm_.push_back(i);
  next_bits_ = random();
}

void Resolver::start() {
  for (const uint32_t socket : std::exchange(to_rearm_, {})) {
    connections_.reactor.receive_packets(servers_.fd(socket), OpTag::of(Op::kDnsReceive, socket));
  }
  to_rearm_.reserve(servers_.sockets());
}

uint64_t Resolver::random() {
  std::array<uint8_t, 16> count{};
  const auto bytes = std::bit_cast<std::array<uint8_t, 8>>(++random_count_);
  std::copy(bytes.begin(), bytes.end(), count.begin());
  return siphash(key_, count);
}

void Resolver::append(List& list, uint32_t query, Link Query::*link) {
  Link& mine = queries_[query].*link;
  mine = {kNoQuery, list.tail};
  if (list.tail == kNoQuery) {
    list.head = query;
  } else {
    (queries_[list.tail].*link).next = query;
  }
  list.tail = query;
  ++list.size;
}

void Resolver::prepend(List& list, uint32_t query, Link Query::*link) {
  queries_[query].*link = {list.head, kNoQuery};
  (list.head == kNoQuery ? list.tail : (queries_[list.head].*link).prev) = query;
  list.head = query;
  ++list.size;
}

void Resolver::unlink(List& list, uint32_t query, Link Query::*link) {
  const Link mine = queries_[query].*link;
  (mine.prev == kNoQuery ? list.head : (queries_[mine.prev].*link).next) = mine.next;
  (mine.next == kNoQuery ? list.tail : (queries_[mine.next].*link).prev) = mine.prev;
  queries_[query].*link = {};
  --list.size;
}

Resolver::List& Resolver::turn_list(const Query& query) {
  if (query.state == State::kQueued) return query.attempts == 0 ? unsent_ : retries_;
  return attempts_[query.attempts - 1];
}

void Resolver::retry(uint32_t query) {
  queries_[query].state = State::kQueued;
  append(retries_, query, &Query::turn);
}

// Of all that are open. REQUIRES: there is one.
uint32_t Resolver::oldest() const {
  const uint32_t sent = by_age_.head;
  const uint32_t unsent = unsent_.head;
  if (sent == kNoQuery || unsent == kNoQuery) return sent == kNoQuery ? unsent : sent;
  return tick_reached(queries_[unsent].asked, queries_[sent].asked) ? sent : unsent;
}

std::optional<Outcome> Resolver::ask(const Ask& ask, Tick now) {
  LYCH_CHECK(ask.zone < zones_.size());
  std::optional<Outcome> victim;
  if (open_ == config_.in_flight) victim = finish(oldest(), OutcomeKind::kGivenUp, now);
  uint32_t index = free_.head;
  if (index != kNoQuery) {
    unlink(free_, index, &Query::age);
  } else {
    index = static_cast<uint32_t>(queries_.size());
    queries_.emplace_back();
  }
  Query& query = queries_[index];
  query = Query{};
  query.address = ask.address;
  query.cookie = ask.cookie;
  query.case_bits = config_.mix_case ? random() : 0;
  query.asked = now;
  query.type = ask.type;
  query.form = ask.form;
  query.zone = static_cast<uint8_t>(ask.zone);
  query.state = State::kQueued;
  ++open_;
  if (ask.urgent) {
    prepend(unsent_, index, &Query::turn);
  } else {
    append(unsent_, index, &Query::turn);
  }
  counters_.add(Counter::kDnsAsked);
  return victim;
}

std::span<char> Resolver::packet(uint32_t index) const {
  return packet_memory_.bytes().subspan(index * kPacketStride, kPacketStride);
}

std::span<const char> Resolver::write(const Query& query, uint16_t id, std::span<char> into) const {
  QuestionOptions options{.id = id, .case_bits = std::nullopt};
  if (config_.mix_case) options.case_bits = query.case_bits;
  const size_t size = write_question({.address = query.address,
                                      .zone = zones_[query.zone],
                                      .type = query.type,
                                      .form = query.form},
                                     options, into);
  return into.first(size);
}

void Resolver::send(Tick now) {
  for (const uint32_t socket : to_rearm_) {
    connections_.reactor.receive_packets(servers_.fd(socket), OpTag::of(Op::kDnsReceive, socket));
  }
  to_rearm_.clear();
  uint32_t sent = 0;
  // A retry that waits for room at the one server that may know holds up no first attempts.
  for (const List* list : {&retries_, &unsent_}) {
    while (list->head != kNoQuery && sent < kDnsSendsPerTurnMax) {
      if (!send_one(list->head, packet(sent), now)) break;
      ++sent;
    }
  }
  const bool left = retries_.head != kNoQuery || unsent_.head != kNoQuery;
  if (left) counters_.add(Counter::kDnsHeldBack);
  more_to_send_ = left && sent == kDnsSendsPerTurnMax;
}

bool Resolver::send_one(uint32_t index, std::span<char> packet, Tick now) {
  Query& query = queries_[index];
  const uint64_t bits = std::exchange(next_bits_, random());
  servers_.foresee(next_bits_);
  const auto server = servers_.pick(query.tried, bits >> 32, now);
  if (!server) return false;
  const auto seat = servers_.take_seat(*server, index, bits);
  if (!seat) return false;
  unlink(turn_list(query), index, &Query::turn);
  if (query.attempts == 0) {
    query.sent = now;
    append(by_age_, index, &Query::age);
  }
  query.tried = static_cast<uint8_t>(query.tried | 1u << *server);
  query.seats[query.attempts] = *seat;
  query.live = static_cast<uint8_t>(query.live | 1u << query.attempts);
  query.attempt_ends = now + attempt_span(config_.timeout, query.attempts);
  ++query.attempts;
  query.state = State::kSent;
  append(turn_list(query), index, &Query::turn);
  connections_.reactor.send_packet(servers_.fd(seat->socket), write(query, seat->id, packet),
                                   OpTag::of(Op::kDnsSend, seat->socket));
  counters_.add(Counter::kDnsSent);
  return true;
}

std::optional<Outcome> Resolver::complete(const Completion& completion, Tick now) {
  switch (completion.tag.operation()) {
    case Op::kDnsReceive:
      return packet_came(completion, now);
    case Op::kDnsSend:
      counters_.add(Counter::kDnsSendFailed);
      socket_failed(static_cast<uint32_t>(completion.tag.slot), -completion.result, now);
      return std::nullopt;
    default:
      break;
  }
  const auto ended = tcp_.complete(completion);
  return ended ? tcp_ended(*ended, now) : std::nullopt;
}

// Only errors that an ICMP message has brought say something about the server.
void Resolver::socket_failed(uint32_t socket, int error, Tick now) {
  if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH) {
    servers_.refused(socket, now);
  }
}

std::optional<Outcome> Resolver::packet_came(const Completion& completion, Tick now) {
  const auto socket = static_cast<uint32_t>(completion.tag.slot);
  if (!completion.more) to_rearm_.push_back(socket);
  if (!completion.buffer) {
    if (completion.result == -ENOBUFS) counters_.add(Counter::kDnsStarved);
    socket_failed(socket, -completion.result, now);
    return std::nullopt;
  }
  const uint16_t buffer = *completion.buffer;
  const auto packet = connections_.reactor.packet(buffer).first(
      static_cast<size_t>(std::max(completion.result, 0)));
  std::optional<Outcome> outcome;
  if (const auto id = message_id(packet)) {
    outcome = read({static_cast<uint16_t>(socket), *id}, packet, now);
  } else {
    counters_.add(Counter::kDnsForged);
  }
  connections_.reactor.give_back_packet(buffer);
  return outcome;
}

std::optional<Outcome> Resolver::read(Seat seat, std::span<const char> message, Tick now) {
  const uint32_t index = servers_.query_of(seat);
  if (index == kNoQuery) {
    counters_.add(Counter::kDnsLate);
    return std::nullopt;
  }
  Query& query = queries_[index];
  read_reply(message, write(query, seat.id, packet(kScratch)), reply_);
  if (reply_.kind == ReplyKind::kMalformed) {
    // Not the server's, or of no use: the question stays open for the right one.
    counters_.add(Counter::kDnsForged);
    return std::nullopt;
  }
  for (uint32_t i = 0; i < query.attempts; ++i) {
    if (query.seats[i].socket == seat.socket && query.seats[i].id == seat.id) {
      query.live = static_cast<uint8_t>(query.live & ~(1u << i));
    }
  }
  // Of a second attempt it is not known how long it took: the answer may be the first one's.
  servers_.answered(seat, query.attempts == 1 ? now - query.sent : 0, now);
  switch (reply_.kind) {
    case ReplyKind::kAnswer:
    case ReplyKind::kNothing:
      return finish(index, OutcomeKind::kReply, now);
    case ReplyKind::kTruncated:
      return ask_over_tcp(index, seat, now);
    case ReplyKind::kServfail:
    case ReplyKind::kRefused:
    case ReplyKind::kMalformed:
      break;
  }
  if (query.state == State::kTcp) return std::nullopt;  // the stream may still bring an answer
  return server_failed(index, OutcomeKind::kFailed, now);
}

// A server has said that it cannot, or its stream has failed: the next one may. While an attempt
// elsewhere is under way that one decides, or its end brings the next; a stream has no such end.
std::optional<Outcome> Resolver::server_failed(uint32_t index, OutcomeKind unless_retried,
                                               Tick now) {
  Query& query = queries_[index];
  const bool untried = std::popcount(query.tried) < static_cast<int>(servers_.count());
  const bool may_retry = query.attempts < kDnsAttemptsMax && untried;
  if (query.state == State::kQueued) return std::nullopt;
  if (query.live != 0 && (query.state == State::kSent || !may_retry)) return std::nullopt;
  if (!may_retry) return finish(index, unless_retried, now);
  if (query.state == State::kSent) unlink(turn_list(query), index, &Query::turn);
  retry(index);
  return std::nullopt;
}

std::optional<Outcome> Resolver::ask_over_tcp(uint32_t index, Seat seat, Tick now) {
  Query& query = queries_[index];
  if (query.state == State::kTcp) return std::nullopt;  // a second server's answer is cut as well
  unlink(turn_list(query), index, &Query::turn);
  query.state = State::kTcp;
  counters_.add(Counter::kDnsTcp);
  if (tcp_.begin(index, servers_.endpoint(servers_.server_of(seat.socket)),
                 write(query, seat.id, packet(kScratch)))) {
    return std::nullopt;
  }
  counters_.add(Counter::kDnsTcpFull);
  return server_failed(index, OutcomeKind::kGivenUp, now);
}

std::optional<Outcome> Resolver::tcp_ended(const TcpSeats::Ended& ended, Tick now) {
  read_reply(ended.message, ended.question, reply_);
  if (reply_.kind == ReplyKind::kAnswer || reply_.kind == ReplyKind::kNothing) {
    return finish(ended.query, OutcomeKind::kReply, now);
  }
  return server_failed(ended.query, OutcomeKind::kFailed, now);
}

std::optional<Outcome> Resolver::next_expired(Tick now) {
  const uint32_t sent = by_age_.head;
  if (sent != kNoQuery && tick_reached(now, queries_[sent].sent + to_ticks(config_.timeout))) {
    return finish(sent, OutcomeKind::kTimedOut, now);
  }
  const uint32_t unsent = unsent_.head;
  if (unsent != kNoQuery && tick_reached(now, queries_[unsent].asked + to_ticks(patience_))) {
    return finish(unsent, OutcomeKind::kGivenUp, now);
  }
  for (uint32_t i = 0; i + 1 < kDnsAttemptsMax; ++i) {
    List& list = attempts_[i];
    while (list.head != kNoQuery && tick_reached(now, queries_[list.head].attempt_ends)) {
      attempt_over(list.head, now);
    }
  }
  return std::nullopt;
}

void Resolver::attempt_over(uint32_t index, Tick now) {
  Query& query = queries_[index];
  unlink(turn_list(query), index, &Query::turn);
  LYCH_CHECK(query.attempts > 0);
  const uint32_t last = query.attempts - 1u;
  if ((query.live & 1u << last) != 0) servers_.overdue(query.seats[last], now);
  retry(index);
}

Outcome Resolver::finish(uint32_t index, OutcomeKind kind, Tick now) {
  Query& query = queries_[index];
  for (uint32_t i = 0; i < query.attempts; ++i) {
    if ((query.live & 1u << i) == 0) continue;
    if (kind == OutcomeKind::kTimedOut) {
      servers_.lost(query.seats[i], now);
    } else {
      servers_.let_go(query.seats[i]);
    }
  }
  if (query.state == State::kTcp) {
    tcp_.let_go(index);
  } else {
    unlink(turn_list(query), index, &Query::turn);
  }
  if (query.attempts > 0) unlink(by_age_, index, &Query::age);
  query.state = State::kFree;
  append(free_, index, &Query::age);
  --open_;
  switch (kind) {
    case OutcomeKind::kReply:
      counters_.add(Counter::kDnsAnswered);
      break;
    case OutcomeKind::kFailed:
      counters_.add(Counter::kDnsFailed);
      break;
    case OutcomeKind::kTimedOut:
      counters_.add(Counter::kDnsTimedOut);
      break;
    case OutcomeKind::kGivenUp:
      counters_.add(Counter::kDnsGivenUp);
      break;
  }
  return {.cookie = query.cookie,
          .zone = query.zone,
          .kind = kind,
          .took_ms = query.attempts > 0 ? now - query.sent : 0,
          .reply = kind == OutcomeKind::kReply ? &reply_ : nullptr};
}

std::optional<Tick> Resolver::next_wake(Tick now) const {
  if (more_to_send_ || !to_rearm_.empty()) return now;
  std::optional<Tick> wake;
  const auto consider = [&wake](Tick at) {
    if (!wake || tick_reached(*wake, at)) wake = at;
  };
  if (by_age_.head != kNoQuery) {
    consider(queries_[by_age_.head].sent + to_ticks(config_.timeout));
  }
  if (unsent_.head != kNoQuery) consider(queries_[unsent_.head].asked + to_ticks(patience_));
  for (uint32_t i = 0; i + 1 < kDnsAttemptsMax; ++i) {
    if (attempts_[i].head != kNoQuery) consider(queries_[attempts_[i].head].attempt_ends);
  }
  // A grain later than the first is due, so that a burst's deadlines end in a few turns.
  if (wake) *wake += kTimerGrainMs;
  return wake;
}

void Resolver::check_invariants() const {
  uint32_t aged = 0;
  uint32_t unsent = 0;
  uint32_t seats = 0;
  uint32_t before = kNoQuery;
  for (uint32_t i = by_age_.head; i != kNoQuery; i = queries_[i].age.next) {
    const Query& query = queries_[i];
    LYCH_CHECK(query.state != State::kFree && query.age.prev == before);
    LYCH_CHECK(query.attempts <= kDnsAttemptsMax && query.live < 1u << query.attempts);
    for (uint32_t s = 0; s < query.attempts; ++s) {
      if ((query.live & 1u << s) == 0) continue;
      ++seats;
      LYCH_CHECK(servers_.query_of(query.seats[s]) == i);
    }
    before = i;
    ++aged;
  }
  for (uint32_t i = unsent_.head; i != kNoQuery; i = queries_[i].turn.next) {
    LYCH_CHECK(queries_[i].state == State::kQueued && queries_[i].attempts == 0);
    ++unsent;
  }
  LYCH_CHECK(unsent == unsent_.size && aged + unsent == open_ && open_ <= config_.in_flight);
  uint32_t counted = 0;
  for (uint32_t s = 0; s < servers_.count(); ++s) counted += servers_.open(s);
  LYCH_CHECK(counted <= seats);  // overdue ones no longer count
}

}  // namespace lychgate::dns
