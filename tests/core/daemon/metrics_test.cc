// Metrics: the same numbers as the shared cells, in form, and the manual in step with the tables.

#include "core/daemon/metrics.h"

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/daemon/metrics_table.h"

namespace lychgate::daemon {
namespace {

struct Bench {
  config::Config config;
  std::vector<config::List> lists{1};
  SharedCounters counters = std::move(*SharedCounters::create(2));
  StoreBoard store;

  Bench() {
    config.shards = 2;
    config.limits.per_shard = 100;
    config.pools.push_back({});
    config.pools[0].name = "friendly";
    config.pools[0].backends.push_back({});
    config.pools[0].backends[0].text = "tcp:192.0.2.7:25";
    lists[0].name = "list.example";
  }
  std::string text() const {
    return metrics_text({.config = config,
                         .shards = counters.shards(),
                         .lists = lists,
                         .boards = counters.boards(),
                         .store = store,
                         .config_read_at = 1700000000});
  }
};

void expect_lines(const std::string& text, std::initializer_list<const char*> lines) {
  for (const char* line : lines) {
    EXPECT_NE(text.find(std::string(line) + "\n"), std::string::npos) << line << "\n" << text;
  }
}

TEST(Metrics, AreTheSumsOfAllShards) {
  Bench bench;
  ShardCounters& first = bench.counters.shards()[0];
  ShardCounters& second = bench.counters.shards()[1];
  first.add(Counter::kAccepted, 40);
  second.add(Counter::kAccepted, 2);
  first.held = 3;
  first.enter_phase(Phase::kSilentWait);
  second.enter_phase(Phase::kSilentWait);
  second.add_outcome(0, HandoffOutcome::kTaken);
  first.backend_use[0][0] = static_cast<uint8_t>(BackendUse::kDrain);
  first.lists[0].queries = 7;
  first.lists[0].answered = 6;
  first.lists[0].listed = 4;
  expect_lines(
      bench.text(),
      {"lychgate_accepted_total 42", "lychgate_clients 3", "lychgate_clients_max 200",
       "lychgate_connections_open{phase=\"silent_wait\"} 2",
       "lychgate_handoff_total{pool=\"friendly\",result=\"taken\"} 1",
       "lychgate_backend_state{pool=\"friendly\",backend=\"tcp:192.0.2.7:25\","
       "state=\"drain\"} 1",
       "lychgate_dnsl_queries_total{list=\"list.example\"} 7",
       "lychgate_dnsl_results_total{list=\"list.example\",result=\"not_listed\"} 2",
       "lychgate_config_reload_success_timestamp_seconds 1700000000", "lychgate_store_up 0"});
}

TEST(Metrics, HistogramsAreCumulativeAndInSeconds) {
  Bench bench;
  ShardCounters& shard = bench.counters.shards()[0];
  for (const uint32_t ms : {0U, 1U, 6000U, 100'000'000U}) shard.hold_time.took(ms);
  shard.lists[0].took(5);
  expect_lines(bench.text(), {"lychgate_hold_duration_seconds_bucket{le=\"0.001\"} 1",
                              "lychgate_hold_duration_seconds_bucket{le=\"0.002\"} 2",
                              "lychgate_hold_duration_seconds_bucket{le=\"4.096\"} 2",
                              "lychgate_hold_duration_seconds_bucket{le=\"8.192\"} 3",
                              "lychgate_hold_duration_seconds_bucket{le=\"65.536\"} 3",
                              "lychgate_hold_duration_seconds_bucket{le=\"+Inf\"} 4",
                              "lychgate_hold_duration_seconds_count 4",
                              "lychgate_hold_duration_seconds_sum 100006.001",
                              "lychgate_dnsl_duration_seconds_bucket{list=\"list.example\",le="
                              "\"0.008\"} 1",
                              "lychgate_dnsl_duration_seconds_sum{list=\"list.example\"} 0.005"});
}

TEST(Metrics, OfTheHostAndItsBackendsAreWhatTheBoardsSay) {
  Bench bench;
  EXPECT_EQ(bench.text().find("lychgate_backend_up{"), std::string::npos) << "not yet checked";
  SharedBoards& boards = bench.counters.boards();
  boards.load.level = static_cast<uint8_t>(config::OverloadLevel::kStress);
  boards.load.memory_percent = 42;
  bench.counters.shards()[0].enter_phase(Phase::kTarpit);
  bench.counters.shards()[0].add(Counter::kTarpitSeconds, 7);
  const auto say = [&](BackendHealth health) {
    boards.pools.backends[0][0].health = static_cast<uint8_t>(health);
  };
  say(BackendHealth::kUp);
  expect_lines(bench.text(),
               {"lychgate_overload_level 2", "lychgate_memory_percent 42",
                "lychgate_connections_open{phase=\"tarpit\"} 1", "lychgate_tarpit_seconds_total 7",
                "lychgate_backend_up{pool=\"friendly\",backend=\"tcp:192.0.2.7:25\"} 1"});
  say(BackendHealth::kDown);
  expect_lines(bench.text(),
               {"lychgate_backend_up{pool=\"friendly\",backend=\"tcp:192.0.2.7:25\"} 0"});
}

TEST(Metrics, TheStoreIsToldOfWhenThereIsOne) {
  Bench bench;
  bench.store.set(store::Stats{.records = 5, .bytes_used = 4096, .commits = 2, .cleaned = 1});
  expect_lines(bench.text(),
               {"lychgate_store_up 1", "lychgate_store_records 5", "lychgate_store_bytes 4096",
                "lychgate_store_commits_total 2", "lychgate_store_cleaned_total 1"});
}

TEST(Metrics, HaveNamesOfTheirOwnAndASentence) {
  std::set<std::string> names;
  for (size_t i = 0; i < kMetricCount; ++i) {
    const MetricRow& row = metric_rows()[i];
    EXPECT_EQ(static_cast<size_t>(row.metric), i) << row.name;
    EXPECT_TRUE(names.insert(std::string(row.name)).second) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.kind == MetricKind::kCounter) << row.name;
    EXPECT_FALSE(row.sentence.empty()) << row.name;
  }
  for (size_t i = 0; i < kCounterCount; ++i) {
    EXPECT_TRUE(names.insert(metric_name(static_cast<Counter>(i))).second);
  }
}

TEST(Metrics, TheManualIsInStepWithTheTables) {
  const std::string path = std::string(LYCHGATE_SOURCE_DIR) + "/docs/metrics.md";
  if (std::getenv("LYCHGATE_UPDATE_DOCS") != nullptr) std::ofstream(path) << metrics_manual();
  std::stringstream there;
  there << std::ifstream(path).rdbuf();
  EXPECT_EQ(there.str(), metrics_manual())
      << "run it once with LYCHGATE_UPDATE_DOCS=1 to write docs/metrics.md anew";
}

// Each name that the dashboard asks for is served.
TEST(Metrics, TheDashboardAsksForWhatThereIs) {
  Bench bench;
  bench.store.set(store::Stats{});
  const std::string text = bench.text();
  std::stringstream dashboard;
  dashboard
      << std::ifstream(std::string(LYCHGATE_SOURCE_DIR) + "/docs/examples/grafana.json").rdbuf();
  const std::string json = dashboard.str();
  size_t asked = 0;
  for (size_t at = json.find("lychgate_"); at != std::string::npos;
       at = json.find("lychgate_", at + 1)) {
    const size_t end = json.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    const std::string name = json.substr(at, end - at);
    EXPECT_TRUE(text.find("\n" + name + "{") != std::string::npos ||
                text.find("\n" + name + " ") != std::string::npos)
        << name;
    ++asked;
  }
  EXPECT_GT(asked, 10U);
}

}  // namespace
}  // namespace lychgate::daemon
