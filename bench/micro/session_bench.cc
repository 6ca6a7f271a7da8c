// Micro-benchmarks of the session step: each event alone, and whole lives of clients from accept to
// close or hand-off. Only decisions: nobody performs the actions (shard_bench.cc has a shard that
// does).

#include <cstdint>
#include <span>

#include <benchmark/benchmark.h>

#include "core/daemon/session.h"

namespace lychgate::daemon {
namespace {

constexpr std::string_view kSaid = "EHLO win-box01\r\n";

// What happens so long after the accept.
struct Moment {
  Event event;
  Tick after = 0;
};

constexpr Event kAccepted{.kind = EventKind::kAccepted};
constexpr Event kTimer{.kind = EventKind::kTimer};
constexpr Event kSilence{.kind = EventKind::kSilence};
constexpr Event kTalk{.kind = EventKind::kTalk, .text = kSaid};
constexpr Event kHangup{.kind = EventKind::kHangup};
constexpr Event kReplied{.kind = EventKind::kReplied};
constexpr Event kTaken{.kind = EventKind::kTaken};

// With the defaults: an early look after 1 s, the wait over after 6 s, a talker has 1 s to read.
constexpr Moment kSilent[] = {{kAccepted, 0}, {kTimer, 1001},   {kSilence, 1001},
                              {kTimer, 6001}, {kSilence, 6001}, {kTaken, 6002}};
constexpr Moment kTalker[] = {
    {kAccepted, 0}, {kTimer, 1001}, {kTalk, 1001}, {kReplied, 1001}, {kTimer, 2001}};
constexpr Moment kLeaver[] = {{kAccepted, 0}, {kTimer, 1001}, {kHangup, 1001}};

Slot newcomer() {
  Slot slot;
  slot.phase = Phase::kSilentWait;
  slot.address = IpAddress::from_v4(0xcb007105);
  return slot;
}

void BM_SessionLife(benchmark::State& state, std::span<const Moment> life) {
  const config::Config config;
  size_t closed = 0;
  for ([[maybe_unused]] auto _ : state) {
    Slot session = newcomer();
    ActionList last;
    for (const Moment& moment : life) last = step(config, session, moment.event, moment.after);
    closed += (last.end() - 1)->kind == ActionKind::kClose ? 1 : 0;
  }
  if (closed != static_cast<size_t>(state.iterations())) {
    state.SkipWithError("a life did not end with a close");
  }
}
BENCHMARK_CAPTURE(BM_SessionLife, silent, kSilent);
BENCHMARK_CAPTURE(BM_SessionLife, talker, kTalker);
BENCHMARK_CAPTURE(BM_SessionLife, leaver, kLeaver);

// The last moment of a life, again and again.
void BM_SessionStep(benchmark::State& state, std::span<const Moment> life) {
  const config::Config config;
  Slot before = newcomer();
  for (const Moment& moment : life.first(life.size() - 1)) {
    step(config, before, moment.event, moment.after);
  }
  for ([[maybe_unused]] auto _ : state) {
    Slot session = before;
    benchmark::DoNotOptimize(step(config, session, life.back().event, life.back().after));
  }
}
BENCHMARK_CAPTURE(BM_SessionStep, accepted, std::span(kSilent).first(1));
BENCHMARK_CAPTURE(BM_SessionStep, timer, std::span(kSilent).first(2));
BENCHMARK_CAPTURE(BM_SessionStep, early_silence, std::span(kSilent).first(3));
BENCHMARK_CAPTURE(BM_SessionStep, silence, std::span(kSilent).first(5));
BENCHMARK_CAPTURE(BM_SessionStep, talk, std::span(kTalker).first(3));
BENCHMARK_CAPTURE(BM_SessionStep, replied, std::span(kTalker).first(4));
BENCHMARK_CAPTURE(BM_SessionStep, hangup, std::span(kLeaver));

}  // namespace
}  // namespace lychgate::daemon
