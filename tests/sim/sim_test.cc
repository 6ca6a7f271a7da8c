// Whole shards in random worlds. Each run has its own seed; a failure names it with the step.
// LYCHGATE_SIM_SEED=n begins with that seed, LYCHGATE_SIM_SESSIONS=n runs until about so many
// clients have come (1: the one run of the seed).

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <gtest/gtest.h>

#include "tests/sim/episode.h"

namespace lychgate::sim {
namespace {

#ifdef NDEBUG
constexpr uint64_t kSessions = 100000;
#else
constexpr uint64_t kSessions = 10000;  // unoptimised, or with sanitizers
#endif
constexpr uint64_t kFirstSeed = 1;
constexpr uint32_t kSessionsPerRun = 150;

volatile sig_atomic_t current_seed = 0;

// A failed LYCH_CHECK aborts: say which run it was.
void on_abort(int) {
  char text[64];
  const int size = std::snprintf(text, sizeof(text), "in the run LYCHGATE_SIM_SEED=%d\n",
                                 static_cast<int>(current_seed));
  [[maybe_unused]] const ssize_t written = write(2, text, static_cast<size_t>(size));
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, EveryClientHasOneFateAndNothingIsLeft) {
  std::signal(SIGABRT, on_abort);
  const uint64_t wanted = from_environment("LYCHGATE_SIM_SESSIONS", kSessions);
  uint64_t seed = from_environment("LYCHGATE_SIM_SEED", kFirstSeed);
  std::array<uint64_t, kCounterCount> totals{};
  uint64_t accepted = 0;
  uint64_t steps = 0;
  for (; accepted < wanted; ++seed) {
    current_seed = static_cast<sig_atomic_t>(seed);
    const auto episode = std::make_unique<Episode>(seed, kSessionsPerRun);
    const EpisodeResult result = episode->go();
    ASSERT_TRUE(result.violation.empty())
        << "LYCHGATE_SIM_SEED=" << seed << ", " << result.violation;
    accepted += result.accepted;
    steps += result.steps;
    for (size_t i = 0; i < kCounterCount; ++i) {
      totals[i] += episode->counters().get(static_cast<Counter>(i));
    }
  }
  std::printf("%llu sessions, %llu steps\n", static_cast<unsigned long long>(accepted),
              static_cast<unsigned long long>(steps));
  if (wanted < kSessions) return;
  // What never happens here is not tested here.
  for (size_t i = 0; i < kCounterCount; ++i) {
    const auto counter = static_cast<Counter>(i);
    // kRepliesUnnamed: more clients refused in one turn than come in a run. kDialogueFull: there
    // are as many blocks as slots here. kGreylistPass: nobody is brought back on purpose.
    const bool not_here = counter == Counter::kSubmitFull || counter == Counter::kRestarts ||
                          counter == Counter::kCompletionOverflow ||
                          counter == Counter::kStaleCompletions || counter == Counter::kHoldLate ||
                          counter == Counter::kRepliesUnnamed ||
                          counter == Counter::kDialogueFull || counter == Counter::kGreylistPass;
    std::printf("%-20s %llu\n", kCounterInfo[i].name, static_cast<unsigned long long>(totals[i]));
    if (not_here) continue;
    EXPECT_GT(totals[i], 0U) << kCounterInfo[i].name << " never happened";
  }
}

}  // namespace
}  // namespace lychgate::sim
