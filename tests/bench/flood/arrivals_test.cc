// When arrivals are due at a constant rate, on a ramp and in storms.

#include "bench/flood/arrivals.h"

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

using std::chrono::seconds;

// How many arrivals are due before this time, up to a bound.
uint64_t arrivals_before(const Schedule& schedule, nanoseconds end) {
  ArrivalClock clock(schedule);
  uint64_t count = 0;
  for (; clock.due() && *clock.due() <= end && count < 10'000'000; ++count) clock.advance();
  return count;
}

Schedule open(double rate) {
  Schedule out;
  out.arrivals = Arrivals::kOpen;
  out.rate = rate;
  return out;
}

TEST(ArrivalClock, CountsTheAreaUnderTheRate) {
  const Schedule constant = open(1000);
  Schedule ramp = open(1000);
  ramp.ramp_over = seconds(10);
  Schedule down = open(0);
  down.ramp_from = 1000;
  down.ramp_over = seconds(10);
  Schedule storms = open(100);
  storms.storm_rate = 5000;
  storms.storm_every = seconds(10);
  storms.storm_for = seconds(1);
  Schedule lone_storms = storms;
  lone_storms.rate = 0;
  Schedule both = storms;
  both.ramp_over = seconds(15);
  struct Row {
    const char* what;
    Schedule schedule;
    seconds until;
    uint64_t want;
  };
  const Row rows[] = {
      {"a constant rate", constant, seconds(20), 20'000},
      {"nothing at the rate 0", open(0), seconds(20), 0},
      {"half a ramp is a quarter of its arrivals", ramp, seconds(5), 1250},
      {"a whole ramp is half of the rate", ramp, seconds(10), 5000},
      {"after it the rate stays", ramp, seconds(12), 7000},
      {"a ramp down to nothing", down, seconds(60), 5000},
      {"before the first storm", storms, seconds(10), 1000},
      {"a storm in place of the rate", storms, seconds(11), 6000},
      {"between storms", storms, seconds(20), 6900},
      {"the second storm", storms, seconds(21), 11'900},
      {"storms out of silence", lone_storms, seconds(25), 10'000},
      // The ramp's 100 t^2 / 30 less its piece from 10 to 11, which the storm takes.
      {"a storm in the middle of a ramp", both, seconds(15), 750 - 70 + 5000},
  };
  for (const Row& row : rows) {
    EXPECT_NEAR(static_cast<double>(arrivals_before(row.schedule, row.until)),
                static_cast<double>(row.want), 1)
        << row.what;
  }
}

TEST(ArrivalClock, KeepsExactTimeForMillions) {
  ArrivalClock clock(open(30'000));
  for (int i = 1; i < 3'000'000; ++i) clock.advance();
  EXPECT_NEAR(static_cast<double>(clock.due()->count()), 100e9, 10);
}

TEST(ArrivalClock, NeverGoesBack) {
  Schedule schedule = open(700);
  schedule.ramp_from = 50;
  schedule.ramp_over = milliseconds(3333);
  schedule.storm_rate = 9000;
  schedule.storm_every = milliseconds(777);
  schedule.storm_for = milliseconds(111);
  ArrivalClock clock(schedule);
  nanoseconds last{-1};
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_GE(*clock.due(), last);
    last = *clock.due();
    clock.advance();
  }
}

}  // namespace
}  // namespace lychgate::flood
