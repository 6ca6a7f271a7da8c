// Micro-benchmarks of what a hand-off writes about the client: the PROXY header of each version and
// the attributes behind a passed descriptor.

#include <array>

#include <benchmark/benchmark.h>

#include "handoff/pass_attributes.h"
#include "handoff/proxy_header.h"

namespace lychgate::handoff {
namespace {

SessionEnds ends_v4() {
  return {.client = {IpAddress::from_v4(0xcb007105), 41822},
          .server = {IpAddress::from_v4(0xc0000201), 25}};
}

SessionEnds ends_v6() {
  return {.client = {*IpAddress::parse("2001:db8:85a3::8a2e:370:7334"), 41822},
          .server = {*IpAddress::parse("2001:db8::25"), 25}};
}

void BM_WriteProxyHeader(benchmark::State& state, config::ProxyHeader version,
                         const SessionEnds& ends) {
  std::array<char, kProxyHeaderMax> out;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(write_proxy_header(version, ends, out));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(BM_WriteProxyHeader, v1_ipv4, config::ProxyHeader::kV1, ends_v4());
BENCHMARK_CAPTURE(BM_WriteProxyHeader, v1_ipv6, config::ProxyHeader::kV1, ends_v6());
BENCHMARK_CAPTURE(BM_WriteProxyHeader, v2_ipv4, config::ProxyHeader::kV2, ends_v4());
BENCHMARK_CAPTURE(BM_WriteProxyHeader, v2_ipv6, config::ProxyHeader::kV2, ends_v6());

void BM_WritePassAttributes(benchmark::State& state, const SessionEnds& ends) {
  std::array<char, kPassBytesMax> out;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(write_pass_attributes(ends, out));
    benchmark::ClobberMemory();
  }
}
BENCHMARK_CAPTURE(BM_WritePassAttributes, ipv4, ends_v4());
BENCHMARK_CAPTURE(BM_WritePassAttributes, ipv6, ends_v6());

}  // namespace
}  // namespace lychgate::handoff
