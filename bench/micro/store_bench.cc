// Micro-benchmarks of what is remembered of clients: a lookup in a shard, a batch of the steward,
// the arithmetic of records. Ten million clients are measured by core_store_test (LYCHGATE_LONG=1).

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>

#include <stdlib.h>

#include <benchmark/benchmark.h>

#include "core/base/check.h"
#include "core/base/client_record.h"
#include "core/store/store.h"

namespace lychgate {
namespace {

constexpr uint32_t kFew = 1'000;
constexpr uint32_t kMany = 100'000;
constexpr uint32_t kMillion = 1'000'000;

ClientKey key_of(uint32_t number) {
  return ClientKey::of(IpAddress::from_v4(number * 2654435761U), {});
}

ClientRecord visit_of(uint32_t number) {
  ClientRecord record;
  record.passed_until[0] = number;
  record.last_seen = number;
  record.passes = 1;
  return record;
}

// A store of so many clients, gone at the end. A process opens it once at a time.
class FilledStore {
 public:
  explicit FilledStore(uint32_t clients) {
    std::string pattern = std::filesystem::temp_directory_path() / "lychgate-bench-XXXXXX";
    LYCH_CHECK(mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    options_ = {.path = pattern + "/clients.mdb", .sync = store::Sync::kNone};
    LYCH_CHECK(store::prepare(options_).has_value());
    auto writer = store::Writer::open(options_);
    LYCH_CHECK(writer.has_value());
    for (uint32_t i = 0; i < clients; ++i) {
      writer->add_visit(key_of(i), visit_of(i));
      if (writer->uncommitted() >= store::Writer::kChangesPerTransaction) {
        LYCH_CHECK(writer->commit().has_value());
      }
    }
    LYCH_CHECK(writer->commit().has_value());
  }
  ~FilledStore() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  FilledStore(const FilledStore&) = delete;
  FilledStore& operator=(const FilledStore&) = delete;

  const store::Options& options() const { return options_; }

 private:
  std::filesystem::path folder_;
  store::Options options_;
};

// A turn for each eight lookups.
void look_up(benchmark::State& state, uint32_t first) {
  const auto clients = static_cast<uint32_t>(state.range(0));
  const FilledStore filled(clients);
  auto view = store::View::open(filled.options());
  if (!view) return state.SkipWithError(view.error().text.c_str());
  std::minstd_rand random(1);
  uint32_t in_turn = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto drawn = static_cast<uint32_t>(random());
    benchmark::DoNotOptimize(view->find(key_of(first + drawn % clients)));
    if (++in_turn % 8 == 0) view->end_turn();
  }
}

void BM_StoreFindKnown(benchmark::State& state) {
  look_up(state, 0);
}
BENCHMARK(BM_StoreFindKnown)->Arg(kFew)->Arg(kMany)->Arg(kMillion);

void BM_StoreFindStranger(benchmark::State& state) {
  look_up(state, 1U << 31);
}
BENCHMARK(BM_StoreFindStranger)->Arg(kFew)->Arg(kMany)->Arg(kMillion);

// Ten thousand visits of scattered clients, half of them known.
void BM_StoreCommit(benchmark::State& state) {
  const auto clients = static_cast<uint32_t>(state.range(0));
  const FilledStore filled(clients);
  auto writer = store::Writer::open(filled.options());
  if (!writer) return state.SkipWithError(writer.error().text.c_str());
  std::minstd_rand random(1);
  for ([[maybe_unused]] auto _ : state) {
    while (writer->uncommitted() < store::Writer::kChangesPerTransaction) {
      const auto number = static_cast<uint32_t>(random() % (2 * uint64_t{clients}));
      writer->add_visit(key_of(number), visit_of(number));
    }
    if (!writer->commit()) return state.SkipWithError("the commit failed");
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(store::Writer::kChangesPerTransaction));
}
BENCHMARK(BM_StoreCommit)->Arg(kMany)->Arg(kMillion)->Unit(benchmark::kMillisecond);

void BM_RecordMerge(benchmark::State& state) {
  ClientRecord a = visit_of(1);
  const ClientRecord b = visit_of(2);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(a);
    benchmark::DoNotOptimize(merge(a, b));
  }
}
BENCHMARK(BM_RecordMerge);

void BM_KeyOfAddress(benchmark::State& state) {
  IpAddress address = IpAddress::from_v4(0xcb007105);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(address);
    benchmark::DoNotOptimize(ClientKey::of(address, {}));
  }
}
BENCHMARK(BM_KeyOfAddress);

}  // namespace
}  // namespace lychgate
