// The shard's turn with everything left out that is not about lists.

#include "bench/lookup_cost/gate_way.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "bench/lookup_cost/responder.h"
#include "core/base/check.h"

namespace lychgate::lookup_cost {

using admission::Standing;

namespace {

constexpr SipKey kKey = {0x6c796368, 0x67617465};
// The first list is enough to fail a client before the others have answered.
constexpr std::array<int32_t, 5> kWeights = {8, 4, 3, 3, 2};

daemon::ListsPlan make_plan(const Endpoint& server) {
  daemon::ListsPlan plan;
  auto memory = PrivateMemory::create(kZones.size() * dns::kNameBytesMax);
  LYCH_CHECK(memory.has_value());
  plan.zone_bytes = std::move(*memory);
  plan.servers.push_back(server);
  for (size_t i = 0; i < kZones.size(); ++i) {
    config::List& list = plan.lists.emplace_back();
    list.name = kZones[i];
    config::CodePattern all_of_loopback;
    for (auto& octet : all_of_loopback.octets()) octet.set();
    list.lines.push_back({.pattern = all_of_loopback, .weight = kWeights[i]});
    list.gain_max = kWeights[i];
    const auto place = plan.zone_bytes.bytes().subspan(i * dns::kNameBytesMax, dns::kNameBytesMax);
    const auto size = dns::write_zone(kZones[i], place);
    LYCH_CHECK(size.has_value());
    plan.zones.push_back({place.first(*size)});
  }
  return plan;
}

milliseconds wait_until(std::optional<Tick> wake, Tick now) {
  if (!wake) return kPatience;
  return tick_reached(now, *wake) ? milliseconds(0) : milliseconds(*wake - now);
}

}  // namespace

// An odd factor gives each number another address.
IpAddress client_address(uint32_t number) {
  return IpAddress::from_v4(number * 2654435761u + 0x0a000001u);
}

Result<std::unique_ptr<GateWay>> GateWay::create(const Parts& parts) {
  std::unique_ptr<GateWay> way(new GateWay(parts));
  if (auto made = way->set_up(parts); !made) return tl::unexpected(made.error());
  return way;
}

GateWay::GateWay(const Parts& parts)
    : plan_(make_plan(parts.server)),
      clients_(std::max(parts.window / static_cast<uint32_t>(kZones.size()), 1u)) {}

Result<void> GateWay::set_up(const Parts& parts) {
  const uint32_t slots = std::max(clients_, kSlotsMin);
  auto reactor = ring::UringReactor::create({.slots = slots});
  if (!reactor) return tl::unexpected(reactor.error());
  reactor_ = std::move(*reactor);
  auto table = SlotTable::create(slots, kKey);
  if (!table) return tl::unexpected(table.error());
  slots_ = std::make_unique<SlotTable>(std::move(*table));
  auto counters = SharedCounters::create(1);
  if (!counters) return tl::unexpected(counters.error());
  counters_ = std::make_unique<SharedCounters>(std::move(*counters));
  const Tick now = to_tick(monotonic_now());
  timers_ = std::make_unique<ring::Timers>(*slots_, now);
  ShardCounters& mine = counters_->shards()[0];
  connections_ = std::make_unique<ring::Connections>(*slots_, *reactor_, *timers_, mine);
  for (ListBoard& board : counters_->lists().boards) {
    board.state = static_cast<uint8_t>(ListState::kUp);
  }
  auto lookups = daemon::Lookups::create({.config = config_,
                                          .plan = plan_,
                                          .connections = *connections_,
                                          .shared = counters_->lists(),
                                          .counters = counters_->shards(),
                                          .mine = mine,
                                          .sockets = parts.sockets,
                                          .key = kKey},
                                         now);
  if (!lookups) return tl::unexpected(lookups.error());
  lookups_ = std::move(*lookups);
  lookups_->start();
  for (uint32_t slot = 0; slot < clients_; ++slot) slots_->open(slot, Phase::kSilentWait);
  return {};
}

void GateWay::begin(uint32_t slot, Tick now) {
  (*slots_)[slot].address = client_address(next_++);
  lookups_->ask(slot, now);
}

void GateWay::check(uint32_t slot) {
  std::array<char, dns::kQuestionBytesMax> bytes;
  int32_t score = 0;
  for (size_t i = 0; i < kZones.size(); ++i) {
    const std::span<const char> question(
        bytes.data(), dns::write_question({(*slots_)[slot].address, plan_.zones[i]}, {}, bytes));
    if (is_listed(name_of(question))) score += kWeights[i];
  }
  const Standing want = score >= config_.dnsl.threshold ? Standing::kFailed : Standing::kPassed;
  if (lookups_->sum(slot).standing != want) ++wrong_;
  ++checked_;
}

Spent GateWay::run(uint32_t lookups) {
  ShardCounters& mine = counters_->shards()[0];
  const uint64_t asked_before = mine.get(Counter::kDnsAsked);
  const uint64_t answered_before = mine.get(Counter::kDnsAnswered);
  const uint32_t end = next_ + lookups / static_cast<uint32_t>(kZones.size());
  uint32_t waiting = 0;
  Spent spent;
  Tick now = to_tick(monotonic_now());
  for (; waiting < clients_ && next_ < end; ++waiting) begin(waiting, now);
  while (waiting > 0 || lookups_->resolver().open() > 0) {
    lookups_->advance(now, {});
    ++spent.turns;
    const auto completions = reactor_->turn(wait_until(lookups_->next_wake(now), now));
    now = to_tick(monotonic_now());
    for (const ring::Completion& completion : completions) lookups_->complete(completion, now);
    while (const auto slot = lookups_->next_decided()) {
      if (checking_) check(*slot);
      lookups_->leave(*slot);
      --waiting;
      if (next_ == end) continue;
      begin(*slot, now);
      ++waiting;
    }
  }
  spent.lookups = mine.get(Counter::kDnsAnswered) - answered_before;
  spent.lost = mine.get(Counter::kDnsAsked) - asked_before - spent.lookups;
  return spent;
}

}  // namespace lychgate::lookup_cost
