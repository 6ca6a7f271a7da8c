// The small languages: what they take, what they refuse, and that they say what was expected.

#include "bench/flood/words.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

TEST(Span, HasAUnitOrIsSeconds) {
  EXPECT_EQ(parse_span("500ms"), milliseconds(500));
  EXPECT_EQ(parse_span("30s"), milliseconds(30'000));
  EXPECT_EQ(parse_span("30"), milliseconds(30'000));
  EXPECT_EQ(parse_span("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_span("24h"), milliseconds(kDurationMax));
  for (const char* text :
       {"", "0", "0s", "-1s", "25h", "2d", "s", "1.5s", "30 s", "30x", "99999999999999999999"}) {
    EXPECT_FALSE(parse_span(text)) << text;
  }
}

TEST(Size, CountsInKibibytes) {
  EXPECT_EQ(parse_size("4096"), 4096U);
  EXPECT_EQ(parse_size("20k"), 20'480U);
  EXPECT_EQ(parse_size("20K"), 20'480U);
  EXPECT_EQ(parse_size("20kB"), 20'480U);
  EXPECT_EQ(parse_size("1M"), 1U << 20);
  EXPECT_EQ(parse_size("64M"), kMessageBytesMax);
  EXPECT_EQ(parse_size("67108864"), kMessageBytesMax);
  for (const char* text : {"", "0", "k", "65M", "67108865", "1G", "-1", "1.5k", "20 k",
                           "18446744073709551615M", "99999999999999999999"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Rate, IsAboveZeroAndBounded) {
  EXPECT_EQ(parse_rate("2000"), 2000.0);
  EXPECT_EQ(parse_rate("0.5"), 0.5);
  EXPECT_EQ(parse_rate("1e4"), 10'000.0);
  for (const char* text : {"", "0", "-1", "nan", "inf", "10000001", "5/s", "abc"}) {
    EXPECT_FALSE(parse_rate(text)) << text;
  }
}

TEST(Ramp, HasThreeParts) {
  const auto ramp = parse_ramp("100:5000:30s");
  ASSERT_TRUE(ramp);
  EXPECT_EQ(ramp->from, 100);
  EXPECT_EQ(ramp->to, 5000);
  EXPECT_EQ(ramp->over, milliseconds(30'000));
  EXPECT_EQ(parse_ramp("0:10:5")->from, 0) << "it may begin with nobody";
  for (const char* text : {"", "100", "100:5000", "100:5000:", ":5000:30s", "100:0:30s",
                           "100:5000:0s", "1:2:3:4", "100:5000:30s:"}) {
    const auto got = parse_ramp(text);
    ASSERT_FALSE(got) << text;
    EXPECT_NE(got.error().find("FROM:TO:TIME"), std::string::npos) << got.error();
  }
}

TEST(Storm, HasThreePartsAndAPause) {
  const auto storm = parse_storm("20000:30s:2s");
  ASSERT_TRUE(storm);
  EXPECT_EQ(storm->rate, 20'000);
  EXPECT_EQ(storm->every, milliseconds(30'000));
  EXPECT_EQ(storm->lasts, milliseconds(2'000));
  EXPECT_TRUE(parse_storm("1:2s:2s")) << "one storm after the other";
  for (const char* text : {"", "1:2s", "1:2s:3s", "0:2s:1s", "1:0s:0s", "1:2s:1s:1s"}) {
    const auto got = parse_storm(text);
    ASSERT_FALSE(got) << text;
    EXPECT_NE(got.error().find("RATE:EVERY:FOR"), std::string::npos) << got.error();
  }
}

TEST(Profile, IsFoundByItsName) {
  for (size_t i = 0; i < kProfileCount; ++i) {
    EXPECT_EQ(parse_profile(kProfileNames[i]), static_cast<Profile>(i));
  }
  EXPECT_STREQ(kProfileNames[static_cast<size_t>(Profile::kLegit)], "legit");
  const auto got = parse_profile("zombi");
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().find("did you mean zombie?"), std::string::npos);
  EXPECT_NE(got.error().find("never-reads"), std::string::npos) << "all are named";
}

TEST(Nearest, IsWhatWasMeant) {
  EXPECT_EQ(nearest("neverreads", kProfileNames), "never-reads");
  EXPECT_EQ(nearest("hang-up", kProfileNames), "hangup");
  EXPECT_EQ(nearest("LEGIT", kProfileNames).empty(), false) << "there is always one";
}

}  // namespace
}  // namespace lychgate::flood
