// The loop that a shard runs around its resolver, and the ledger.

#include "tests/dns/resolver_harness.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::dns {

using ring::Completion;
using ring::Op;

namespace {

constexpr char kZone[] = "bl.example";

}  // namespace

uint32_t PlainBook::code_of(const IpAddress& address) {
  return 0x7f000000 | (siphash({3, 4}, address.bytes) & 0xffff);
}

std::optional<sim::DnsAnswer> PlainBook::answer(const sim::DnsQuestion& question, sim::Time) {
  const size_t labels = question.name.size() - std::string_view(kZone).size() - 1;
  const auto address = sim::reversed_address(std::string_view(question.name).substr(0, labels));
  LYCH_CHECK(question.name.ends_with(kZone) && address);
  return sim::DnsAnswer{.codes = {code_of(*address)}, .text = "because of " + address->text()};
}

sim::DnsAnswer PlainBook::lie(const sim::DnsQuestion&) {
  return {.codes = {0x7f010203}, .text = "a lie"};
}

ResolverWorld::ResolverWorld(const ResolverSetup& setup)
    : world(setup.kernel, setup.seed),
      // Close to the wrap of the tick, which comes every 49 days.
      first_tick_(static_cast<Tick>(0) - static_cast<Tick>(world.random.between(0, 5000))),
      config_(setup.dns),
      stage_{world.agenda, world.random, world.reactor},
      zone_(kNameBytesMax) {
  zone_.resize(*write_zone(kZone, zone_));
  zones_.push_back({zone_});
  for (uint32_t i = 0; i < setup.servers; ++i) {
    servers_.push_back(std::make_unique<sim::DnsServer>(stage_, book_, sim::DnsManners{}));
    endpoints_.push_back({IpAddress::from_v4(0xc6336400 + i), 53});
    world.reactor.serve(SocketAddress::from(endpoints_.back()), *servers_.back());
    for (uint32_t socket = 0; socket < config_.sockets; ++socket) {
      sockets_.push_back(world.reactor.make_packet_socket(*servers_.back(), 4096));
    }
  }
  resolver =
      std::move(*Resolver::create({.connections = world.connections,
                                   .zones = zones_,
                                   .servers = endpoints_,
                                   .sockets = sockets_,
                                   .config = config_,
                                   .patience = milliseconds(30000),  // longer than any test needs
                                   .key = {setup.seed, 5}}));
  resolver->start();
  turn(0);
}

void ResolverWorld::ask(uint32_t n, RecordType type) {
  IpAddress address = IpAddress::from_v4(0x0a000000 + n);
  if (n % 3 == 2) {
    address = *IpAddress::parse("2001:db8::");
    for (size_t i = 0; i < 4; ++i) address.bytes[15 - i] = static_cast<uint8_t>(n >> 8 * i);
  }
  asked_[n] = {address, world.agenda.now(), type};
  note(resolver->ask({.address = address, .type = type, .cookie = n}, tick()));
}

void ResolverWorld::ask_many(uint32_t count) {
  const auto first = static_cast<uint32_t>(asked_.size());
  for (uint32_t i = 0; i < count; ++i) ask(first + i);
}

void ResolverWorld::dispatch(const Completion& completion) {
  switch (completion.tag.operation()) {
    case Op::kDnsSend:
    case Op::kDnsReceive:
    case Op::kDnsTcpSocket:
      break;
    default:
      if (world.connections.take(completion) == nullptr) return;
      break;
  }
  note(resolver->complete(completion, tick()));
}

void ResolverWorld::note(const std::optional<Outcome>& outcome) {
  if (!outcome) return;
  const Asked& asked = asked_.at(outcome->cookie);
  Fate& fate = fates_[outcome->cookie];
  ++fate.times;
  fate.kind = outcome->kind;
  fate.took = world.agenda.now() - asked.at;
  if (outcome->kind != OutcomeKind::kReply) return;
  if (asked.type == RecordType::kTxt) {
    fate.right = outcome->reply->reason() == "because of " + asked.address.text();
  } else {
    const auto codes = outcome->reply->codes();
    fate.right = codes.size() == 1 && codes[0] == PlainBook::code_of(asked.address);
  }
}

// As a shard does it, begun where that has handled what a turn brought.
void ResolverWorld::turn(sim::Time wait_max) {
  while (const auto outcome = resolver->next_expired(tick())) note(outcome);
  resolver->send(tick());
  sim::Time wait = wait_max;
  if (const auto wake = resolver->next_wake(tick())) {
    const bool due = tick_reached(tick(), *wake);
    wait = std::min<sim::Time>(wait, due ? 0 : *wake - tick());
  }
  const auto got = world.reactor.turn(milliseconds(static_cast<int64_t>(wait)));
  for (const Completion& completion : got) dispatch(completion);
  resolver->check_invariants();
  if (world.reactor.packets_held() != 0) world.reactor.violation("a packet buffer is kept");
}

void ResolverWorld::run_for(sim::Time span) {
  const sim::Time end = world.agenda.now() + span;
  while (world.agenda.now() < end) turn(end - world.agenda.now());
}

void ResolverWorld::run_out() {
  while (resolver->open() > 0 && world.reactor.violations().empty()) turn(60000);
}

std::string ResolverWorld::trouble() const {
  if (!world.reactor.violations().empty()) return world.reactor.violations().front();
  for (const auto& [cookie, asked] : asked_) {
    const auto fate = fates_.find(cookie);
    const int times = fate == fates_.end() ? 0 : fate->second.times;
    if (times != 1) return fmt::format("question {} came back {} times", cookie, times);
    if (fate->second.kind == OutcomeKind::kReply && !fate->second.right) {
      return fmt::format("question {} was told something wrong", cookie);
    }
  }
  return {};
}

}  // namespace lychgate::dns
