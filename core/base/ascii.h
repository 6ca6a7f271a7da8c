// Letters without a locale: host names, keywords and DNS names are ASCII whatever the host speaks.

#pragma once

#include <algorithm>
#include <string_view>

namespace lychgate {

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// The same word, case of letters aside.
constexpr bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, ascii_lower, ascii_lower);
}

}  // namespace lychgate
