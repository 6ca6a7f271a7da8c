// What is wrong, and where, while several sources are read: collected in any order, told in
// reading order. Judges nothing.

#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/config/reader.h"

namespace lychgate::config {

// A place in the sources; sorts in reading order. Line 0 is the source as a whole.
struct Spot {
  uint32_t source = 0;
  uint32_t line = 0;
  uint32_t column = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the 0 behind <=> for a pointer.
  auto operator<=>(const Spot&) const = default;
};

struct Finding {
  Spot spot;
  std::string text;
};

// Sorted, with "file:line:column" in front.
std::vector<Problem> to_problems(std::vector<Finding> findings, std::span<const Source> sources);

}  // namespace lychgate::config
