// Letters without a locale: host names, keywords and DNS names are ASCII whatever the host speaks.

#pragma once

namespace lychgate {

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace lychgate
