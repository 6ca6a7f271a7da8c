// The Prometheus endpoint of the steward: an HTTP server of prometheus-cpp with a few threads of
// its own, which read the shared counters at each scrape and nothing else. What it can be asked for
// is bounded in connections, size and time; a slow or rude client costs other scrapes at the most.

#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/lists.h"
#include "core/daemon/generation.h"
#include "core/store/store.h"

namespace lychgate::daemon {

// The store's numbers, put down by the steward's loop for the threads of the endpoint.
struct StoreBoard {
  std::atomic<bool> up{false};
  std::array<std::atomic<uint64_t>, 6> values{};

  void set(const std::optional<store::Stats>& stats);
  store::Stats get() const;
};

struct MetricsParts {
  const config::Config& config;
  std::span<const ShardCounters> shards;  // of all generations
  std::span<const config::List> lists;
  const SharedBoards& boards;
  const StoreBoard& store;
  int64_t config_read_at = 0;  // seconds since 1970
  StewardGeneration generation = {};
};

// All metrics in Prometheus' text format.
std::string metrics_text(const MetricsParts& parts);

class MetricsServer {
 public:
  // What parts names must live longer. Errors: kUnavailable when the address cannot be bound.
  static Result<std::unique_ptr<MetricsServer>> open(const MetricsParts& parts,
                                                     const Endpoint& address);
  ~MetricsServer();

 private:
  struct Inside;
  explicit MetricsServer(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

}  // namespace lychgate::daemon
