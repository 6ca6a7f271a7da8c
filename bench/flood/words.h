// The small languages of the command line and of mix files: times, sizes, rates, ramps and storms.
// Text in, value or one sentence out.

#pragma once

#include <cstdint>
#include <string_view>

#include "bench/flood/plan.h"
#include "bench/flood/targets.h"

namespace lychgate::flood {

// "500ms", "30s", "5m", "2h"; a bare number is seconds. At least 1 ms, at most kDurationMax.
Parsed<milliseconds> parse_span(std::string_view text);
// "4096", "20k", "1M" (k is 1024); at most kMessageBytesMax.
Parsed<uint32_t> parse_size(std::string_view text);
// Arrivals a second, above 0 and at most kRateMax.
Parsed<double> parse_rate(std::string_view text);

inline constexpr double kRateMax = 10e6;

struct Ramp {
  double from = 0;
  double to = 0;
  milliseconds over{0};
};
// "FROM:TO:TIME", such as 100:5000:30s.
Parsed<Ramp> parse_ramp(std::string_view text);

struct Storm {
  double rate = 0;
  milliseconds every{0};
  milliseconds lasts{0};
};
// "RATE:EVERY:FOR", such as 20000:30s:2s.
Parsed<Storm> parse_storm(std::string_view text);

// The profile of this name.
Parsed<Profile> parse_profile(std::string_view text);
// "zombie, early, bot, ... or legit".
std::string profile_list();
// The one of these names that differs least from a mistyped one.
std::string_view nearest(std::string_view name, std::span<const char* const> names);

}  // namespace lychgate::flood
