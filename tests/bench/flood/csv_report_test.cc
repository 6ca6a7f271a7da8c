// Samples, their CSV rows, and the live line made of them.

#include "bench/flood/csv_report.h"

#include <unistd.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "bench/flood/progress.h"

namespace lychgate::flood {
namespace {

TEST(Sample, SumsTheProfilesAndKnowsItsRate) {
  const auto tally = std::make_unique<Tally>();
  Counts& zombie = tally->profiles[static_cast<size_t>(Profile::kZombie)];
  Counts& legit = tally->profiles[static_cast<size_t>(Profile::kLegit)];
  zombie.started = 100;
  zombie.connected = 90;
  legit.started = 50;
  legit.connected = legit.greeted = legit.delivered = 40;
  for (size_t i = 0; i < kEndingCount; ++i) legit.endings[i] = uint64_t{1} << i;
  tally->open = 7;
  tally->held = 6;
  Sample before;
  before.elapsed_s = 1;
  before.started = 50;
  const Sample sample = sample_of(*tally, 3, before);
  EXPECT_EQ(sample.started, 150U);
  EXPECT_EQ(sample.connected, 130U);
  EXPECT_EQ(sample.refused, 2U);
  EXPECT_EQ(sample.closed, 4U);
  EXPECT_EQ(sample.errors, 8U + 16 + 32 + 64 + 128) << "a client that was cut off is no error";
  EXPECT_DOUBLE_EQ(sample.rate, 50);
  EXPECT_EQ(csv_row(sample), "3.000,150,130,7,6,40,40,2,4,248,50.0\n");
  EXPECT_EQ(sample_of(*tally, 1, before).rate, 0) << "no time, no rate";
}

TEST(Csv, HasAColumnForEachName) {
  const std::string header = csv_header();
  EXPECT_EQ(header,
            "elapsed_s,started,connected,open,held,greeted,delivered,refused,closed,errors,rate\n");
  const std::string row = csv_row({});
  EXPECT_EQ(std::count(header.begin(), header.end(), ','), std::count(row.begin(), row.end(), ','));
}

Sample busy() {
  return {.elapsed_s = 12.34,
          .started = 1'000'000,
          .connected = 999'000,
          .open = 998'000,
          .held = 997'000,
          .greeted = 12'345,
          .delivered = 0,
          .refused = 12,
          .closed = 0,
          .errors = 3,
          .rate = 48'123.4};
}

TEST(LiveLine, TellsWhatIsAndWhatShouldNotBe) {
  EXPECT_EQ(
      live_line(busy(), 100),
      "   12.3 s  1.00M started   998k open   997k held  48.1k/s  12.3k greeted  3 errors  12 "
      "refused");
  EXPECT_EQ(live_line({}, 100).find("errors"), std::string::npos);
}

TEST(LiveLine, FitsTheTerminal) {
  EXPECT_EQ(live_line(busy(), 40).size(), 40U);
  EXPECT_LE(live_line(busy(), 500).size(), 100U);
}

TEST(LiveLine, IsNotWrittenToAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    LiveLine line(ends[1], true);
    line.show(busy());
  }
  close(ends[1]);
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), 0);
  close(ends[0]);
}

}  // namespace
}  // namespace lychgate::flood
