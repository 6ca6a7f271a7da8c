// Sums over the shared blocks, and the period.

#include "core/daemon/load.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/base/limits.h"

namespace lychgate::daemon {
namespace {

using config::OverloadLevel;

constexpr auto kRelaxed = std::memory_order_relaxed;

// Of fewer clients or backends' connections than this no share is told: a gate with one client that
// waits is not full.
constexpr uint64_t kFewestCounted = 50;

constexpr const char* kLevelWords[config::kOverloadLevelCount] = {"NORMAL", "BUSY", "STRESS",
                                                                  "EMERGENCY"};

uint32_t percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<uint32_t>(part * 100 / whole);
}

template <typename CellOf>
uint64_t sum(std::span<const ShardCounters> counters, CellOf cell_of) {
  uint64_t out = 0;
  for (const ShardCounters& shard : counters) out += cell_of(shard).load(kRelaxed);
  return out;
}

uint64_t held(std::span<const ShardCounters> counters) {
  return sum(
      counters, [](const ShardCounters& shard) -> auto& { return shard.held; });
}

uint64_t in_phase(std::span<const ShardCounters> counters, Phase phase) {
  return sum(
      counters, [phase](const ShardCounters& shard) -> auto& {
        return shard.phases[static_cast<size_t>(phase)];
      });
}

// All pools together: one that is kept small, and so always full, is no reason for a level.
uint32_t backends_percent(const config::Config& config, std::span<const ShardCounters> counters) {
  uint64_t open = 0;
  uint64_t room = 0;
  for (size_t p = 0; p < config.pools.size(); ++p) {
    const uint32_t pool = config.cells.pools[p];
    for (size_t b = 0; b < config.pools[p].backends.size(); ++b) {
      const uint32_t backend = config.cells.backends[p][b];
      if (counters[0].use_of(pool, backend) != BackendUse::kUp) continue;
      room += config.pools[p].connections;
      open += sum(
          counters, [&](const ShardCounters& shard) -> auto& {
            return shard.backend_open[pool][backend];
          });
    }
  }
  return room == 0 ? 0 : percent(open, std::max(room, kFewestCounted));
}

uint64_t room_for_clients(const config::Limits& limits, uint64_t clients_max) {
  return limits.held == 0 ? clients_max : std::min<uint64_t>(limits.held, clients_max);
}

// proc(5): "MemTotal:       16316180 kB", a line each. nullopt: there is no such line.
std::optional<uint64_t> kilobytes_of(std::string_view meminfo, std::string_view name) {
  const size_t at = meminfo.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = meminfo.substr(at + name.size());
  const size_t digits = std::min(rest.find_first_not_of(' '), rest.size());
  uint64_t out = 0;
  std::from_chars(rest.data() + digits, rest.data() + rest.size(), out);
  return out;
}

int64_t seconds_of(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

}  // namespace

admission::Load measure(const config::Config& config, std::span<const ShardCounters> counters,
                        uint64_t clients_max, uint32_t memory_percent) {
  const uint64_t clients = held(counters);
  const uint64_t waiting = in_phase(counters, Phase::kQueued) + in_phase(counters, Phase::kMoving);
  return {.clients = percent(clients, room_for_clients(config.limits, clients_max)),
          .backends = backends_percent(config, counters),
          .waiting = percent(waiting, std::max(clients, kFewestCounted)),
          .memory = memory_percent};
}

uint32_t memory_percent(std::string_view meminfo) {
  const auto total = kilobytes_of(meminfo, "MemTotal:");
  const auto available = kilobytes_of(meminfo, "MemAvailable:");
  if (!total || !available) return 0;
  return percent(*total - std::min(*available, *total), *total);
}

OverloadLevel level_of(const SharedLoad& board) {
  // Another version of the program may have known more levels.
  const uint8_t level = board.level.load(kRelaxed);
  return static_cast<OverloadLevel>(
      std::min<uint8_t>(level, static_cast<uint8_t>(config::kOverloadLevelCount - 1)));
}

LoadWatch::LoadWatch(const LoadWatchParts& parts, Tick now)
    : parts_(parts), state_{level_of(parts.board), now}, next_(now) {}

void LoadWatch::advance(Tick now) {
  if (!tick_reached(now, next_)) return;
  next_ = now + kOverloadPeriodMs;
  // While one generation follows another both consider the load, and one of them has told.
  if (level_of(parts_.board) != state_.level) state_ = {level_of(parts_.board), now};
  const config::Config& config = parts_.config;
  const auto load =
      measure(config, parts_.counters, uint64_t{config.limits.per_shard} * config.shards,
              parts_.board.memory_percent.load(kRelaxed));
  const OverloadLevel before = state_.level;
  state_ = admission::next_level(state_, load, config.overload, now);
  if (state_.level == before) return;
  tell(before, state_.level);
  parts_.board.level_since.store(seconds_of(parts_.log.time()), kRelaxed);
  parts_.board.level.store(static_cast<uint8_t>(state_.level), kRelaxed);
}

// Each level that is passed has its line. The words are postscreen's.
void LoadWatch::tell(OverloadLevel from, OverloadLevel to) {
  const uint64_t clients = held(parts_.counters);
  const auto say = [&](const char* verb, size_t level) {
    parts_.log.add(parts_.log.time(), fmt::format("{} {} mode with {} connections", verb,
                                                  kLevelWords[level], clients));
  };
  for (size_t i = static_cast<size_t>(from); i > static_cast<size_t>(to); --i) say("leaving", i);
  for (size_t i = static_cast<size_t>(from) + 1; i <= static_cast<size_t>(to); ++i) {
    say("entering", i);
    parts_.counters[parts_.index].add(Counter::kOverloads);
  }
}

}  // namespace lychgate::daemon
