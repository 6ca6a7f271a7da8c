// Numbers as people read them: no column wider than agreed, no advice more exact than it is.

#include "bench/flood/figures.h"

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

using std::chrono::microseconds;

TEST(Figures, GroupThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Figures, ShortNumbersStaySixColumnsWide) {
  struct Row {
    const char* what;
    double number;
    const char* want;
  };
  const Row rows[] = {
      {"nothing", 0, "0"},
      {"rounded to a whole number", 12.6, "13"},
      {"whole as long as it fits", 9999, "9,999"},
      {"thousands", 12'345, "12.3k"},
      {"the last of the thousands", 999'400, "999k"},
      {"rounding up is a million", 999'600, "1.00M"},
      {"millions", 1'234'567, "1.23M"},
      {"a run's bound", 1e9, "1.00G"},
  };
  for (const Row& row : rows) EXPECT_EQ(short_number(row.number), row.want) << row.what;
  for (double number = 1; number < 1e12; number *= 1.003) {
    EXPECT_LE(short_number(number).size(), 6U) << number;
  }
}

TEST(Figures, SpansHaveAFittingUnit) {
  EXPECT_EQ(span_text(microseconds(0)), "0 us");
  EXPECT_EQ(span_text(microseconds(999)), "999 us");
  EXPECT_EQ(span_text(microseconds(1000)), "1.00 ms");
  EXPECT_EQ(span_text(microseconds(12'345)), "12.3 ms");
  EXPECT_EQ(span_text(microseconds(999'499)), "999 ms");
  EXPECT_EQ(span_text(microseconds(999'600)), "1.00 s");
  EXPECT_EQ(span_text(microseconds(123'456'789)), "123 s");
}

TEST(Figures, SizesAreDecimal) {
  EXPECT_EQ(size_text(341), "341 B");
  EXPECT_EQ(size_text(7900), "7.9 kB");
  EXPECT_EQ(size_text(8.8e6), "8.8 MB");
  EXPECT_EQ(size_text(24.6e9), "24.6 GB");
}

TEST(Figures, AdviceIsRoundedDown) {
  EXPECT_EQ(rounded_down(0), 0U);
  EXPECT_EQ(rounded_down(99), 99U);
  EXPECT_EQ(rounded_down(28'232), 28'000U);
  EXPECT_EQ(rounded_down(2'499'999), 2'400'000U);
}

}  // namespace
}  // namespace lychgate::flood
