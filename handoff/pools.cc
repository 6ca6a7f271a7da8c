// Selection and back-off of backends.

#include "handoff/pools.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"

namespace lychgate::handoff {
namespace {

constexpr Tick kFirstRestMs = 100;
constexpr uint32_t kDoublingsMax = 7;  // 100 ms * 2^7 is past the longest rest

}  // namespace

void Backoff::failed(Tick now) {
  const Tick rest = kFirstRestMs << std::min(failures_, kDoublingsMax);
  ++failures_;
  until_ = now + std::min(rest, kLongestRestMs);
}

Pools::Pools(const config::Config& config, std::span<ShardCounters> all, uint32_t self,
             const SharedPools* boards)
    : config_(config), all_(all), self_(self), boards_(boards) {
  LYCH_CHECK(config.pools.size() <= kPoolsMax && self < all.size());
  for (const config::Pool& pool : config.pools) {
    LYCH_CHECK(pool.backends.size() <= kBackendsPerPoolMax);
    rest_.emplace_back(pool.backends.size());
    turns_.emplace_back(pool.backends.size());
  }
}

uint64_t Pools::open_on_host(Cell cell) const {
  uint64_t open = 0;
  for (const ShardCounters& shard : all_) {
    open += shard.backend_open[cell.pool][cell.backend].load(std::memory_order_relaxed);
  }
  return open;
}

bool Pools::is_down(uint32_t pool, uint32_t backend) const {
  const Cell cell = cell_of(pool, backend);
  const auto& health = boards_->backends[cell.pool][cell.backend].health;
  return health.load(std::memory_order_relaxed) == static_cast<uint8_t>(BackendHealth::kDown);
}

// Those that checks have found dead. When that is all of them, the check may be what is wrong.
TriedSet Pools::passed_over(uint32_t pool) const {
  if (boards_ == nullptr) return 0;
  TriedSet down = 0;
  const auto backends = static_cast<uint32_t>(config_.pools[pool].backends.size());
  for (uint32_t i = 0; i < backends; ++i) down |= TriedSet{is_down(pool, i)} << i;
  return static_cast<uint32_t>(std::popcount(down)) == backends ? 0 : down;
}

Pools::Choice Pools::choose(uint32_t pool, TriedSet tried, Tick now) {
  const config::Pool& settings = config_.pools[pool];
  Choice choice;
  tried |= passed_over(pool);
  TriedSet equal = 0;  // those with the least load
  uint64_t best_open = 0;
  uint64_t best_weight = 1;
  for (uint32_t i = 0; i < settings.backends.size(); ++i) {
    if ((tried >> i & 1) != 0 || rest_[pool][i].resting(now)) continue;
    const Cell cell = cell_of(pool, i);
    if (all_[self_].use_of(cell.pool, cell.backend) != BackendUse::kUp) continue;
    const uint64_t open = open_on_host(cell);
    if (open >= settings.connections) {
      choice.any_full = true;
      continue;
    }
    // open / weight is the load, compared without division.
    const uint64_t weight = settings.backends[i].weight;
    const uint64_t ours = open * best_weight;
    const uint64_t best = best_open * weight;
    if (equal == 0 || ours < best) {
      equal = 0;
      best_open = open;
      best_weight = weight;
    }
    if (equal == 0 || ours == best) equal |= TriedSet{1} << i;
  }
  if (equal != 0) choice.backend = take_turn(pool, equal);
  return choice;
}

// Smooth weighted round-robin: each gets credit by its weight, the richest pays for all. A passed
// descriptor is gone in a moment, so without turns the first backend would get every client.
uint32_t Pools::take_turn(uint32_t pool, TriedSet among) {
  const auto& backends = config_.pools[pool].backends;
  std::vector<int64_t>& credit = turns_[pool];
  int64_t all = 0;
  uint32_t richest = static_cast<uint32_t>(std::countr_zero(among));
  for (uint32_t i = 0; i < backends.size(); ++i) {
    if ((among >> i & 1) == 0) continue;
    credit[i] += backends[i].weight;
    all += backends[i].weight;
    if (credit[i] > credit[richest]) richest = i;
  }
  credit[richest] -= all;
  return richest;
}

void Pools::opened(uint32_t pool, uint32_t backend) {
  const Cell cell = cell_of(pool, backend);
  ShardCounters::shift(all_[self_].backend_open[cell.pool][cell.backend], 1);
  ShardCounters::shift(all_[self_].pool_open[cell.pool], 1);
}

void Pools::closed(uint32_t pool, uint32_t backend) {
  const Cell cell = cell_of(pool, backend);
  ShardCounters::shift(all_[self_].backend_open[cell.pool][cell.backend], -1);
  ShardCounters::shift(all_[self_].pool_open[cell.pool], -1);
}

void Pools::succeeded(uint32_t pool, uint32_t backend) {
  rest_[pool][backend].succeeded();
}

bool Pools::failed(uint32_t pool, uint32_t backend, Tick now) {
  Backoff& rest = rest_[pool][backend];
  rest.failed(now);
  return rest.failures() == 1;
}

}  // namespace lychgate::handoff
