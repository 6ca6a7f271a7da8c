// Set-up and loop, both a shard's in small.

#include "core/daemon/online.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "dns/udp_sockets.h"

namespace lychgate::daemon {

using ring::Op;

namespace {

// One address and the test points of every list; each list answers in one datagram.
constexpr uint32_t kRelayBuffersHere = 64;

}  // namespace

Result<std::unique_ptr<Online>> Online::create(const config::Config& config,
                                               const ListsPlan& plan) {
  SipKey key{};
  if (getrandom(key.data(), sizeof(key), 0) != sizeof(key)) {
    return fail(ExitCode::kOsError, fmt::format("getrandom failed: {}", errno_text(errno)));
  }
  auto ring = ring::UringReactor::create({.slots = kSlotsMin, .buffers = kRelayBuffersHere});
  if (!ring) return tl::unexpected(ring.error());
  auto slots = SlotTable::create(kSlotsMin + 1, key);
  if (!slots) return tl::unexpected(slots.error());
  auto shared = SharedCounters::create(1);
  if (!shared) return tl::unexpected(shared.error());
  auto sockets = dns::open_udp_sockets(plan.servers, config.dns.sockets);
  if (!sockets) return tl::unexpected(sockets.error());
  std::unique_ptr<Online> made(new Online(std::move(*ring), std::move(*slots), std::move(*shared)));
  made->sockets_ = std::move(*sockets);
  auto lookups = Lookups::create({.config = config,
                                  .plan = plan,
                                  .connections = made->connections_,
                                  .shared = made->counters_.lists(),
                                  .counters = made->counters_.shards(),
                                  .mine = made->counters_.shards()[0],
                                  .watching = true,
                                  .sockets = made->sockets_,
                                  .key = key},
                                 made->now_);
  if (!lookups) return tl::unexpected(lookups.error());
  made->lookups_ = std::move(*lookups);
  made->lookups_->start();
  return made;
}

Online::Online(std::unique_ptr<ring::UringReactor> reactor, SlotTable slots,
               SharedCounters counters)
    : reactor_(std::move(reactor)),
      slots_(std::move(slots)),
      counters_(std::move(counters)),
      timers_(slots_, to_tick(monotonic_now())),
      connections_(slots_, *reactor_, timers_, counters_.shards()[0]),
      now_(to_tick(monotonic_now())) {}

void Online::ask(const IpAddress& address) {
  slots_.open(client(), Phase::kSilentWait).address = address;
  lookups_->ask(client(), now_);
}

void Online::run(milliseconds most, const std::function<bool()>& done) {
  const Tick end = now_ + to_ticks(most);
  for (;;) {
    lookups_->advance(now_, std::chrono::system_clock::now());
    while (lookups_->next_decided()) decided_ = true;
    while (lookups_->next_line()) {  // the report says it
    }
    if (done() || tick_reached(now_, end)) return;
    Tick wake = end;
    if (const auto next = lookups_->next_wake(now_); next && tick_reached(wake, *next)) {
      wake = *next;
    }
    const milliseconds wait{tick_reached(now_, wake) ? 0 : wake - now_};
    const auto completions = reactor_->turn(wait);
    now_ = to_tick(monotonic_now());
    for (const ring::Completion& completion : completions) dispatch(completion);
  }
}

void Online::dispatch(const ring::Completion& completion) {
  const Op op = completion.tag.operation();
  if (op == Op::kIgnored) return;
  const bool of_slot =
      op == Op::kDnsTcpConnect || op == Op::kDnsTcpSend || op == Op::kDnsTcpReceive;
  const bool ours = op == Op::kDnsSend || op == Op::kDnsReceive || op == Op::kDnsTcpSocket;
  if (ours || (connections_.take(completion) != nullptr && of_slot)) {
    lookups_->complete(completion, now_);
  }
}

}  // namespace lychgate::daemon
