// What one round of lookups took, told alike by both ways of making one.

#pragma once

#include <cstdint>

#include "core/base/time.h"

namespace lychgate::lookup_cost {

struct Spent {
  uint64_t lookups = 0;  // answered
  uint64_t lost = 0;
  uint64_t turns = 0;  // of the reactor
};

// When nothing has come for so long, what is still missing is lost.
inline constexpr milliseconds kPatience{2000};

}  // namespace lychgate::lookup_cost
