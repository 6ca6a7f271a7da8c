// Micro-benchmarks of what happens for every client: access list, verdict, per-address counts and
// one log line. Keys are random, so that lookups miss the caches as those of strangers do.

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/admission/access_list.h"
#include "core/admission/routes.h"
#include "core/admission/verdict.h"
#include "core/base/log_line.h"
#include "core/base/slots.h"

namespace lychgate {
namespace {

using admission::AccessList;

constexpr size_t kRules = 1'000'000;
constexpr size_t kProbes = 1 << 16;

enum class Family : uint8_t { kV4, kV6 };

IpAddress random_address(std::mt19937_64& random, Family family) {
  if (family == Family::kV4) return IpAddress::from_v4(static_cast<uint32_t>(random()));
  IpAddress out;
  // Inside 2000::/8, where the rules are; strangers from elsewhere would be found too cheaply.
  for (uint8_t& byte : out.bytes) byte = static_cast<uint8_t>(random());
  out.bytes[0] = 0x20;
  return out;
}

// Random single addresses (IPv4) or /64 networks (IPv6), permit and reject in turn.
std::string list_text(Family family) {
  std::mt19937_64 random(1);
  std::string text;
  for (size_t i = 0; i < kRules; ++i) {
    IpAddress address = random_address(random, family);
    if (family == Family::kV6)
      std::fill(address.bytes.begin() + 8, address.bytes.end(), uint8_t{0});
    text += fmt::format("{}{} {}\n", address.text(), family == Family::kV6 ? "/64" : "",
                        i % 2 == 0 ? "permit" : "reject");
  }
  return text;
}

void BM_AccessLoad(benchmark::State& state, Family family) {
  const std::string text = list_text(family);
  size_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto list = AccessList::parse(text);
    if (!list) state.SkipWithError("the generated list does not parse");
    if (list) bytes = list->bytes();
  }
  state.counters["table_bytes_per_rule"] = static_cast<double>(bytes) / kRules;
}
BENCHMARK_CAPTURE(BM_AccessLoad, v4_million, Family::kV4)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_AccessLoad, v6_million, Family::kV6)->Unit(benchmark::kMillisecond);

void BM_AccessLookup(benchmark::State& state, Family family) {
  const auto list = AccessList::parse(list_text(family));
  if (!list) return state.SkipWithError("the generated list does not parse");
  std::mt19937_64 random(2);
  std::vector<IpAddress> probes;
  for (size_t i = 0; i < kProbes; ++i) probes.push_back(random_address(random, family));
  size_t i = 0;
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(list->lookup(probes[++i % kProbes]));
}
BENCHMARK_CAPTURE(BM_AccessLookup, v4_million, Family::kV4);
BENCHMARK_CAPTURE(BM_AccessLookup, v6_million, Family::kV6);

void BM_Judge(benchmark::State& state) {
  const config::Config config;
  uint16_t evidence = 0;
  for ([[maybe_unused]] auto _ : state) {
    evidence = static_cast<uint16_t>((evidence + 1) & (kSpokeEarly | kWaited | kDenylisted));
    benchmark::DoNotOptimize(admission::judge({evidence}, config));
  }
}
BENCHMARK(BM_Judge);

void BM_ChooseRoute(benchmark::State& state) {
  config::Config config;
  config.routes.resize(8);
  for (size_t i = 0; i + 1 < config.routes.size(); ++i) {
    config.routes[i].when.networks = {{IpAddress::from_v4(static_cast<uint32_t>(i) << 24), 104}};
  }
  const admission::RouteFacts stranger{.address = IpAddress::from_v4(0xc0000201)};
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(admission::choose_route(stranger, config));
}
BENCHMARK(BM_ChooseRoute);

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
BENCHMARK(BM_AddressAddDrop)->Arg(1 << 10)->Arg(1 << 15)->Arg(1 << 19);

void BM_LogLine(benchmark::State& state) {
  const IpAddress address = IpAddress::from_v4(0xcb007105);
  for ([[maybe_unused]] auto _ : state) {
    LogLine line;
    line.add("PREGREET {} after ", 17)
        .seconds(milliseconds(210))
        .add(" from ")
        .client(address, 1044);
    line.add(": ").escaped("HELO win-box01\r\n");
    benchmark::DoNotOptimize(line.text().data());
  }
}
BENCHMARK(BM_LogLine);

}  // namespace
}  // namespace lychgate
