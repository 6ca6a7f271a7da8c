// The numbers that `lychgate top` draws, as lines of words: written by the steward, read by the
// command. Pure. A line that the reader does not know is passed over, so that a newer gate may say
// more.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/lists.h"

namespace lychgate::daemon {

struct Figures {
  struct Pool {
    std::string name;
    uint64_t open = 0;
    uint64_t backends_up = 0;  // not drained or down by command
    uint64_t backends = 0;
    std::array<uint64_t, kHandoffOutcomeCount> outcomes{};
  };
  struct List {
    std::string name;
    std::string state;
    uint64_t queries = 0;
    uint64_t listed = 0;
    uint64_t errors = 0;  // failures and timeouts too
    uint64_t p50_ms = 0;
    uint64_t p99_ms = 0;
  };
  std::string version;
  uint64_t shards = 0;
  uint64_t held = 0;
  uint64_t room = 0;   // clients of all shards at most
  uint64_t level = 0;  // config::OverloadLevel
  std::array<uint64_t, kPhaseCount> phases{};
  std::array<uint64_t, kCounterCount> counters{};
  std::vector<Pool> pools;
  std::vector<List> lists;

  uint64_t get(Counter counter) const { return counters[static_cast<size_t>(counter)]; }
};

struct FiguresParts {
  const config::Config& config;
  std::span<const ShardCounters> shards;  // of all generations
  std::span<const config::List> lists;
  const SharedBoards& boards;
};
Figures take_figures(const FiguresParts& parts);

std::string write_figures(const Figures& figures);
// nullopt: no answer of a steward to "figures".
std::optional<Figures> read_figures(std::string_view text);

}  // namespace lychgate::daemon
