// Each parser refuses what its value could not carry, with the bound in the sentence.

#include "bench/flood/words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "core/base/edit_distance.h"
#include "core/config/values.h"

namespace lychgate::flood {
namespace {

tl::unexpected<std::string> wrong(std::string text) {
  return tl::unexpected(std::move(text));
}

template <typename Number>
std::optional<Number> whole_text(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Three parts between colons.
std::optional<std::array<std::string_view, 3>> three_parts(std::string_view text) {
  const size_t first = text.find(':');
  const size_t last = text.rfind(':');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const std::string_view middle = text.substr(first + 1, last - first - 1);
  if (middle.find(':') != std::string_view::npos) return std::nullopt;
  return std::array{text.substr(0, first), middle, text.substr(last + 1)};
}

}  // namespace

Parsed<milliseconds> parse_span(std::string_view text) {
  const bool bare = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  const std::string with_unit = bare ? std::string(text) + "s" : std::string(text);
  const auto span = config::parse_duration(with_unit);
  if (!span) return wrong("expected a time such as 500ms, 30s, 5m or 2h");
  if (*span < milliseconds(1) || *span > kDurationMax) {
    return wrong("expected a time from 1ms to 24h");
  }
  return *span;
}

Parsed<uint32_t> parse_size(std::string_view text) {
  const std::string expected =
      fmt::format("expected a size from 1 to {}M, such as 4096, 20k or 1M", kMessageBytesMax >> 20);
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = whole_text<uint64_t>(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  uint64_t factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  if (unit == "k" || unit == "K" || unit == "kB" || unit == "KB" || unit == "KiB") factor = 1 << 10;
  if (unit == "M" || unit == "MB" || unit == "MiB") factor = 1 << 20;
  if (!number || factor == 0 || *number == 0 || *number > kMessageBytesMax / factor) {
    return wrong(expected);
  }
  return static_cast<uint32_t>(*number * factor);
}

Parsed<double> parse_rate(std::string_view text) {
  const auto rate = whole_text<double>(text);
  // Written so that "nan" is refused, too.
  if (!rate || !(*rate > 0 && *rate <= kRateMax)) {
    return wrong(fmt::format("expected arrivals a second, above 0 and at most {:.0f}", kRateMax));
  }
  return *rate;
}

Parsed<Ramp> parse_ramp(std::string_view text) {
  constexpr std::string_view kForm = "expected FROM:TO:TIME, such as 100:5000:30s";
  const auto parts = three_parts(text);
  if (!parts) return wrong(std::string(kForm));
  const auto from = (*parts)[0] == "0" ? Parsed<double>(0.0) : parse_rate((*parts)[0]);
  const auto to = parse_rate((*parts)[1]);
  const auto over = parse_span((*parts)[2]);
  if (!from) return wrong(fmt::format("FROM: {}; {}", from.error(), kForm));
  if (!to) return wrong(fmt::format("TO: {}; {}", to.error(), kForm));
  if (!over) return wrong(fmt::format("TIME: {}; {}", over.error(), kForm));
  return Ramp{*from, *to, *over};
}

Parsed<Storm> parse_storm(std::string_view text) {
  constexpr std::string_view kForm = "expected RATE:EVERY:FOR, such as 20000:30s:2s";
  const auto parts = three_parts(text);
  if (!parts) return wrong(std::string(kForm));
  const auto rate = parse_rate((*parts)[0]);
  const auto every = parse_span((*parts)[1]);
  const auto lasts = parse_span((*parts)[2]);
  if (!rate) return wrong(fmt::format("RATE: {}; {}", rate.error(), kForm));
  if (!every) return wrong(fmt::format("EVERY: {}; {}", every.error(), kForm));
  if (!lasts) return wrong(fmt::format("FOR: {}; {}", lasts.error(), kForm));
  if (*lasts > *every) return wrong(fmt::format("FOR is longer than EVERY; {}", kForm));
  return Storm{*rate, *every, *lasts};
}

Parsed<Profile> parse_profile(std::string_view text) {
  const auto* name = std::find(std::begin(kProfileNames), std::end(kProfileNames), text);
  if (name != std::end(kProfileNames)) return static_cast<Profile>(name - kProfileNames);
  return wrong(fmt::format("no such profile; did you mean {}? There are {}",
                           nearest(text, kProfileNames), profile_list()));
}

std::string profile_list() {
  std::string out;
  for (size_t i = 0; i < kProfileCount; ++i) {
    if (i > 0) out += i + 1 == kProfileCount ? " and " : ", ";
    out += kProfileNames[i];
  }
  return out;
}

std::string_view nearest(std::string_view name, std::span<const char* const> names) {
  return *std::min_element(names.begin(), names.end(), [&](const char* a, const char* b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
}

}  // namespace lychgate::flood
