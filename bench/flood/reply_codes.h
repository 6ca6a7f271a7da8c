// Codes of SMTP replies in bytes that were not read as they came (RFC 5321, 4.2). Pure; keeps
// nothing from one call to the next.

#pragma once

#include <cstddef>
#include <string_view>

namespace lychgate::flood {

// Calls `with` for the code of each complete reply in bytes that may begin and end anywhere: what
// a client that never listened finds in the end.
template <typename With>
void each_code(std::string_view bytes, With with) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view line = bytes.substr(0, end);
    const auto digit = [&](size_t i) { return line[i] >= '0' && line[i] <= '9'; };
    if (end != std::string_view::npos && line.size() > 4 && digit(0) && digit(1) && digit(2) &&
        line[3] == ' ') {
      with((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
    }
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  }
}

}  // namespace lychgate::flood
