// Micro-benchmarks of the timers: a wait armed and served, or armed and cancelled, among the given
// number of others, in the FIFO of a constant wait and in the wheel. Slots are in random order, as
// after some hours of coming and going, unless the name says otherwise.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/base/slots.h"
#include "ring/timers.h"

namespace lychgate {
namespace {

constexpr Tick kWait = 6000;      // of a FIFO: greet.wait as it comes
constexpr Tick kWaitMax = 30000;  // of the wheel: random up to this, within its round
constexpr uint32_t kFew = 1000;
constexpr uint32_t kMillion = 1'000'000;

enum class Order : uint8_t { kAsNumbered, kShuffled };

std::vector<uint32_t> slot_numbers(uint32_t count, Order order) {
  std::vector<uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0);
  if (order == Order::kShuffled) std::shuffle(out.begin(), out.end(), std::mt19937_64(1));
  return out;
}

class Waits {
 public:
  explicit Waits(TimerHome home) : home_(home), random_(2) {}
  Tick draw() { return home_ == TimerHome::kWheel ? 1 + draw_below(kWaitMax) : kWait; }
  // For what is already waiting: spread over the whole wait, as clients that have come steadily.
  Tick draw_left(uint32_t index, uint32_t count) {
    if (home_ == TimerHome::kWheel) return draw();
    return static_cast<Tick>(uint64_t{index} * kWait / count);
  }

 private:
  Tick draw_below(Tick end) { return static_cast<Tick>(random_() % end); }
  TimerHome home_;
  std::minstd_rand random_;
};

// One client's wait in a steady state: the next that is due leaves, and comes again.
void BM_TimerArmFire(benchmark::State& state, TimerHome home, Order order) {
  const auto count = static_cast<uint32_t>(state.range(0));
  auto slots = SlotTable::create(count, SipKey{1, 2});
  if (!slots) return state.SkipWithError("no memory for the slots");
  Tick now = 0;
  ring::Timers timers(*slots, now);
  Waits waits(home);
  uint32_t index = 0;
  for (const uint32_t slot : slot_numbers(count, order)) {
    timers.arm(slot, home, now + waits.draw_left(index++, count));
  }
  for ([[maybe_unused]] auto _ : state) {
    auto due = timers.pop_due();
    while (!due) {
      now += kTimerGrainMs;
      timers.advance(now);
      due = timers.pop_due();
    }
    timers.arm(*due, home, now + waits.draw());
  }
}
BENCHMARK_CAPTURE(BM_TimerArmFire, fifo, TimerHome::kGreetWait, Order::kShuffled)
    ->Arg(kFew)
    ->Arg(kMillion);
BENCHMARK_CAPTURE(BM_TimerArmFire, fifo_in_order, TimerHome::kGreetWait, Order::kAsNumbered)
    ->Arg(kMillion);
BENCHMARK_CAPTURE(BM_TimerArmFire, wheel, TimerHome::kWheel, Order::kShuffled)
    ->Arg(kFew)
    ->Arg(kMillion);

// One client's wait that ends before its time: a random one of all is cancelled and armed anew.
void BM_TimerArmCancel(benchmark::State& state, TimerHome home) {
  const auto count = static_cast<uint32_t>(state.range(0));
  auto slots = SlotTable::create(count, SipKey{1, 2});
  if (!slots) return state.SkipWithError("no memory for the slots");
  ring::Timers timers(*slots, 0);
  Waits waits(home);
  for (uint32_t slot = 0; slot < count; ++slot) timers.arm(slot, home, waits.draw());
  const std::vector<uint32_t> order = slot_numbers(count, Order::kShuffled);
  uint32_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    timers.cancel(order[at]);
    timers.arm(order[at], home, waits.draw());
    if (++at == count) at = 0;
  }
}
BENCHMARK_CAPTURE(BM_TimerArmCancel, fifo, TimerHome::kGreetWait)->Arg(kFew)->Arg(kMillion);
BENCHMARK_CAPTURE(BM_TimerArmCancel, wheel, TimerHome::kWheel)->Arg(kFew)->Arg(kMillion);

// Asked once a turn: with one timer, the given number of grains ahead.
void BM_TimerNextWake(benchmark::State& state, TimerHome home) {
  auto slots = SlotTable::create(kFew, SipKey{1, 2});
  if (!slots) return state.SkipWithError("no memory for the slots");
  ring::Timers timers(*slots, 0);
  timers.arm(0, home, static_cast<Tick>(state.range(0)) * kTimerGrainMs);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(timers.next_wake());
}
BENCHMARK_CAPTURE(BM_TimerNextWake, fifo, TimerHome::kGreetWait)->Arg(600);
BENCHMARK_CAPTURE(BM_TimerNextWake, wheel, TimerHome::kWheel)->Arg(1)->Arg(4000);

}  // namespace
}  // namespace lychgate
