// Every way in which bytes may come in pieces, for readers whose answers must not depend on it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lychgate::smtp {

// Each piece is an allocation of its own, so that a sanitizer sees a byte read behind it.
using Pieces = std::vector<std::vector<char>>;

inline Pieces split_at(std::string_view text, const std::vector<size_t>& cuts) {
  Pieces out;
  size_t begin = 0;
  const auto add = [&](size_t end) {
    out.emplace_back(text.begin() + static_cast<ptrdiff_t>(begin),
                     text.begin() + static_cast<ptrdiff_t>(end));
    begin = end;
  };
  for (const size_t cut : cuts) add(cut);
  add(text.size());
  return out;
}

// All 2^(n-1) ways for a short text; for a longer one every two cuts, and byte by byte.
template <typename Visit>
void for_each_split(std::string_view text, Visit visit) {
  constexpr size_t kShort = 12;
  std::vector<size_t> everywhere;
  for (size_t at = 1; at < text.size(); ++at) everywhere.push_back(at);
  if (text.size() > kShort) {
    visit(split_at(text, everywhere));
    for (size_t one = 0; one <= text.size(); ++one) {
      for (size_t two = one; two <= text.size(); ++two) visit(split_at(text, {one, two}));
    }
    return;
  }
  for (uint32_t chosen = 0; chosen >> everywhere.size() == 0; ++chosen) {
    std::vector<size_t> cuts;
    for (size_t i = 0; i < everywhere.size(); ++i) {
      if ((chosen >> i & 1) != 0) cuts.push_back(everywhere[i]);
    }
    visit(split_at(text, cuts));
  }
}

}  // namespace lychgate::smtp
