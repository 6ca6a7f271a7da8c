// One snapshot of the pools, rendered twice; and names turned into indices.

#include "core/daemon/pools_report.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/daemon/text_table.h"
#include "handoff/health.h"

namespace lychgate::daemon {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// What the blocks say of one pool, by its number in the configuration.
class PoolNumbers {
 public:
  PoolNumbers(const config::Config& config, std::span<const ShardCounters> shards,
              const SharedPools* boards, size_t pool)
      : shards_(shards),
        boards_(boards),
        cell_(config.cells.pools[pool]),
        backends_(config.cells.backends[pool]) {}

  uint64_t open() const {
    uint64_t open = 0;
    for (const ShardCounters& shard : shards_) open += shard.pool_open[cell_].load(kRelaxed);
    return open;
  }
  uint64_t open(size_t backend) const {
    uint64_t open = 0;
    for (const ShardCounters& shard : shards_) {
      open += shard.backend_open[cell_][backends_[backend]].load(kRelaxed);
    }
    return open;
  }
  uint64_t outcome(size_t outcome) const {
    uint64_t count = 0;
    for (const ShardCounters& shard : shards_) {
      count += shard.outcomes[cell_][outcome].load(kRelaxed);
    }
    return count;
  }
  const char* use_name(size_t backend) const {
    const BackendUse use = shards_[0].use_of(cell_, backends_[backend]);
    return kBackendUseNames[static_cast<size_t>(use)];
  }
  handoff::BackendWord word(size_t backend) const {
    if (boards_ == nullptr) return {};
    return handoff::read_board(boards_->backends[cell_][backends_[backend]]);
  }

 private:
  std::span<const ShardCounters> shards_;
  const SharedPools* boards_;
  uint8_t cell_;
  std::span<const uint8_t> backends_;
};

const char* health_name(const handoff::BackendWord& word) {
  return kBackendHealthNames[static_cast<size_t>(word.health)];
}

// "announces SIZE 10240000, STARTTLS"; empty when nothing is known.
std::string announced_note(const handoff::BackendWord& word) {
  if (word.text.empty()) return {};
  std::string note = "announces ";
  for (const char c : word.text.substr(0, word.text.size() - 1)) {
    c == '\n' ? note.append(", ") : note.append(1, c);
  }
  return note;
}

// ["SIZE 10240000","STARTTLS"]
std::string announced_json(const handoff::BackendWord& word) {
  std::string list = "[";
  for (std::string_view rest = word.text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (list.size() > 1) list += ',';
    list += config::toml_quoted(line);
  }
  return list + "]";
}

std::string backend_json(const config::Pool& pool, const PoolNumbers& numbers, size_t backend) {
  const handoff::BackendWord word = numbers.word(backend);
  return fmt::format(
      "{{\"backend\":{},\"state\":\"{}\",\"health\":\"{}\",\"announces\":{},\"weight\":{},\"open\":"
      "{},"
      "\"connections\":{}}}",
      config::toml_quoted(pool.backends[backend].text), numbers.use_name(backend),
      health_name(word), announced_json(word), pool.backends[backend].weight, numbers.open(backend),
      pool.connections);
}

}  // namespace

std::string pools_text(const config::Config& config, std::span<const ShardCounters> shards,
                       const SharedPools* boards) {
  if (config.pools.empty()) return "no pools are configured\n";
  std::vector<TableRow> rows{{{"pool", "backend", "state", "health", "weight", "open", "limit",
                               "taken", "refused", "full", "timed out", "fell back", "gave up"},
                              ""}};
  for (size_t p = 0; p < config.pools.size(); ++p) {
    const config::Pool& pool = config.pools[p];
    const PoolNumbers numbers(config, shards, boards, p);
    std::vector<std::string> cells{pool.name, "", "", "", "", fmt::format("{}", numbers.open()),
                                   ""};
    for (size_t i = 0; i < kHandoffOutcomeCount; ++i) {
      cells.push_back(fmt::format("{}", numbers.outcome(i)));
    }
    rows.push_back({cells, ""});
    for (size_t b = 0; b < pool.backends.size(); ++b) {
      const handoff::BackendWord word = numbers.word(b);
      rows.push_back({{"", pool.backends[b].text, numbers.use_name(b), health_name(word),
                       fmt::format("{}", pool.backends[b].weight),
                       fmt::format("{}", numbers.open(b)), fmt::format("{}", pool.connections)},
                      announced_note(word)});
    }
  }
  return text_table("llllrrrrrrrrr", rows);
}

std::string pools_json(const config::Config& config, std::span<const ShardCounters> shards,
                       const SharedPools* boards) {
  using config::toml_quoted;  // a TOML basic string is a JSON string, too
  std::string pools;
  for (size_t p = 0; p < config.pools.size(); ++p) {
    const config::Pool& pool = config.pools[p];
    const PoolNumbers numbers(config, shards, boards, p);
    std::string outcomes;
    for (size_t i = 0; i < kHandoffOutcomeCount; ++i) {
      outcomes += fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", kHandoffOutcomeNames[i],
                              numbers.outcome(i));
    }
    std::string backends;
    for (size_t b = 0; b < pool.backends.size(); ++b) {
      if (b > 0) backends += ',';
      backends += backend_json(pool, numbers, b);
    }
    pools += fmt::format(
        "{}{{\"pool\":{},\"open\":{},\"fallback\":{},\"outcomes\":{{{}}},\"backends\":[{}]}}",
        p == 0 ? "" : ",", toml_quoted(pool.name), numbers.open(),
        pool.fallback.empty() ? "null" : toml_quoted(pool.fallback), outcomes, backends);
  }
  return fmt::format("{{\"pools\":[{}]}}\n", pools);
}

config::Parsed<PoolChoice> choose_backends(const config::Config& config,
                                           const ControlRequest& request) {
  PoolChoice choice;
  const auto pool = std::find_if(config.pools.begin(), config.pools.end(),
                                 [&](const config::Pool& one) { return one.name == request.pool; });
  if (pool == config.pools.end()) {
    std::vector<std::string_view> names;
    for (const config::Pool& one : config.pools) names.push_back(one.name);
    return tl::unexpected(fmt::format("no pool is called \"{}\", expected one of {}", request.pool,
                                      fmt::join(names, ", ")));
  }
  choice.pool = static_cast<uint32_t>(pool - config.pools.begin());
  if (request.backend.empty()) return choice;
  const std::string& name = request.backend;
  for (uint32_t i = 0; i < pool->backends.size(); ++i) {
    if (name == pool->backends[i].text || name == fmt::format("{}", i)) choice.backend = i;
  }
  if (choice.backend) return choice;
  std::vector<std::string_view> names;
  for (const config::Backend& one : pool->backends) names.push_back(one.text);
  return tl::unexpected(
      fmt::format("pool {} has no backend \"{}\", expected its number or one of {}", pool->name,
                  name, fmt::join(names, ", ")));
}

void use_backends(const config::Config& config, std::span<ShardCounters> shards,
                  const PoolChoice& choice, BackendUse use) {
  const auto& cells = config.cells.backends[choice.pool];
  for (ShardCounters& shard : shards) {
    auto& uses = shard.backend_use[config.cells.pools[choice.pool]];
    for (uint32_t i = 0; i < config.pools[choice.pool].backends.size(); ++i) {
      if (choice.backend && *choice.backend != i) continue;
      uses[cells[i]].store(static_cast<uint8_t>(use), kRelaxed);
    }
  }
}

std::string change_text(const config::Config& config, const PoolChoice& choice, BackendUse use) {
  const config::Pool& pool = config.pools[choice.pool];
  const char* state = kBackendUseNames[static_cast<size_t>(use)];
  if (!choice.backend) return fmt::format("pool {}: all backends are set to {}", pool.name, state);
  return fmt::format("pool {}: backend {} is set to {}", pool.name,
                     pool.backends[*choice.backend].text, state);
}

}  // namespace lychgate::daemon
