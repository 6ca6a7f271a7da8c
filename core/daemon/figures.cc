// A snapshot of the shared counters, to lines and back.

#include "core/daemon/figures.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/daemon/load.h"

namespace lychgate::daemon {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

Figures::Pool take_pool(const FiguresParts& parts, size_t pool) {
  const config::Pool& settings = parts.config.pools[pool];
  const uint8_t cell = parts.config.cells.pools[pool];
  Figures::Pool out;
  out.name = settings.name;
  out.backends = settings.backends.size();
  for (uint32_t i = 0; i < settings.backends.size(); ++i) {
    const BackendUse use = parts.shards[0].use_of(cell, parts.config.cells.backends[pool][i]);
    out.backends_up += use == BackendUse::kUp ? 1 : 0;
  }
  for (const ShardCounters& shard : parts.shards) {
    out.open += shard.pool_open[cell].load(kRelaxed);
    for (size_t i = 0; i < kHandoffOutcomeCount; ++i) {
      out.outcomes[i] += shard.outcomes[cell][i].load(kRelaxed);
    }
  }
  return out;
}

Figures::List take_list(const FiguresParts& parts, size_t list) {
  Figures::List out;
  const uint8_t cell = parts.config.cells.lists[list];
  out.name = parts.lists[list].name;
  out.state = kListStateNames[parts.boards.lists.boards[cell].state.load(kRelaxed)];
  std::array<uint64_t, kLatencyCells> latency{};
  for (const ShardCounters& shard : parts.shards) {
    const ListCounters& from = shard.lists[cell];
    out.queries += from.queries.load(kRelaxed);
    out.listed += from.listed.load(kRelaxed);
    out.errors +=
        from.errors.load(kRelaxed) + from.failed.load(kRelaxed) + from.timeouts.load(kRelaxed);
    for (size_t i = 0; i < kLatencyCells; ++i) latency[i] += from.latency[i].load(kRelaxed);
  }
  out.p50_ms = percentile_ms(latency, 0.5);
  out.p99_ms = percentile_ms(latency, 0.99);
  return out;
}

// The words of one line, taken from the front.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}
  std::string_view word() {
    const size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return out;
  }
  void number(uint64_t& into) {
    const std::string_view text = word();
    std::from_chars(text.data(), text.data() + text.size(), into);
  }

 private:
  std::string_view rest_;
};

void read_phase(Line& line, Figures& out) {
  const std::string_view name = line.word();
  for (size_t i = 0; i < kPhaseCount; ++i) {
    if (name == kPhaseNames[i]) line.number(out.phases[i]);
  }
}

void read_counter(Line& line, Figures& out) {
  const std::string_view name = line.word();
  for (size_t i = 0; i < kCounterCount; ++i) {
    if (name == kCounterInfo[i].name) line.number(out.counters[i]);
  }
}

void read_pool(Line& line, Figures& out) {
  if (out.pools.size() == kPoolsMax) return;
  Figures::Pool& pool = out.pools.emplace_back();
  pool.name = line.word();
  line.number(pool.open);
  line.number(pool.backends_up);
  line.number(pool.backends);
  for (uint64_t& outcome : pool.outcomes) line.number(outcome);
}

void read_list(Line& line, Figures& out) {
  if (out.lists.size() == kListsMax) return;
  Figures::List& list = out.lists.emplace_back();
  list.name = line.word();
  list.state = line.word();
  for (uint64_t* field : {&list.queries, &list.listed, &list.errors, &list.p50_ms, &list.p99_ms}) {
    line.number(*field);
  }
}

}  // namespace

Figures take_figures(const FiguresParts& parts) {
  Figures out;
  out.version = LYCHGATE_VERSION;
  out.shards = parts.config.shards;
  out.room = uint64_t{parts.config.limits.per_shard} * parts.config.shards;
  out.level = static_cast<uint64_t>(level_of(parts.boards.load));
  for (const ShardCounters& shard : parts.shards) {
    out.held += shard.held.load(kRelaxed);
    for (size_t i = 0; i < kPhaseCount; ++i) out.phases[i] += shard.phases[i].load(kRelaxed);
    for (size_t i = 0; i < kCounterCount; ++i) out.counters[i] += shard.values[i].load(kRelaxed);
  }
  for (size_t i = 0; i < parts.config.pools.size(); ++i) out.pools.push_back(take_pool(parts, i));
  for (size_t i = 0; i < parts.lists.size(); ++i) out.lists.push_back(take_list(parts, i));
  return out;
}

std::string write_figures(const Figures& figures) {
  std::string out =
      fmt::format("version {}\nshards {}\nheld {}\nroom {}\nlevel {}\n", figures.version,
                  figures.shards, figures.held, figures.room, figures.level);
  for (size_t i = 1; i < kPhaseCount; ++i) {
    out += fmt::format("phase {} {}\n", kPhaseNames[i], figures.phases[i]);
  }
  for (size_t i = 0; i < kCounterCount; ++i) {
    out += fmt::format("counter {} {}\n", kCounterInfo[i].name, figures.counters[i]);
  }
  for (const Figures::Pool& pool : figures.pools) {
    out += fmt::format("pool {} {} {} {} {}\n", pool.name, pool.open, pool.backends_up,
                       pool.backends, fmt::join(pool.outcomes, " "));
  }
  for (const Figures::List& list : figures.lists) {
    out += fmt::format("list {} {} {} {} {} {} {}\n", list.name, list.state, list.queries,
                       list.listed, list.errors, list.p50_ms, list.p99_ms);
  }
  return out;
}

std::optional<Figures> read_figures(std::string_view text) {
  Figures out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    Line line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view what = line.word();
    if (what == "version") out.version = line.word();
    if (what == "shards") line.number(out.shards);
    if (what == "held") line.number(out.held);
    if (what == "room") line.number(out.room);
    if (what == "level") line.number(out.level);
    if (what == "phase") read_phase(line, out);
    if (what == "counter") read_counter(line, out);
    if (what == "pool") read_pool(line, out);
    if (what == "list") read_list(line, out);
  }
  return out.version.empty() ? std::nullopt : std::optional(std::move(out));
}

}  // namespace lychgate::daemon
