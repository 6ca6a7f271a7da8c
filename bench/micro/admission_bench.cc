// Micro-benchmarks of what is decided for every client: access list, verdict and route. Keys are
// random, so that lookups miss the caches as those of strangers do.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/admission/access_list.h"
#include "core/admission/routes.h"
#include "core/admission/verdict.h"
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

void BM_Judge(benchmark::State& state, int evidence) {
  const config::Config config;
  admission::Facts facts{static_cast<uint16_t>(evidence)};
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(facts);
    benchmark::DoNotOptimize(admission::judge(facts, config));
  }
}
BENCHMARK_CAPTURE(BM_Judge, clean, kWaited);
BENCHMARK_CAPTURE(BM_Judge, address_full, kAddressFull);
BENCHMARK_CAPTURE(BM_Judge, hung_up, kHungUp);
BENCHMARK_CAPTURE(BM_Judge, allowlisted, kAllowlisted);
BENCHMARK_CAPTURE(BM_Judge, spoke_early, kSpokeEarly);
BENCHMARK_CAPTURE(BM_Judge, lists_failed, kListsFailed | kWaited);
BENCHMARK_CAPTURE(BM_Judge, fails_every_test, kDenylisted | kSpokeEarly | kListsFailed);

// Clients of every kind in random order, as they come: the branches cannot be foretold.
void BM_JudgeMixed(benchmark::State& state) {
  const config::Config config;
  constexpr int kKinds[] = {kWaited,      kSpokeEarly,  kHungUp,     kWaited | kListsFailed,
                            kAllowlisted, kAddressFull, kDenylisted, kWaited | kListsAllow};
  std::mt19937_64 random(3);
  std::vector<admission::Facts> clients(kProbes);
  for (auto& facts : clients) {
    facts.evidence = static_cast<uint16_t>(kKinds[random() % std::size(kKinds)]);
  }
  size_t i = 0;
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(admission::judge(clients[++i % kProbes], config));
}
BENCHMARK(BM_JudgeMixed);

// Eight routes, each for one network but the last, which is for all.
config::Config eight_routes() {
  config::Config config;
  config.routes.resize(8);
  for (size_t i = 0; i + 1 < config.routes.size(); ++i) {
    config.routes[i].when.networks = {{IpAddress::from_v4(static_cast<uint32_t>(i) << 24), 104}};
  }
  return config;
}

// The friendly and the hostile pool: allowlisted, a good score, everybody else.
config::Config three_routes() {
  config::Config config;
  config.routes.resize(3);
  config.routes[0].when.allowlisted = true;
  config.routes[1].when.max_score = -2;
  return config;
}

// A stranger, who takes the last route.
void BM_ChooseRoute(benchmark::State& state, const config::Config& config) {
  admission::RouteFacts stranger{.address = IpAddress::from_v4(0xc0000201)};
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(stranger);
    benchmark::DoNotOptimize(admission::choose_route(stranger, config));
  }
}
BENCHMARK_CAPTURE(BM_ChooseRoute, three_by_class, three_routes());
BENCHMARK_CAPTURE(BM_ChooseRoute, eight_by_network, eight_routes());

}  // namespace
}  // namespace lychgate
