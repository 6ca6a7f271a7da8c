// The numbers of two generations are told as those of one gate, and of both when one retires.

#include "core/daemon/status.h"

#include <vector>

#include <gtest/gtest.h>

#include "core/daemon/figures.h"
#include "core/daemon/metrics.h"

namespace lychgate::daemon {
namespace {

// Two shards in two generations; the second takes clients.
struct Gate {
  Gate() {
    config.shards = 2;
    config.limits.per_shard = 100;
    config.pools.emplace_back().name = "friendly";
    config.pools[0].backends.emplace_back().text = "tcp:192.0.2.1:25";
    config.cells.pools[0] = 3;
    config.cells.backends[0][0] = 9;
    const int32_t pids[] = {11, 0, 21, 22};
    for (size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].pid = pids[i];
      blocks[i].held = i + 1;
      blocks[i].add(Counter::kAccepted, 10 * (i + 1));
      blocks[i].pool_open[3] = 1;
      blocks[i].backend_use[3][9] = static_cast<uint8_t>(BackendUse::kDown);
      blocks[i].add_outcome(3, HandoffOutcome::kTaken);
    }
  }
  StatusParts parts() const {
    return {.blocks = blocks,
            .config = config,
            .load = boards.load,
            .generation = {.number = 7, .set = 1, .since = 1767225600}};
  }

  config::Config config;
  std::vector<ShardCounters> blocks{4};
  SharedBoards boards;
};

void expect_all(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << '\n' << text;
}

TEST(Status, AShardsNumbersAreThoseOfBothGenerations) {
  const Gate gate;
  const std::string json = status_json(gate.parts());
  expect_all(json, {"\"generation\":{\"number\":7,\"since\":1767225600,\"retiring_clients\":3,"
                    "\"retiring_pids\":[11]}",
                    "{\"shard\":0,\"pid\":21,\"held\":4,", "{\"shard\":1,\"pid\":22,\"held\":6,",
                    "\"total\":{\"held\":10,", "\"friendly\":{\"open\":4,\"taken\":4,"});
  EXPECT_EQ(json.find("\"shard\":2"), std::string::npos);
  const std::string text = status_text(gate.parts());
  expect_all(text, {"\ngeneration 7 since 2026-01-01T00:00:00Z; still with the one before: 3\n",
                    "accepted                         100          40          60\n"});
  EXPECT_EQ(text.find("shard 2"), std::string::npos);
}

TEST(Status, TellsTheLevelOfOverloadAndSinceWhen) {
  Gate gate;
  expect_all(status_text(gate.parts()), {"\noverload: normal\n"});
  expect_all(status_json(gate.parts()), {"\"overload\":{\"level\":\"normal\",\"since\":0},"});
  gate.boards.load.level = static_cast<uint8_t>(config::OverloadLevel::kStress);
  gate.boards.load.level_since = 1767225600;
  gate.blocks[2].phases[static_cast<size_t>(Phase::kTarpit)] = 5;
  expect_all(status_text(gate.parts()), {"\noverload: stress since 2026-01-01T00:00:00Z\n",
                                         "  tarpit                           5"});
  expect_all(status_json(gate.parts()),
             {"\"overload\":{\"level\":\"stress\",\"since\":1767225600},", "\"tarpit\":5"});
}

TEST(Status, OneSetOfBlocksIsOneGeneration) {
  Gate gate;
  StatusParts parts = gate.parts();
  parts.blocks = parts.blocks.first(2);
  parts.generation = {};
  expect_all(status_text(parts), {"\ngeneration 1\n", "accepted                          30"});
  expect_all(status_json(parts), {"\"pid\":11,", "\"retiring_clients\":0,\"retiring_pids\":[]"});
}

TEST(Status, OtherReadersCountShardsOnceToo) {
  const Gate gate;
  const Figures figures = take_figures(
      {.config = gate.config, .shards = gate.blocks, .lists = {}, .boards = gate.boards});
  EXPECT_EQ(figures.shards, 2u);
  EXPECT_EQ(figures.room, 200u);
  EXPECT_EQ(figures.held, 10u);
  EXPECT_EQ(figures.pools[0].open, 4u);
  EXPECT_EQ(figures.pools[0].backends_up, 0u);
  const StoreBoard store;
  expect_all(metrics_text({.config = gate.config,
                           .shards = gate.blocks,
                           .lists = {},
                           .boards = gate.boards,
                           .store = store,
                           .generation = gate.parts().generation}),
             {"lychgate_clients_max 200\n", "lychgate_generation 7\n",
              "lychgate_retiring_clients 3\n", "lychgate_pool_open{pool=\"friendly\"} 4\n"});
}

}  // namespace
}  // namespace lychgate::daemon
