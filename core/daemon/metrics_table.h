// Every metric that is not simply a counter of core/base/counters.h: name, kind, labels, sentence.
// Those that are follow from their row: lychgate_NAME_total. docs/metrics.md is made from both.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/counters.h"

namespace lychgate::daemon {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

enum class Metric : uint8_t {
  kBuildInfo,
  kConfigTimestamp,
  kClients,
  kClientsMax,
  kGeneration,
  kRetiringClients,
  kConnectionsOpen,
  kHoldDuration,
  kHandoffDuration,
  kOverloadLevel,
  kMemoryPercent,
  kHandoff,
  kPoolOpen,
  kBackendOpen,
  kBackendState,
  kBackendUp,
  kListUp,
  kListQueries,
  kListAnswers,
  kListDuration,
  kListToday,
  kStoreUp,
  kStoreRecords,
  kStoreBytes,
  kStoreBytesMax,
  kStoreCommits,
  kStoreCommitErrors,
  kStoreLost,
  kStoreCleaned,
  kOpenFds,
  kMaxFds,
};
inline constexpr size_t kMetricCount = 31;

struct MetricRow {
  Metric metric;
  std::string_view name;
  MetricKind kind;
  std::string_view labels;  // "pool, result"; empty: none
  std::string_view sentence;
};

// In the order of Metric.
std::span<const MetricRow> metric_rows();
// "lychgate_accepted_total"
std::string metric_name(Counter counter);
// docs/metrics.md.
std::string metrics_manual();

}  // namespace lychgate::daemon
