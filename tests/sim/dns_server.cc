// Answers and everything that is done instead.

#include "tests/sim/dns_server.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace lychgate::sim {

void DnsServer::packet_came(int fd, std::span<const char> bytes) {
  const auto question = read_question(bytes);
  if (!question) return stage_.reactor.violation("a DNS question that is none");
  ++asked_;
  const std::string packet(bytes.begin(), bytes.end());
  if (manners_.is_away(stage_.agenda.now())) {
    if (!manners_.icmp_when_away) return;
    stage_.agenda.after(draw_delay(),
                        [this, fd] { stage_.reactor.refuse_packets(fd, ECONNREFUSED); });
    return;
  }
  const DnsFault fault = draw_fault();
  ++times_[static_cast<size_t>(fault)];
  if (fault == DnsFault::kNone) return answer(fd, packet, *question, draw_delay());
  misbehave(fault, fd, packet, *question);
}

DnsFault DnsServer::draw_fault() {
  auto left = static_cast<int64_t>(stage_.random.between(0, 99));
  for (size_t i = 1; i < kDnsFaultCount; ++i) {
    left -= manners_.percent[i];
    if (left < 0) return static_cast<DnsFault>(i);
  }
  return DnsFault::kNone;
}

void DnsServer::misbehave(DnsFault fault, int fd, const std::string& packet,
                          const DnsQuestion& question) {
  Random& random = stage_.random;
  const Time after = draw_delay();
  DnsQuestion other = question;
  switch (fault) {
    case DnsFault::kNone:
    case DnsFault::kDropped:
      return;
    case DnsFault::kTwice:
      answer(fd, packet, question, after);
      return answer(fd, packet, question, after + draw_delay());
    case DnsFault::kLate:
      return answer(fd, packet, question, after + manners_.late_by);
    case DnsFault::kServfail:
      return send(fd, write_answer(packet, question, {.rcode = Rcode::kServfail}), after);
    case DnsFault::kRefused:
      return send(fd, write_answer(packet, question, {.rcode = Rcode::kRefused}), after);
    case DnsFault::kTruncated:
      return send(fd, write_answer(packet, question, {.truncated = true}), after);
    case DnsFault::kWrongId:
      other.id = static_cast<uint16_t>(question.id + random.between(1, 65535));
      send(fd, write_answer(packet, other, book_.lie(question)), after);
      break;
    case DnsFault::kWrongQuestion: {
      std::string altered = packet;
      altered[13] = static_cast<char>(altered[13] ^ 1);  // the first digit of the address
      send(fd, write_answer(altered, question, book_.lie(question)), after);
      break;
    }
    case DnsFault::kGarbage: {
      std::string bytes = write_answer(packet, question, book_.lie(question));
      if (random.one_in(2)) bytes.resize(random.between(3, bytes.size() - 1));
      bytes[2] = static_cast<char>(random.pick({0x00, 0x78, 0x01}));  // never a reply (QR)
      send(fd, std::move(bytes), after);
      break;
    }
    case DnsFault::kEmpty:
      send(fd, {}, after);
      break;
    case DnsFault::kTooLong:
      send(fd, write_long_answer(packet, question, kPacketBufferBytes), after);
      break;
    case DnsFault::kIcmp:
      stage_.agenda.after(after, [this, fd] { stage_.reactor.refuse_packets(fd, ECONNREFUSED); });
      return;
  }
  const bool follows = random.chance(manners_.truth_follows);
  if (follows) answer(fd, packet, question, after + draw_delay());
}

void DnsServer::answer(int fd, const std::string& packet, const DnsQuestion& question, Time after) {
  const auto known = book_.answer(question, stage_.agenda.now());
  if (!known) return;
  stage_.agenda.after(after, [this, fd, packet, question, truth = *known] {
    if (!stage_.reactor.deliver_packet(fd, write_answer(packet, question, truth))) return;
    book_.told(question, truth, stage_.agenda.now(), true);
  });
}

void DnsServer::send(int fd, std::string bytes, Time after) {
  stage_.agenda.after(
      after, [this, fd, bytes = std::move(bytes)] { stage_.reactor.deliver_packet(fd, bytes); });
}

std::string DnsServer::framed_answer(std::span<const char> packet) {
  const auto question = read_question(packet);
  if (!question) {
    stage_.reactor.violation("a DNS question over TCP that is none");
    return {};
  }
  const auto truth = book_.answer(*question, stage_.agenda.now());
  if (!truth) return {};
  book_.told(*question, *truth, stage_.agenda.now(), false);
  const std::string message = write_answer(packet, *question, *truth);
  std::string framed;
  framed += static_cast<char>(message.size() >> 8);
  framed += static_cast<char>(message.size());
  return framed + message;
}

void DnsServer::connecting(const SocketPtr& socket) {
  const size_t drawn = stage_.random.between(0, manners_.streams.size() - 1);
  StreamManner manner = manners_.streams[drawn];
  if (manners_.is_away(stage_.agenda.now())) {
    manner = manners_.icmp_when_away ? StreamManner::kRefused : StreamManner::kNoAnswer;
  }
  if (manner == StreamManner::kNoAnswer) return;
  stage_.agenda.after(draw_delay(), [this, socket, manner] {
    if (socket->near_closed) return;
    if (manner == StreamManner::kRefused) {
      return stage_.reactor.connect_done(*socket, -ECONNREFUSED);
    }
    streams_.push_back(std::make_unique<DnsStream>(stage_, *this, socket, manner));
    socket->far = streams_.back().get();
    stage_.reactor.connect_done(*socket, 0);
  });
}

DnsStream::DnsStream(Stage& stage, DnsServer& server, const SocketPtr& socket, StreamManner manner)
    : Actor(stage), server_(server), socket_(socket), manner_(manner) {}

void DnsStream::act() {
  if (socket_->near_closed || socket_->broken) return;
  char chunk[1024];
  while (const size_t bytes = stage_.reactor.take(*socket_, chunk)) asked_.append(chunk, bytes);
  if (reply_.empty()) ask();
  if (reply_.empty()) return;
  const size_t whole = std::min(reply_.size(), stops_at_);
  size_t piece = whole - sent_;
  if (manner_ != StreamManner::kWhole) piece = std::min(piece, stage_.random.between(1, 20));
  sent_ += stage_.reactor.deliver(*socket_, std::span(reply_).subspan(sent_, piece));
  if (sent_ < whole) return wake_at(stage_.agenda.now() + stage_.random.between(1, 20));
  if (manner_ == StreamManner::kReset) return stage_.reactor.reset(*socket_, ECONNRESET);
  if (!socket_->far_ended) stage_.reactor.end(*socket_);
}

void DnsStream::ask() {
  if (asked_.size() < 2) return;
  const size_t size =
      static_cast<size_t>(static_cast<uint8_t>(asked_[0])) << 8 | static_cast<uint8_t>(asked_[1]);
  if (asked_.size() < 2 + size || manner_ == StreamManner::kMute) return;
  if (asked_.size() > 2 + size) stage_.reactor.violation("more than one question over TCP");
  if (manner_ == StreamManner::kGarbage) {
    reply_ = std::string("\0\x20", 2) + std::string(32, '\x55');
    return;
  }
  if (manner_ == StreamManner::kTooLong) {
    reply_ = std::string(2, '\xff') + std::string(5000, '\x55');
    return;
  }
  reply_ = server_.framed_answer(std::span(asked_).subspan(2, size));
  const bool breaks = manner_ == StreamManner::kCutOff || manner_ == StreamManner::kReset;
  if (breaks && !reply_.empty()) stops_at_ = stage_.random.between(0, reply_.size() - 1);
}

}  // namespace lychgate::sim
