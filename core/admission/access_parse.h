// Postfix cidr_table(5) syntax: from text to the intervals that each rule matches.
// Pure: reads no file, keeps nothing. The order of rules survives only as the rank of an interval.

#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/admission/access_list.h"
#include "core/admission/interval_table.h"

namespace lychgate::admission {

// IPv4 and IPv6 apart: in Postfix a rule of one family never matches an address of the other, and
// its negation means the rest of its own family.
struct AccessIntervals {
  std::vector<Interval<Key32>> v4;
  std::vector<Interval<Key128>> v6;
  size_t rules = 0;
};

tl::expected<AccessIntervals, std::vector<AccessProblem>> parse_access(std::string_view text);

}  // namespace lychgate::admission
