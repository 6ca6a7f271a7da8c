// Micro-benchmarks of the connection table: a slot opened and released, a client found by its id,
// and the exact counts per address, with the hash that they rest on.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/base/siphash.h"
#include "core/base/slots.h"

namespace lychgate {
namespace {

constexpr uint32_t kFew = 1 << 10;
constexpr uint32_t kMany = 1 << 15;
constexpr uint32_t kMillion = 1 << 20;

std::vector<uint32_t> shuffled(uint32_t count) {
  std::vector<uint32_t> out(count);
  std::iota(out.begin(), out.end(), 0);
  std::shuffle(out.begin(), out.end(), std::mt19937_64(1));
  return out;
}

// Random slots, so that a large table misses the caches.
void BM_SlotOpenRelease(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  auto table = SlotTable::create(count, SipKey{1, 2});
  if (!table) return state.SkipWithError("no memory for the slots");
  const std::vector<uint32_t> order = shuffled(count);
  uint32_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(&table->open(order[at], Phase::kSilentWait));
    table->release(order[at]);
    if (++at == count) at = 0;
  }
}
BENCHMARK(BM_SlotOpenRelease)->Arg(kFew)->Arg(kMany)->Arg(kMillion);

// What each completion begins with.
void BM_SlotFind(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  auto table = SlotTable::create(count, SipKey{1, 2});
  if (!table) return state.SkipWithError("no memory for the slots");
  for (uint32_t slot = 0; slot < count; ++slot) table->open(slot, Phase::kSilentWait);
  const std::vector<uint32_t> order = shuffled(count);
  uint32_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(table->find({order[at], 0}));
    if (++at == count) at = 0;
  }
}
BENCHMARK(BM_SlotFind)->Arg(kFew)->Arg(kMany)->Arg(kMillion);

// One client comes and one goes, at the given number of clients of distinct addresses.
void BM_AddressAddDrop(benchmark::State& state) {
  const auto held = static_cast<uint32_t>(state.range(0));
  auto table = SlotTable::create(held * 2, SipKey{1, 2});
  if (!table) return state.SkipWithError("no memory for the slots");
  for (uint32_t i = 0; i < held; ++i) table->address_add(IpAddress::from_v4(i * 2654435761U));
  uint32_t first = 0;
  for ([[maybe_unused]] auto _ : state) {
    table->address_add(IpAddress::from_v4((first + held) * 2654435761U));
    table->address_drop(IpAddress::from_v4(first++ * 2654435761U));
  }
}
BENCHMARK(BM_AddressAddDrop)->Arg(kFew)->Arg(kMany)->Arg(kMillion);

void BM_SipHash(benchmark::State& state) {
  const SipKey key{1, 2};
  IpAddress address = IpAddress::from_v4(0xcb007105);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(address);
    benchmark::DoNotOptimize(siphash(key, address.bytes));
  }
}
BENCHMARK(BM_SipHash);

}  // namespace
}  // namespace lychgate
