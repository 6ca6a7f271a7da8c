// The shard's part in PROXY listeners: who may send a header, looking until it is whole, and the
// client that it tells of. The gate says nothing before; who may not speak or speaks wrongly is
// reset. A client is counted in the shard that its balancer's connection came to.

#include <algorithm>
#include <span>
#include <string_view>

#include "core/daemon/shard.h"
#include "core/smtp/proxy_reader.h"

namespace lychgate::daemon {

using ring::Completion;
using ring::Op;

namespace {

bool is_trusted(const config::Listen& listen, const IpAddress& peer) {
  return std::any_of(listen.trusted.begin(), listen.trusted.end(),
                     [&](const Network& network) { return network.contains(peer); });
}

std::string_view words_for(smtp::ProxyOutcome outcome) {
  switch (outcome) {
    case smtp::ProxyOutcome::kComplete:
    case smtp::ProxyOutcome::kNeedMore:
      return "time limit exceeded";
    case smtp::ProxyOutcome::kMalformed:
      return "malformed header";
    case smtp::ProxyOutcome::kChecksum:
      return "wrong checksum";
    case smtp::ProxyOutcome::kTooLong:
      return "header too long";
  }
  return "";
}

// Soon at first, then less and less often.
Tick next_proxy_look(Tick started, Tick now) {
  return now + std::max<Tick>(kProxyLookMs, (now - started) / 4);
}

}  // namespace

void Shard::await_header(uint32_t index, uint32_t of_address, Tick now) {
  const Slot& slot = slots_[index];
  connections_.set_phase(index, Phase::kProxy);
  if (!is_trusted(config_.listens[slot.listener], slot.address)) {
    return refuse_header(index, "not one of the trusted peers", now);
  }
  if (of_address > kClientsPerAddressMax) {
    return refuse_header(index, "too many connections of this peer wait", now);
  }
  timers_.arm(index, TimerHome::kWheel, now);
}

void Shard::header_looked(uint32_t index, const Completion& completion, std::span<const char> bytes,
                          Tick now) {
  const Slot& slot = slots_[index];
  if (stopping_) return connections_.retire(index);
  const bool nothing = completion.result == -EAGAIN;
  if (completion.result <= 0 && !nothing) return refuse_header(index, "hung up", now);
  smtp::ReadProxy read;
  if (!nothing) read = smtp::read_proxy_header(bytes);
  if (read.outcome == smtp::ProxyOutcome::kComplete) {
    if (read.client) rename(index, *read.client);
    return reactor_.take(index, std::span(taken_).first(read.size),
                         connections_.begin(Op::kTake, index));
  }
  const milliseconds limit = config_.listens[slot.listener].proxy_timeout;
  const bool in_time = !tick_reached(now, slot.started + to_ticks(limit));
  if (read.outcome != smtp::ProxyOutcome::kNeedMore || !in_time) {
    return refuse_header(index, words_for(read.outcome), now);
  }
  timers_.arm(index, TimerHome::kWheel, next_proxy_look(slot.started, now));
}

// The client that the header names is from now on who is connected.
void Shard::rename(uint32_t index, const Endpoint& client) {
  Slot& slot = slots_[index];
  counters_.add(Counter::kProxied);
  slots_.address_drop(slot.address);
  slot.address = client.address;
  slot.port = client.port;
  slots_.address_add(slot.address);
}

// The header is taken: what comes next is the client's.
void Shard::introduce(uint32_t index, Tick now) {
  if (stopping_) return connections_.retire(index);
  Slot& slot = slots_[index];
  slot.started = now;
  connections_.set_phase(index, Phase::kSilentWait);
  screen(index, slots_.address_count(slot.address), now);
}

void Shard::refuse_header(uint32_t index, std::string_view why, Tick now) {
  Slot& slot = slots_[index];
  counters_.add(Counter::kProxyRefused);
  LogEvent& line = new_line(slot, LogKind::kProxyFailed);
  line.since = milliseconds{now - slot.started};
  line.quote(why);
  slot.evidence |= kHungUp;  // closed by a reset
  connections_.retire(index);
}

}  // namespace lychgate::daemon
