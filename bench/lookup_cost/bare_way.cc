// send_packet, turn, give_back_packet.

#include "bench/lookup_cost/bare_way.h"

#include <array>

#include "bench/lookup_cost/gate_way.h"
#include "bench/lookup_cost/responder.h"
#include "core/base/check.h"
#include "dns/wire.h"

namespace lychgate::lookup_cost {

using ring::Op;
using ring::OpTag;

namespace {

// A question like the gate's, about the first address that the list does not know.
std::vector<char> make_packet() {
  std::array<char, dns::kNameBytesMax> zone;
  const auto zone_bytes = dns::write_zone(kZones[0], zone);
  LYCH_CHECK(zone_bytes.has_value());
  std::vector<char> packet;
  for (uint32_t number = 0; packet.empty() || is_listed(name_of(packet)); ++number) {
    packet.resize(dns::kQuestionBytesMax);
    packet.resize(dns::write_question({client_address(number), {{zone.data(), *zone_bytes}}},
                                      {.id = 1, .case_bits = {}}, packet));
  }
  return packet;
}

}  // namespace

Result<std::unique_ptr<BareWay>> BareWay::create(std::span<const int> sockets, uint32_t window) {
  auto reactor = ring::UringReactor::create({});
  if (!reactor) return tl::unexpected(reactor.error());
  return std::unique_ptr<BareWay>(new BareWay(std::move(*reactor), sockets, window));
}

BareWay::BareWay(std::unique_ptr<ring::Reactor> reactor, std::span<const int> sockets,
                 uint32_t window)
    : reactor_(std::move(reactor)),
      sockets_(sockets.begin(), sockets.end()),
      window_(window),
      packet_(make_packet()) {
  for (uint32_t i = 0; i < sockets_.size(); ++i) arm(i);
}

void BareWay::arm(uint32_t socket) {
  reactor_->receive_packets(sockets_[socket], OpTag::of(Op::kDnsReceive, socket));
}

Spent BareWay::run(uint32_t lookups) {
  Spent spent;
  uint32_t sent = 0;
  uint32_t open = 0;
  size_t next = 0;
  while (spent.lookups + spent.lost < lookups) {
    for (; open < window_ && sent < lookups; ++open, ++sent) {
      reactor_->send_packet(sockets_[next], packet_, OpTag::of(Op::kDnsSend));
      next = next + 1 < sockets_.size() ? next + 1 : 0;
    }
    ++spent.turns;
    const auto completions = reactor_->turn(kPatience);
    for (const ring::Completion& completion : completions) {
      const bool received = completion.tag.operation() == Op::kDnsReceive;
      if (received && !completion.more) arm(static_cast<uint32_t>(completion.tag.slot));
      if (!completion.buffer) continue;
      reactor_->give_back_packet(*completion.buffer);
      ++spent.lookups;
      if (open > 0) --open;  // else it was given up already
    }
    if (completions.empty()) {
      spent.lost += open;
      open = 0;
    }
  }
  return spent;
}

}  // namespace lychgate::lookup_cost
