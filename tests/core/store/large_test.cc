// Ten million clients (LYCHGATE_LONG=1, some minutes, 1.2 GB in TMPDIR): how large the file is, how
// soon it is open, what a lookup takes, also while the steward forgets. Prints its figures.
// LYCHGATE_KEEP_STORE=FILE: only makes the file, for a test of the whole gate.

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/store/store.h"
#include "tests/core/store/harness.h"

namespace lychgate::store {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kClients = 10'000'000;
constexpr size_t kBatch = 10'000;
constexpr int kLookups = 500'000;
constexpr Seconds kNow = 100'000'000;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

template <typename... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print("    {}\n", fmt::format(text, std::forward<Args>(args)...));
  std::fflush(stdout);
}

// Every second one is to be forgotten at kNow.
ClientRecord aged(uint32_t number) {
  ClientRecord record = record_of(0);
  record.passed_until[0] = number % 2 == 0 ? kNow : 1'000;
  record.last_seen = 1'000;
  return record;
}

void fill(const Options& options) {
  const auto start = Clock::now();
  auto writer = Writer::open(options);
  ASSERT_TRUE(writer);
  double longest = 0;
  double last = 0;
  for (uint32_t number = 0; number < kClients;) {
    for (size_t i = 0; i < kBatch; ++i, ++number) writer->add_visit(key_of(number), aged(number));
    const auto commit_start = Clock::now();
    const auto done = writer->commit();
    ASSERT_TRUE(done) << done.error().text;
    last = milliseconds_since(commit_start);
    longest = std::max(longest, last);
  }
  const Stats stats = writer->stats();
  EXPECT_EQ(stats.records, kClients);
  say("filled in {:.0f} s; the last commit of {} took {:.0f} ms, the longest {:.0f} ms",
      milliseconds_since(start) / 1000, kBatch, last, longest);
  say("{:.2f} GB in use, the file took {:.2f} GB at most",
      static_cast<double>(stats.bytes_used) / 1e9, static_cast<double>(stats.bytes_high) / 1e9);
}

struct Spread {
  double median = 0;
  double p99 = 0;
  double longest = 0;
};
Spread spread_of(std::vector<double>& microseconds) {
  std::ranges::sort(microseconds);
  const size_t size = microseconds.size();
  return {microseconds[size / 2], microseconds[size * 99 / 100], microseconds[size - 1]};
}

// Looks up clients from `first` on, at random, a turn for each eight, as a shard does.
Spread look_up(View& view, uint32_t first, uint32_t seed) {
  Random random(seed);
  std::vector<double> microseconds;
  microseconds.reserve(kLookups);
  for (int i = 0; i < kLookups; ++i) {
    const ClientKey key = key_of(first + random() % kClients);
    const auto start = Clock::now();
    const auto record = view.find(key);
    const auto end = Clock::now();
    LYCH_CHECK(first == 0 || !record);
    microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    if (i % 8 == 7) view.end_turn();
  }
  return spread_of(microseconds);
}

void say_spread(std::string_view what, const Spread& spread) {
  say("{}: median {:.2f} us, p99 {:.2f} us, longest {:.0f} us", what, spread.median, spread.p99,
      spread.longest);
}

// The yardstick: one byte at a random place of the same file, which the machine's other users make
// slower, too.
Spread read_memory(const Options& options) {
  const size_t size = std::filesystem::file_size(options.path);
  const int fd = open(options.path.c_str(), O_RDONLY | O_CLOEXEC);
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  LYCH_CHECK(memory != MAP_FAILED);
  close(fd);
  const auto* bytes = static_cast<const volatile uint8_t*>(memory);
  std::mt19937_64 random(7);
  std::vector<double> microseconds;
  uint64_t last = 0;  // the next place depends on it, so that reads cannot overlap
  for (int i = 0; i < kLookups; ++i) {
    const auto start = Clock::now();
    last = bytes[(random() + last) % size];
    const auto end = Clock::now();
    microseconds.push_back(std::chrono::duration<double, std::micro>(end - start).count());
  }
  munmap(memory, size);
  return spread_of(microseconds);
}

int measure_view(const Options& options) {
  const auto start = Clock::now();
  auto view = View::open(options);
  if (!view || !view->find(key_of(1))) return 1;
  const double opened = milliseconds_since(start);
  say("a view opened and its first lookup: {:.1f} ms", opened);
  say_spread("known, first met", look_up(*view, 0, 1));
  const Spread known = look_up(*view, 0, 2);
  say_spread("known", known);
  look_up(*view, kClients, 3);
  const Spread unknown = look_up(*view, kClients, 4);
  say_spread("unknown", unknown);
  const Spread read = read_memory(options);
  say_spread("one byte read", read);
  if (opened >= 1000) return 2;
  // A machine whose memory is taken by others is not the store's fault.
  const double most = std::max(1.0, 5 * read.median);
  return known.median < most && unknown.median < most ? 0 : 3;
}

TEST(Large, TenMillionClients) {
  const char* is_long = std::getenv("LYCHGATE_LONG");
  if (is_long == nullptr || std::string_view(is_long) != "1") {
    GTEST_SKIP() << "takes some minutes: LYCHGATE_LONG=1";
  }
  const Folder folder;
  Options options = folder.options();
  options.bytes_max = uint64_t{4} << 30;
  ASSERT_TRUE(prepare(options));
  ASSERT_NO_FATAL_FAILURE(fill(options));
  if (const char* kept = std::getenv("LYCHGATE_KEEP_STORE"); kept != nullptr) {
    return std::filesystem::rename(options.path, kept);
  }
  auto start = Clock::now();
  ASSERT_TRUE(prepare(options));
  const double prepared = milliseconds_since(start);
  start = Clock::now();
  auto writer = Writer::open(options);
  ASSERT_TRUE(writer);
  const double opened = milliseconds_since(start);
  say("looked at {:.1f} ms, writer opened {:.1f} ms", prepared, opened);
  EXPECT_LT(prepared + opened, 1000);
  EXPECT_EQ(in_child([&] { return measure_view(options); }), 0);

  Peer reader([&](int fd) {
    auto view = View::open(options);
    LYCH_CHECK(view && write(fd, "r", 1) == 1);
    look_up(*view, 0, 5);
    char never = 0;
    for (bool is_last = false; !is_last;) {
      say_spread("known, beside cleanup", look_up(*view, 0, 6));
      is_last = recv(fd, &never, 1, MSG_DONTWAIT) == 1;
    }
    LYCH_CHECK(write(fd, "d", 1) == 1);
  });
  ASSERT_EQ(reader.hear(), 'r');
  double longest = 0;
  start = Clock::now();
  for (uint64_t looked = 0; looked < kClients;) {
    const auto step = Clock::now();
    looked += writer->clean(kNow, 3'600, kBatch).value();
    longest = std::max(longest, milliseconds_since(step));
  }
  say("cleaned in {:.0f} s, {} at a time, the longest {:.0f} ms", milliseconds_since(start) / 1000,
      kBatch, longest);
  EXPECT_EQ(reader.ask('s'), 'd');
  EXPECT_EQ(writer->stats().records, kClients / 2);
  say("then {:.2f} GB in use, the file took {:.2f} GB at most",
      static_cast<double>(writer->stats().bytes_used) / 1e9,
      static_cast<double>(writer->stats().bytes_high) / 1e9);
}

}  // namespace
}  // namespace lychgate::store
