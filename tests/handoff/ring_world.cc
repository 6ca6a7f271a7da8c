// The part of a shard's loop that hand-offs need.

#include "tests/handoff/ring_world.h"

namespace lychgate::handoff {

RingWorld::RingWorld()
    : slots(std::move(*SlotTable::create(kSlotsMin, {1, 2}))),
      counters(std::move(*SharedCounters::create(1))),
      timers(slots, now),
      connections(slots, driver.ring(), timers, counters.shards()[0]),
      listener_(ring::listen_tcp()) {
  config.listens.push_back({.name = "smtp", .address = *Endpoint::parse("192.0.2.1:25")});
  config.pools.emplace_back();
  config.pools[0].name = "strangers";
}

RingWorld::~RingWorld() = default;

ScriptedBackend& RingWorld::add(ScriptedBackend::Kind kind, Script script) {
  backends_.push_back(std::make_unique<ScriptedBackend>(kind, std::move(script)));
  config.pools[0].backends.push_back(backends_.back()->settings());
  return *backends_.back();
}

Transfers& RingWorld::transfers() {
  if (!pools_) pools_.emplace(config, counters.shards(), 0, &counters.boards().pools);
  if (!transfers_) {
    transfers_.emplace(connections, *pools_,
                       TransferOptions{.config = config,
                                       .records = 4,
                                       .buffers = ring::kSmallRing.buffers,
                                       .bulk_relays_max = 2});
  }
  return *transfers_;
}

HealthChecks& RingWorld::checks() {
  if (!checks_) {
    checks_.emplace(connections, config, counters.boards().pools, "gate.example");
  }
  return *checks_;
}

ring::Fd RingWorld::connect(uint32_t& slot) {
  ring::Driver::Pair pair = driver.pair(listener_);
  slot = pair.slot;
  connections.open_client({.slot = slot, .peer = *Endpoint::parse("192.0.2.7:2525")}, now);
  connections.set_phase(slot, Phase::kHandoff);
  return std::move(pair.client);
}

void RingWorld::turn() {
  for (const auto& backend : backends_) backend->pump();
  for (const ring::Completion& completion : driver->turn(milliseconds(1))) {
    const ring::Op op = completion.tag.operation();
    if (op == ring::Op::kIgnored) continue;
    if (op == ring::Op::kCheckSocket || op == ring::Op::kCheckPair) {
      checks().complete(completion, now);
      continue;
    }
    const auto slot = static_cast<uint32_t>(completion.tag.slot);
    if (connections.take(completion) == nullptr) continue;
    if (HealthChecks::owns(op)) {
      checks().complete(completion, now);
    } else if (slots[slot].transfer != kNoSlot) {
      transfers().complete(slot, completion, now);
    }
  }
  timers.advance(now);
  while (const auto due = timers.pop_due()) transfers().timer(*due, now);
  if (transfers_) transfers_->resume_starved(now);
  if (checks_) checks_->advance(now);
  while (transfers_) {
    auto line = transfers_->next_warning();
    if (!line) break;
    warnings.push_back(std::move(*line));
  }
}

bool RingWorld::nothing_is_left() {
  return until(
      [this] { return slots.used() == 0 && driver->buffers_free() == ring::kSmallRing.buffers; });
}

}  // namespace lychgate::handoff
