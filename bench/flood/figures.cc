// Three digits are enough for anything that was measured; counts are told whole.

#include "bench/flood/figures.h"

#include <cmath>

#include <fmt/format.h>

namespace lychgate::flood {
namespace {

// Three digits: 1.23, 12.3, 123.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

}  // namespace

std::string grouped(uint64_t number) {
  std::string out = std::to_string(number);
  for (size_t at = out.size(); at > 3;) out.insert(at -= 3, 1, ',');
  return out;
}

std::string short_number(double number) {
  if (number < 9999.5) return grouped(static_cast<uint64_t>(std::lround(number)));
  if (number < 999'500) return three_digits(number / 1e3) + "k";
  if (number < 999'500'000) return three_digits(number / 1e6) + "M";
  return three_digits(number / 1e9) + "G";
}

std::string span_text(std::chrono::microseconds span) {
  const auto count = static_cast<double>(span.count());
  if (count < 999.5) return fmt::format("{:.0f} us", count);
  if (count < 999'500) return three_digits(count / 1e3) + " ms";
  return three_digits(count / 1e6) + " s";
}

std::string size_text(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

uint64_t rounded_down(uint64_t number) {
  uint64_t unit = 1;
  while (number / unit >= 100) unit *= 10;
  return number / unit * unit;
}

}  // namespace lychgate::flood
