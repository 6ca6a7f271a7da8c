// What a zombie costs the gate in user space, everything together: a whole shard with its slots,
// timers, counters, decisions and log over a kernel that does nothing. Clients come steadily, so
// that as many are held as the argument says; `life` is the time of one from accept to close.

#include <cstdint>

#include <benchmark/benchmark.h>

#include "bench/micro/instant_kernel.h"
#include "core/daemon/shard.h"

namespace lychgate::daemon {
namespace {

constexpr uint32_t kThousands = 1 << 14;
constexpr uint32_t kMillion = 1'000'000;
// Held, those that leave while their successors come, and what a shard keeps for hand-offs.
constexpr double kSlotsPerHeld = 1.2;
static_assert(kMillion * kSlotsPerHeld <= kSlotsMax);

// How long one of them stays with the defaults: a silent one the whole wait, a talker until the
// early look and a moment to read its reply, a leaver until the early look.
Tick stay_of(Zombie zombie) {
  switch (zombie) {
    case Zombie::kSilent:
      return 6000;
    case Zombie::kTalker:
      return 1000 + kLingerMs;
    case Zombie::kLeaver:
      return 1000;
  }
  return 0;
}

class Gate {
 public:
  // Without a route: who passes is told that no server is free, instead of being handed off.
  Gate(SlotTable& slots, SharedCounters& counters, Zombie zombie)
      : kernel_(slots.size(), zombie),
        sink_{.target = config::LogTarget::kFile,
              .fd = 9,
              .ident = "lychgate/gate",
              .hostname = "mx1"},
        log_(sink_, kernel_, counters.shards()[0], 4711),
        shard_(parts(counters), slots, now_) {}

  Result<void> start() { return shard_.start(now_); }
  // One grain of the timers, with so many new clients.
  void live(uint32_t arrivals) {
    now_ += kTimerGrainMs;
    log_.set_time(WallTime(milliseconds(now_)));
    if (arrivals > 0) kernel_.arrive(arrivals);
    do {
      shard_.handle(kernel_.turn({}), now_);
    } while (kernel_.has_pending() || shard_.wait(now_) == milliseconds{0});
  }
  uint64_t lives() const { return kernel_.closed(); }
  uint32_t held() const { return shard_.clients(); }
  uint64_t log_bytes() const { return kernel_.log_bytes(); }

 private:
  ShardParts parts(SharedCounters& counters) {
    config_.listens = {{.name = "mx", .address = {IpAddress::from_v4(0xc0000201), 25}}};
    return {.config = config_,
            .access = nullptr,
            .counters = counters.shards(),
            .index = 0,
            .reactor = kernel_,
            .log = log_,
            .listeners = {8},
            .teaser = "220-mx1 ESMTP\r\n",
            .dns_sockets = {}};
  }

  Tick now_ = 1000;
  config::Config config_;
  InstantKernel kernel_;
  LogSink sink_;
  Log log_;
  Shard shard_;
};

void BM_ShardZombie(benchmark::State& state, Zombie zombie) {
  const auto held = static_cast<uint32_t>(state.range(0));
  const auto size = static_cast<uint32_t>(held * kSlotsPerHeld);
  auto slots = SlotTable::create(size, SipKey{1, 2});
  auto counters = SharedCounters::create(1);
  if (!slots || !counters) return state.SkipWithError("no memory for the slots");
  Gate gate(*slots, *counters, zombie);
  if (!gate.start()) return state.SkipWithError("the shard does not start");
  const Tick stay = stay_of(zombie) / kTimerGrainMs;
  const uint32_t arrivals = held / stay;
  for (Tick grain = 0; grain < stay + stay / 16; ++grain) gate.live(arrivals);
  const uint64_t lives = gate.lives();
  const uint64_t bytes = gate.log_bytes();
  for ([[maybe_unused]] auto _ : state) gate.live(arrivals);
  const auto ended = static_cast<double>(gate.lives() - lives);
  state.counters["held"] = gate.held();
  state.counters["log_bytes"] = static_cast<double>(gate.log_bytes() - bytes) / ended;
  state.counters["life"] =
      benchmark::Counter(ended, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  // Lines that are not written would be cheap.
  if (counters->shards()[0].get(Counter::kLogLost) > 0) state.SkipWithError("log lines were lost");
  // The gate does not like clients to be there at its end.
  for (Tick grain = 0; gate.held() > 0 && grain < 2 * stay; ++grain) gate.live(0);
}
BENCHMARK_CAPTURE(BM_ShardZombie, silent, Zombie::kSilent)->Arg(kThousands)->Arg(kMillion);
BENCHMARK_CAPTURE(BM_ShardZombie, talker, Zombie::kTalker)->Arg(kThousands);
BENCHMARK_CAPTURE(BM_ShardZombie, leaver, Zombie::kLeaver)->Arg(kThousands);

}  // namespace
}  // namespace lychgate::daemon
