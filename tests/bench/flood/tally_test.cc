// Histograms against exact quantiles of the same values, and sums over profiles.

#include "bench/flood/tally.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Histogram, OfNothingIsZero) {
  const Histogram empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.quantile(0.5), microseconds(0));
  EXPECT_EQ(empty.least(), microseconds(0));
  EXPECT_EQ(empty.most(), microseconds(0));
}

TEST(Histogram, OfOneValueIsThatValue) {
  for (const nanoseconds value : {nanoseconds(microseconds(1)), nanoseconds(microseconds(777)),
                                  nanoseconds(seconds(6)), nanoseconds(minutes(17))}) {
    Histogram one;
    one.add(value);
    for (const double part : {0.0, 0.5, 0.999, 1.0}) {
      EXPECT_EQ(one.quantile(part), value) << value.count() << " ns at " << part;
    }
  }
}

TEST(Histogram, KeepsWhatIsOutsideItsRange) {
  Histogram odd;
  odd.add(nanoseconds(-5));
  odd.add(nanoseconds(3));
  odd.add(std::chrono::hours(5));
  EXPECT_EQ(odd.count(), 3U);
  EXPECT_EQ(odd.least(), microseconds(0));
  EXPECT_EQ(odd.most(), std::chrono::hours(5));
  EXPECT_EQ(odd.quantile(1), std::chrono::hours(5));
}

// The rank that quantile() means, on sorted values.
nanoseconds exact(const std::vector<nanoseconds>& sorted, double part) {
  const auto rank = static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

TEST(Histogram, IsWithinOneStepOfTheExactQuantile) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> microsecond(6, 2.5);
  std::vector<nanoseconds> values;
  Histogram histogram;
  for (int i = 0; i < 50'000; ++i) {
    const nanoseconds value(static_cast<int64_t>(1000 * std::min(1 + microsecond(random), 9e8)));
    values.push_back(value);
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (const double part : {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const double want = static_cast<double>(exact(values, part).count()) / 1000;
    const auto got = static_cast<double>(histogram.quantile(part).count());
    EXPECT_GE(got, want - 0.5) << part << ": never an understatement, but for rounding";
    EXPECT_LE(got, want * (1 + 1.0 / 64) + 1) << part;
  }
}

TEST(Histogram, QuantilesGrowWithThePart) {
  std::mt19937_64 random(11);
  Histogram histogram;
  for (int i = 0; i < 1000; ++i) histogram.add(nanoseconds(random() % 3'000'000'000));
  microseconds before{0};
  for (int i = 0; i <= 1000; ++i) {
    const microseconds now = histogram.quantile(i / 1000.0);
    EXPECT_GE(now, before);
    before = now;
  }
  EXPECT_EQ(before, histogram.most());
}

TEST(Histogram, OfTwoIsTheHistogramOfAll) {
  Histogram left;
  Histogram right;
  Histogram all;
  for (int i = 1; i <= 1000; ++i) {
    const nanoseconds value = milliseconds(i);
    (i % 3 == 0 ? left : right).add(value);
    all.add(value);
  }
  left.add(right);
  EXPECT_EQ(left.count(), all.count());
  EXPECT_EQ(left.least(), all.least());
  EXPECT_EQ(left.most(), all.most());
  for (const double part : {0.1, 0.5, 0.9, 0.99}) {
    EXPECT_EQ(left.quantile(part), all.quantile(part));
  }
}

TEST(Tally, SumsItsProfiles) {
  const auto tally = std::make_unique<Tally>();
  for (size_t i = 0; i < kProfileCount; ++i) {
    Counts& counts = tally->profiles[i];
    counts.started = counts.connected = counts.first_bytes = i;
    counts.greeted = counts.delivered = counts.bytes_out = counts.bytes_in = 1;
    counts.endings[i] = 10;
    tally->latencies[i].connect.add(milliseconds(1 + i));
    tally->latencies[i].lateness.add(milliseconds(1));
  }
  const Counts sum = tally->sum();
  EXPECT_EQ(sum.started, 28U);
  EXPECT_EQ(sum.connected, 28U);
  EXPECT_EQ(sum.first_bytes, 28U);
  EXPECT_EQ(sum.greeted, kProfileCount);
  EXPECT_EQ(sum.delivered, kProfileCount);
  EXPECT_EQ(sum.bytes_out, kProfileCount);
  EXPECT_EQ(sum.bytes_in, kProfileCount);
  for (size_t i = 0; i < kProfileCount; ++i) EXPECT_EQ(sum.endings[i], 10U);
  const auto latencies = std::make_unique<Latencies>(tally->all_latencies());
  EXPECT_EQ(latencies->connect.count(), kProfileCount);
  EXPECT_EQ(latencies->connect.most(), milliseconds(8));
  EXPECT_EQ(latencies->lateness.count(), kProfileCount);
  EXPECT_EQ(latencies->greeting.count(), 0U);
}

}  // namespace
}  // namespace lychgate::flood
