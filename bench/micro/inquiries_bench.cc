// Micro-benchmarks of what DNS lists cost a client before any question: joining the record of its
// address and leaving it, with 100,000 records in use or kept, in random order.

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "dns/inquiries.h"

namespace lychgate {
namespace {

constexpr uint32_t kSlots = 20'000;
constexpr uint32_t kRecords = 100'000;
constexpr uint32_t kLists = 5;

dns::InquiriesOptions options() {
  return {.slots = kSlots,
          .cached = kRecords - kSlots,
          .lists = kLists,
          .key = {0x0123456789abcdef, 0xfedcba9876543210}};
}

std::vector<IpAddress> addresses(size_t count) {
  std::mt19937_64 random(1);
  std::vector<IpAddress> out(count);
  for (IpAddress& address : out) address = IpAddress::from_v4(static_cast<uint32_t>(random()));
  return out;
}

enum class Order : uint8_t { kAsMade, kShuffled };

// Slots join the addresses in turn and leave when their turn comes again: all but one are waiting.
void turn(benchmark::State& state, std::vector<IpAddress> clients, Order order) {
  dns::Inquiries inquiries(options());
  for (size_t i = 0; i < clients.size(); ++i) {
    inquiries.leave(static_cast<uint32_t>(i % kSlots));
    inquiries.join(static_cast<uint32_t>(i % kSlots), clients[i]);
  }
  if (order == Order::kShuffled) std::shuffle(clients.begin(), clients.end(), std::mt19937_64(2));
  size_t at = 0;
  uint32_t slot = 0;
  for ([[maybe_unused]] auto _ : state) {
    inquiries.leave(slot);
    benchmark::DoNotOptimize(inquiries.join(slot, clients[at]));
    if (++at == clients.size()) at = 0;
    if (++slot == kSlots) slot = 0;
  }
  state.counters["evicted"] = static_cast<double>(inquiries.evicted());
}

// Every address is a stranger: the oldest record is taken from another.
void BM_InquiriesJoinNew(benchmark::State& state) {
  turn(state, addresses(size_t{kRecords} * 10), Order::kAsMade);
}
BENCHMARK(BM_InquiriesJoinNew);

// Every address has a record already, kept from before.
void BM_InquiriesJoinKnown(benchmark::State& state) {
  turn(state, addresses(kRecords), Order::kShuffled);
}
BENCHMARK(BM_InquiriesJoinKnown);

// A reply has come: from the id to the record and its answers.
void BM_InquiriesFindById(benchmark::State& state) {
  dns::Inquiries inquiries(options());
  std::vector<dns::InquiryId> ids;
  for (const IpAddress& address : addresses(kRecords)) {
    ids.push_back(inquiries.id(inquiries.join(0, address)));
    inquiries.leave(0);
  }
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(2));
  size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto record = inquiries.find(ids[at]);
    benchmark::DoNotOptimize(inquiries.answers(*record)[0].weight);
    if (++at == ids.size()) at = 0;
  }
}
BENCHMARK(BM_InquiriesFindById);

}  // namespace
}  // namespace lychgate
