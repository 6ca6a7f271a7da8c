// The rows, and the manual made of them.

#include "core/daemon/metrics_table.h"

#include <fmt/format.h>

namespace lychgate::daemon {
namespace {

constexpr MetricRow kRows[] = {
    {Metric::kBuildInfo, "lychgate_build_info", MetricKind::kGauge, "version",
     "always 1; the version is in the label"},
    {Metric::kConfigTimestamp, "lychgate_config_reload_success_timestamp_seconds",
     MetricKind::kGauge, "", "when the configuration that is in force was read"},
    {Metric::kClients, "lychgate_clients", MetricKind::kGauge, "", "clients open now"},
    {Metric::kClientsMax, "lychgate_clients_max", MetricKind::kGauge, "",
     "clients that all shards together take"},
    {Metric::kGeneration, "lychgate_generation", MetricKind::kGauge, "",
     "which generation of shards takes clients, counted from 1: a reload makes the next"},
    {Metric::kRetiringClients, "lychgate_retiring_clients", MetricKind::kGauge, "",
     "clients open now with the generation before, which finishes them"},
    {Metric::kConnectionsOpen, "lychgate_connections_open", MetricKind::kGauge, "phase",
     "connections in each phase now, sockets to backends included"},
    {Metric::kHoldDuration, "lychgate_hold_duration_seconds", MetricKind::kHistogram, "",
     "from the accept of a client until its waiting was over, however it ended"},
    {Metric::kHandoffDuration, "lychgate_handoff_duration_seconds", MetricKind::kHistogram, "",
     "from the verdict until a backend had taken the client, the wait for a free one included"},
    {Metric::kOverloadLevel, "lychgate_overload_level", MetricKind::kGauge, "",
     "0: normal, 1: busy, 2: stress, 3: emergency"},
    {Metric::kMemoryPercent, "lychgate_memory_percent", MetricKind::kGauge, "",
     "of the host's memory, what is not available to new work"},
    {Metric::kHandoff, "lychgate_handoff_total", MetricKind::kCounter, "pool, result",
     "attempts to hand a client to a pool, by how they ended"},
    {Metric::kPoolOpen, "lychgate_pool_open", MetricKind::kGauge, "pool",
     "hand-offs and relays of a pool now"},
    {Metric::kBackendOpen, "lychgate_backend_open", MetricKind::kGauge, "pool, backend",
     "hand-offs and relays of a backend now"},
    {Metric::kBackendState, "lychgate_backend_state", MetricKind::kGauge, "pool, backend, state",
     "1 for the state that a backend was set to by command, 0 for the others"},
    {Metric::kBackendUp, "lychgate_backend_up", MetricKind::kGauge, "pool, backend",
     "1 when the last health check of a backend went well, 0 when not; none before the first"},
    {Metric::kListUp, "lychgate_dnsl_up", MetricKind::kGauge, "list",
     "1 when a DNS list is believed, 0 when it is disabled or not yet proven"},
    {Metric::kListQueries, "lychgate_dnsl_queries_total", MetricKind::kCounter, "list",
     "lookups of a list, those of test points included, retries not counted"},
    {Metric::kListAnswers, "lychgate_dnsl_results_total", MetricKind::kCounter, "list, result",
     "lookups of a list that are over, by how they ended"},
    {Metric::kListDuration, "lychgate_dnsl_duration_seconds", MetricKind::kHistogram, "list",
     "how long a list took to answer"},
    {Metric::kListToday, "lychgate_dnsl_queries_today", MetricKind::kGauge, "list",
     "lookups of a list since 00:00 UTC, which its daily budget bounds"},
    {Metric::kStoreUp, "lychgate_store_up", MetricKind::kGauge, "",
     "1 when clients are remembered"},
    {Metric::kStoreRecords, "lychgate_store_records", MetricKind::kGauge, "",
     "clients that are remembered"},
    {Metric::kStoreBytes, "lychgate_store_bytes", MetricKind::kGauge, "",
     "bytes of the store that are in use"},
    {Metric::kStoreBytesMax, "lychgate_store_max_bytes", MetricKind::kGauge, "",
     "bytes that the store may take"},
    {Metric::kStoreCommits, "lychgate_store_commits_total", MetricKind::kCounter, "",
     "batches written"},
    {Metric::kStoreCommitErrors, "lychgate_store_commit_errors_total", MetricKind::kCounter, "",
     "batches that could not be written"},
    {Metric::kStoreLost, "lychgate_store_records_lost_total", MetricKind::kCounter, "",
     "visits that were not remembered since too many waited to be written"},
    {Metric::kStoreCleaned, "lychgate_store_cleaned_total", MetricKind::kCounter, "",
     "clients forgotten since their time was over"},
    {Metric::kOpenFds, "process_open_fds", MetricKind::kGauge, "",
     "descriptors of the steward; clients are in lychgate_clients"},
    {Metric::kMaxFds, "process_max_fds", MetricKind::kGauge, "",
     "descriptors that the steward may have"},
};
static_assert(std::size(kRows) == kMetricCount);

constexpr std::string_view kTop =
    R"(<!-- Generated from core/daemon/metrics_table.cc: LYCHGATE_UPDATE_DOCS=1 core_daemon_test -->
# Metrics

With `metrics.address` set, the steward answers `GET /metrics` on that address in Prometheus' text
format. Nothing of a client is in it: no address, no name. Times are in seconds, sizes in bytes.
[examples/grafana.json](examples/grafana.json) is a dashboard to import. Metrics whose names begin
with `exposer_` are of the HTTP server itself.

Numbers are sums over all shards. They count from the start of the gate and survive the death of a
shard and of the steward, reloads and upgrades; only those of the store begin anew with each
steward. They are the same cells that `lychgate status` reads, so the two agree.

| metric | kind | labels | meaning |
|---|---|---|---|
)";

constexpr std::string_view kCounters = R"(
## One for each counter of `lychgate status`

What to do when one of them grows: [operating.md](operating.md#status).

| metric | counts |
|---|---|
)";

std::string_view kind_name(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kGauge:
      return "gauge";
    case MetricKind::kHistogram:
      return "histogram";
  }
  return "";
}

}  // namespace

std::span<const MetricRow> metric_rows() {
  return kRows;
}

std::string metric_name(Counter counter) {
  return fmt::format("lychgate_{}_total", kCounterInfo[static_cast<size_t>(counter)].name);
}

std::string metrics_manual() {
  std::string out(kTop);
  for (const MetricRow& row : kRows) {
    out += fmt::format("| `{}` | {} | {} | {} |\n", row.name, kind_name(row.kind), row.labels,
                       row.sentence);
  }
  out += kCounters;
  for (size_t i = 0; i < kCounterCount; ++i) {
    out += fmt::format("| `{}` | {} |\n", metric_name(static_cast<Counter>(i)),
                       kCounterInfo[i].sentence);
  }
  return out;
}

}  // namespace lychgate::daemon
