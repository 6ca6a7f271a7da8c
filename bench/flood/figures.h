// Numbers as people read them: thousands apart, times and sizes with a fitting unit. Pure.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lychgate::flood {

// 1234567 is "1,234,567".
std::string grouped(uint64_t number);
// At most six columns: "9,999", "12.3k", "1.23M".
std::string short_number(double number);
// "850 us", "12.3 ms", "4.56 s", "123 s".
std::string span_text(std::chrono::microseconds span);
// Decimal units: "341 B", "7.9 kB", "24.6 GB".
std::string size_text(double bytes);
// Down to two digits and zeros: a count to advise must not look more exact than it is.
uint64_t rounded_down(uint64_t number);

}  // namespace lychgate::flood
