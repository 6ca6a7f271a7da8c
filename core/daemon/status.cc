// A snapshot of each shard and their sum, rendered twice.

#include "core/daemon/status.h"

#include <array>
#include <ctime>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/values.h"
#include "core/daemon/load.h"

namespace lychgate::daemon {
namespace {

struct PoolNumbers {
  uint64_t open = 0;
  std::array<uint64_t, kHandoffOutcomeCount> outcomes{};
};

struct Numbers {
  uint64_t held = 0;
  int32_t pid = 0;
  std::array<uint64_t, kPhaseCount> phases{};
  std::array<uint64_t, kCounterCount> counters{};
  std::vector<PoolNumbers> pools;
};

template <typename From>
void add_all(auto& into, const From& from) {
  for (size_t i = 0; i < into.size(); ++i) into[i] += from[i];
}

Numbers read(const ShardCounters& shard, const config::Config& config) {
  Numbers out;
  out.held = shard.held.load(std::memory_order_relaxed);
  out.pid = shard.pid.load(std::memory_order_relaxed);
  add_all(out.phases, shard.phases);
  add_all(out.counters, shard.values);
  for (size_t i = 0; i < config.pools.size(); ++i) {
    PoolNumbers& pool = out.pools.emplace_back();
    const uint8_t cell = config.cells.pools[i];
    pool.open = shard.pool_open[cell].load(std::memory_order_relaxed);
    add_all(pool.outcomes, shard.outcomes[cell]);
  }
  return out;
}

void add(Numbers& into, const Numbers& shard) {
  into.held += shard.held;
  add_all(into.phases, shard.phases);
  add_all(into.counters, shard.counters);
  into.pools.resize(shard.pools.size());
  for (size_t i = 0; i < shard.pools.size(); ++i) {
    into.pools[i].open += shard.pools[i].open;
    add_all(into.pools[i].outcomes, shard.pools[i].outcomes);
  }
}

Numbers sum(const std::vector<Numbers>& shards) {
  Numbers total;
  for (const Numbers& shard : shards) add(total, shard);
  return total;
}

// Of each shard, both generations together.
std::vector<Numbers> read_all(const StatusParts& parts) {
  const uint32_t shards = parts.config.shards;
  std::vector<Numbers> out(shards);
  for (size_t i = 0; i < parts.blocks.size(); ++i) {
    const Numbers block = read(parts.blocks[i], parts.config);
    add(out[i % shards], block);
    if (i / shards == parts.generation.set) out[i % shards].pid = block.pid;
  }
  return out;
}

// Processes of the generation before.
std::vector<int32_t> retiring_pids(const StatusParts& parts) {
  std::vector<int32_t> out;
  for (size_t i = 0; i < parts.blocks.size(); ++i) {
    const int32_t pid = parts.blocks[i].pid.load(std::memory_order_relaxed);
    if (i / parts.config.shards != parts.generation.set && pid > 0) out.push_back(pid);
  }
  return out;
}

std::string generation_json(const StatusParts& parts) {
  return fmt::format(
      "{{\"number\":{},\"since\":{},\"retiring_clients\":{},\"retiring_pids\":[{}]}}",
      parts.generation.number, parts.generation.since,
      retiring_clients(parts.blocks, parts.config.shards, parts.generation),
      fmt::join(retiring_pids(parts), ","));
}

std::string utc(int64_t seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

// "generation 3 since 2026-01-01T00:00:00Z; still with the one before: 17"
std::string generation_line(const StatusParts& parts) {
  const StewardGeneration& now = parts.generation;
  std::string out = fmt::format("generation {}", now.number);
  if (now.since != 0) out += " since " + utc(now.since);
  if (!retiring_pids(parts).empty()) {
    out += fmt::format("; still with the one before: {}",
                       retiring_clients(parts.blocks, parts.config.shards, now));
  }
  return out + '\n';
}

std::string overload_json(const SharedLoad& load) {
  return fmt::format("{{\"level\":\"{}\",\"since\":{}}}", config::level_text(level_of(load)),
                     load.level_since.load(std::memory_order_relaxed));
}

// "overload: stress since 2026-01-01T00:00:00Z"; it has always been normal when no time is told.
std::string overload_line(const SharedLoad& load) {
  const int64_t since = load.level_since.load(std::memory_order_relaxed);
  const std::string when = since == 0 ? "" : " since " + utc(since);
  return fmt::format("overload: {}{}\n", config::level_text(level_of(load)), when);
}

// "a":1,"b":2 - names are ours and need no escaping.
template <typename NameOf>
std::string json_members(std::span<const uint64_t> values, NameOf name_of, size_t first = 0) {
  std::string out;
  for (size_t i = first; i < values.size(); ++i) {
    out += fmt::format("{}\"{}\":{}", out.empty() ? "" : ",", name_of(i), values[i]);
  }
  return out;
}

std::string json_numbers(const Numbers& numbers, const config::Config& config) {
  std::string pools;
  for (size_t i = 0; i < numbers.pools.size(); ++i) {
    pools += fmt::format(
        "{}\"{}\":{{\"open\":{},{}}}", i == 0 ? "" : ",", config.pools[i].name,
        numbers.pools[i].open,
        json_members(numbers.pools[i].outcomes, [](size_t n) { return kHandoffOutcomeNames[n]; }));
  }
  return fmt::format(
      "\"held\":{},\"phases\":{{{}}},\"counters\":{{{}}},\"pools\":{{{}}}", numbers.held,
      json_members(
          numbers.phases, [](size_t n) { return kPhaseNames[n]; }, 1),
      json_members(numbers.counters, [](size_t n) { return kCounterInfo[n].name; }), pools);
}

std::string row(std::string_view name, const std::vector<Numbers>& shards, const Numbers& total,
                auto pick) {
  std::string out = fmt::format("{:<24}{:>12}", name, pick(total));
  for (const Numbers& shard : shards) out += fmt::format("{:>12}", pick(shard));
  return out + '\n';
}

}  // namespace

std::string status_json(const StatusParts& parts) {
  const config::Config& config = parts.config;
  const std::vector<Numbers> all = read_all(parts);
  std::string list;
  for (size_t i = 0; i < all.size(); ++i) {
    list += fmt::format("{}{{\"shard\":{},\"pid\":{},{}}}", i == 0 ? "" : ",", i, all[i].pid,
                        json_numbers(all[i], config));
  }
  const std::string kernel =
      kernel_holds(config) ? fmt::format(",\"tcp_defer_accept_drop\":{}", parts.deferred_acks) : "";
  return fmt::format(
      "{{\"version\":\"{}\",\"generation\":{},\"overload\":{},\"shards\":[{}],\"total\":{{{}}}{}}}"
      "\n",
      LYCHGATE_VERSION, generation_json(parts), overload_json(parts.load), list,
      json_numbers(sum(all), config), kernel);
}

std::string status_text(const StatusParts& parts) {
  const config::Config& config = parts.config;
  const std::vector<Numbers> all = read_all(parts);
  const Numbers total = sum(all);
  std::string out = fmt::format("lychgate {}\n{}{}{:<24}{:>12}", LYCHGATE_VERSION,
                                generation_line(parts), overload_line(parts.load), "", "total");
  for (size_t i = 0; i < all.size(); ++i) out += fmt::format("{:>12}", fmt::format("shard {}", i));
  out += '\n';
  out += row("held", all, total, [](const Numbers& n) { return n.held; });
  // Phase 0 is a free slot, which is not a client.
  for (size_t i = 1; i < kPhaseCount; ++i) {
    out += row(fmt::format("  {}", kPhaseNames[i]), all, total,
               [i](const Numbers& n) { return n.phases[i]; });
  }
  for (size_t i = 0; i < kCounterCount; ++i) {
    if (total.counters[i] == 0) continue;
    out += row(kCounterInfo[i].name, all, total, [i](const Numbers& n) { return n.counters[i]; });
  }
  if (kernel_holds(config)) {
    out += fmt::format("{:<24}{:>12}\n", "tcp_defer_accept_drop", parts.deferred_acks);
  }
  for (size_t p = 0; p < config.pools.size(); ++p) {
    out += row(fmt::format("pool {}", config.pools[p].name), all, total,
               [p](const Numbers& n) { return n.pools[p].open; });
    for (size_t o = 0; o < kHandoffOutcomeCount; ++o) {
      if (total.pools[p].outcomes[o] == 0) continue;
      out += row(fmt::format("  {}", kHandoffOutcomeNames[o]), all, total,
                 [p, o](const Numbers& n) { return n.pools[p].outcomes[o]; });
    }
  }
  return out;
}

}  // namespace lychgate::daemon
