// Families of metrics from one pass over the shared counters.

#include "core/daemon/metrics.h"

#include <sys/resource.h>

#include <exception>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "core/config/values.h"
#include "core/daemon/list_watch.h"
#include "core/daemon/load.h"
#include "core/daemon/metrics_table.h"

namespace lychgate::daemon {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr auto kRelaxed = std::memory_order_relaxed;

// One of them scrapes; the others are there while somebody keeps it waiting.
constexpr char kThreads[] = "4";
constexpr char kRequestMs[] = "1000";
constexpr char kRequestBytes[] = "4096";
constexpr char kConnectionsQueued[] = "4";
constexpr char kBacklog[] = "128";

using Labels = std::vector<ClientMetric::Label>;

MetricType type_of(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return MetricType::Counter;
    case MetricKind::kGauge:
      return MetricType::Gauge;
    case MetricKind::kHistogram:
      return MetricType::Histogram;
  }
  return MetricType::Untyped;
}

class Families {
 public:
  explicit Families(const MetricsParts& parts) : parts_(parts) {}
  std::vector<MetricFamily> take() {
    add_gate();
    add_load();
    add_pools();
    add_lists();
    add_store();
    add_process();
    add_counters();
    return std::move(families_);
  }

 private:
  void begin(Metric metric) {
    const MetricRow& row = metric_rows()[static_cast<size_t>(metric)];
    MetricFamily& family = families_.emplace_back();
    family.name = row.name;
    family.help = row.sentence;
    family.type = type_of(row.kind);
  }
  // To the family that was begun last.
  void value(double number, Labels labels = {}) {
    MetricFamily& family = families_.back();
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    metric.counter.value = number;
    metric.gauge.value = number;
  }
  void value(uint64_t number, Labels labels = {}) {
    value(static_cast<double>(number), std::move(labels));
  }
  void only(Metric metric, uint64_t number) {
    begin(metric);
    value(number);
  }

  template <typename CellsOf>
  uint64_t sum(CellsOf cell_of) const {
    uint64_t out = 0;
    for (const ShardCounters& shard : parts_.shards) out += cell_of(shard).load(kRelaxed);
    return out;
  }

  // cell_of(shard, i), and the sum of all as cell kCells.
  template <size_t kCells, typename CellOf>
  void histogram(CellOf cell_of, Labels labels = {}) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    auto& histogram = metric.histogram;
    for (size_t i = 0; i < kCells; ++i) {
      histogram.sample_count +=
          sum([&](const ShardCounters& shard) -> const std::atomic<uint64_t>& {
            return cell_of(shard, i);
          });
      const bool is_last = i + 1 == kCells;
      if (is_last) break;  // +Inf is the count
      const double bound = static_cast<double>(uint64_t{1} << i) / 1000;
      histogram.bucket.push_back({histogram.sample_count, bound});
    }
    histogram.bucket.push_back({histogram.sample_count, std::numeric_limits<double>::infinity()});
    const uint64_t ms = sum([&](const ShardCounters& shard) -> const std::atomic<uint64_t>& {
      return cell_of(shard, kCells);
    });
    histogram.sample_sum = static_cast<double>(ms) / 1000;
  }
  template <typename TimesOf>
  void wait_histogram(Metric metric, TimesOf times_of) {
    begin(metric);
    histogram<kWaitCells>(
        [&](const ShardCounters& shard, size_t i) -> const std::atomic<uint64_t>& {
          const auto& times = times_of(shard);
          return i < kWaitCells ? times.cells[i] : times.sum_ms;
        });
  }

  void add_gate();
  void add_load();
  void add_pools();
  void add_backends();
  void add_backend_health();
  void add_lists();
  void add_list_results();
  void add_store();
  void add_process();
  void add_counters();

  const MetricsParts& parts_;
  std::vector<MetricFamily> families_;
};

void Families::add_gate() {
  begin(Metric::kBuildInfo);
  value(uint64_t{1}, {{"version", LYCHGATE_VERSION}});
  only(Metric::kConfigTimestamp, static_cast<uint64_t>(parts_.config_read_at));
  only(Metric::kClients, sum([](const ShardCounters& shard) -> auto& { return shard.held; }));
  only(Metric::kClientsMax, uint64_t{parts_.config.limits.per_shard} * parts_.config.shards);
  only(Metric::kGeneration, parts_.generation.number);
  only(Metric::kRetiringClients,
       retiring_clients(parts_.shards, parts_.config.shards, parts_.generation));
  begin(Metric::kConnectionsOpen);
  for (size_t i = 1; i < kPhaseCount; ++i) {
    value(sum([i](const ShardCounters& shard) -> auto& { return shard.phases[i]; }),
          {{"phase", kPhaseNames[i]}});
  }
  wait_histogram(
      Metric::kHoldDuration, [](const ShardCounters& shard) -> auto& { return shard.hold_time; });
  wait_histogram(
      Metric::kHandoffDuration,
      [](const ShardCounters& shard) -> auto& { return shard.handoff_time; });
}

void Families::add_load() {
  const SharedLoad& load = parts_.boards.load;
  only(Metric::kOverloadLevel, static_cast<uint64_t>(level_of(load)));
  only(Metric::kMemoryPercent, load.memory_percent.load(kRelaxed));
}

void Families::add_pools() {
  const auto& pools = parts_.config.pools;
  begin(Metric::kHandoff);
  for (size_t p = 0; p < pools.size(); ++p) {
    const size_t cell = parts_.config.cells.pools[p];
    for (size_t i = 0; i < kHandoffOutcomeCount; ++i) {
      value(
          sum([ cell, i ](const ShardCounters& shard) -> auto& { return shard.outcomes[cell][i]; }),
          {{"pool", pools[p].name}, {"result", kHandoffOutcomeNames[i]}});
    }
  }
  begin(Metric::kPoolOpen);
  for (size_t p = 0; p < pools.size(); ++p) {
    const size_t cell = parts_.config.cells.pools[p];
    value(sum([cell](const ShardCounters& shard) -> auto& { return shard.pool_open[cell]; }),
          {{"pool", pools[p].name}});
  }
  add_backends();
}

void Families::add_backends() {
  const auto& pools = parts_.config.pools;
  const Cells& cells = parts_.config.cells;
  begin(Metric::kBackendOpen);
  for (size_t p = 0; p < pools.size(); ++p) {
    for (size_t b = 0; b < pools[p].backends.size(); ++b) {
      const size_t pool = cells.pools[p];
      const size_t backend = cells.backends[p][b];
      value(sum([&](const ShardCounters& shard) -> auto& {
              return shard.backend_open[pool][backend];
            }),
            {{"pool", pools[p].name}, {"backend", pools[p].backends[b].text}});
    }
  }
  begin(Metric::kBackendState);
  for (uint32_t p = 0; p < pools.size(); ++p) {
    for (uint32_t b = 0; b < pools[p].backends.size(); ++b) {
      const auto use =
          static_cast<size_t>(parts_.shards[0].use_of(cells.pools[p], cells.backends[p][b]));
      for (size_t i = 0; i < kBackendUseCount; ++i) {
        value(uint64_t{use == i}, {{"pool", pools[p].name},
                                   {"backend", pools[p].backends[b].text},
                                   {"state", kBackendUseNames[i]}});
      }
    }
  }
  add_backend_health();
}

void Families::add_backend_health() {
  const auto& pools = parts_.config.pools;
  const Cells& cells = parts_.config.cells;
  begin(Metric::kBackendUp);
  for (size_t p = 0; p < pools.size(); ++p) {
    for (size_t b = 0; b < pools[p].backends.size(); ++b) {
      const BackendBoard& board =
          parts_.boards.pools.backends[cells.pools[p]][cells.backends[p][b]];
      const auto health = static_cast<BackendHealth>(board.health.load(kRelaxed));
      if (health == BackendHealth::kUnknown) continue;
      value(uint64_t{health == BackendHealth::kUp},
            {{"pool", pools[p].name}, {"backend", pools[p].backends[b].text}});
    }
  }
}

void Families::add_lists() {
  const auto& lists = parts_.lists;
  const auto& cells = parts_.config.cells.lists;
  begin(Metric::kListUp);
  for (size_t i = 0; i < lists.size(); ++i) {
    const auto state =
        static_cast<ListState>(parts_.boards.lists.boards[cells[i]].state.load(kRelaxed));
    value(uint64_t{state == ListState::kUp}, {{"list", lists[i].name}});
  }
  begin(Metric::kListQueries);
  for (size_t i = 0; i < lists.size(); ++i) {
    const size_t cell = cells[i];
    value(sum([cell](const ShardCounters& shard) -> auto& { return shard.lists[cell].queries; }),
          {{"list", lists[i].name}});
  }
  add_list_results();
  begin(Metric::kListDuration);
  for (size_t i = 0; i < lists.size(); ++i) {
    histogram<kLatencyCells>(
        [of = cells[i]](const ShardCounters& shard, size_t cell) -> const std::atomic<uint64_t>& {
          const ListCounters& list = shard.lists[of];
          return cell < kLatencyCells ? list.latency[cell] : list.latency_ms;
        },
        {{"list", lists[i].name}});
  }
  begin(Metric::kListToday);
  for (uint32_t i = 0; i < lists.size(); ++i) {
    value(queries_today(parts_.boards.lists, parts_.shards, cells[i]), {{"list", lists[i].name}});
  }
}

void Families::add_list_results() {
  begin(Metric::kListAnswers);
  for (size_t i = 0; i < parts_.lists.size(); ++i) {
    const size_t list = parts_.config.cells.lists[i];
    const auto total = [&](std::atomic<uint64_t> ListCounters::*cell) {
      return sum([&](const ShardCounters& shard) -> auto& { return shard.lists[list].*cell; });
    };
    // Read before the whole, which is counted after its parts: the difference is never negative.
    const uint64_t listed = total(&ListCounters::listed);
    const uint64_t errors = total(&ListCounters::errors);
    const uint64_t answered = total(&ListCounters::answered);
    const uint64_t known = listed + errors;
    const auto result = [&](const char* name, uint64_t number) {
      value(number, {{"list", parts_.lists[i].name}, {"result", name}});
    };
    result("listed", listed);
    result("not_listed", answered > known ? answered - known : 0);
    result("error", errors);
    result("failed", total(&ListCounters::failed));
    result("timeout", total(&ListCounters::timeouts));
  }
}

void Families::add_store() {
  only(Metric::kStoreUp, parts_.store.up.load(kRelaxed) ? 1 : 0);
  if (!parts_.store.up.load(kRelaxed)) return;
  const store::Stats stats = parts_.store.get();
  only(Metric::kStoreRecords, stats.records);
  only(Metric::kStoreBytes, stats.bytes_used);
  only(Metric::kStoreBytesMax, uint64_t{parts_.config.store.size_max} << 20);
  only(Metric::kStoreCommits, stats.commits);
  only(Metric::kStoreCommitErrors, stats.commit_errors);
  only(Metric::kStoreLost, stats.records_lost);
  only(Metric::kStoreCleaned, stats.cleaned);
}

void Families::add_process() {
  std::error_code error;
  uint64_t open = 0;
  for (auto at = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    ++open;
  }
  only(Metric::kOpenFds, open);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  only(Metric::kMaxFds, limit.rlim_cur);
}

void Families::add_counters() {
  for (size_t i = 0; i < kCounterCount; ++i) {
    MetricFamily& family = families_.emplace_back();
    family.name = metric_name(static_cast<Counter>(i));
    family.help = kCounterInfo[i].sentence;
    family.type = MetricType::Counter;
    value(sum([i](const ShardCounters& shard) -> auto& { return shard.values[i]; }));
  }
}

class Gate : public prometheus::Collectable {
 public:
  explicit Gate(const MetricsParts& parts) : parts_(parts) {}
  std::vector<MetricFamily> Collect() const override { return Families(parts_).take(); }

 private:
  MetricsParts parts_;
};

}  // namespace

void StoreBoard::set(const std::optional<store::Stats>& stats) {
  up.store(stats.has_value(), kRelaxed);
  if (!stats) return;
  const uint64_t all[] = {stats->records,       stats->bytes_used,   stats->commits,
                          stats->commit_errors, stats->records_lost, stats->cleaned};
  for (size_t i = 0; i < values.size(); ++i) values[i].store(all[i], kRelaxed);
}

store::Stats StoreBoard::get() const {
  return {.records = values[0].load(kRelaxed),
          .bytes_used = values[1].load(kRelaxed),
          .commits = values[2].load(kRelaxed),
          .commit_errors = values[3].load(kRelaxed),
          .records_lost = values[4].load(kRelaxed),
          .cleaned = values[5].load(kRelaxed)};
}

std::string metrics_text(const MetricsParts& parts) {
  return prometheus::TextSerializer().Serialize(Families(parts).take());
}

struct MetricsServer::Inside {
  std::shared_ptr<Gate> gate;
  std::unique_ptr<prometheus::Exposer> exposer;
};

MetricsServer::MetricsServer(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const MetricsParts& parts,
                                                           const Endpoint& address) {
  const std::string place = config::endpoint_text(address);
  auto inside = std::make_unique<Inside>();
  inside->gate = std::make_shared<Gate>(parts);
  // The library's way to say that the address cannot be bound.
  try {
    inside->exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", place, "num_threads", kThreads, "request_timeout_ms", kRequestMs,
        "max_request_size", kRequestBytes, "connection_queue", kConnectionsQueued, "listen_backlog",
        kBacklog, "enable_keep_alive", "no"});
  } catch (const std::exception&) {
    return fail(
        ExitCode::kUnavailable,
        fmt::format("cannot serve metrics on {}: the address is taken, not of this host, or "
                    "its port needs a right that the steward has not; change "
                    "metrics.address",
                    place));
  }
  inside->exposer->RegisterCollectable(inside->gate);
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(inside)));
}

}  // namespace lychgate::daemon
