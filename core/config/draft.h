// A configuration on its way to being valid: what the files said, where, and what is wrong so far.
// The reader fills it, the rules finish it; nobody else sees it.

#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/config/config.h"

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

// Where each key that was given stands: "greet.wait", "pool[0]", "pool[0].name".
using Spots = std::map<std::string, Spot, std::less<>>;

struct Draft {
  Config config;
  Spots spots;
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
  // False when a source could not be parsed: what seems to be missing may stand there.
  bool complete = true;
};

}  // namespace lychgate::config
