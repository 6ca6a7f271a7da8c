// Reads a mix: a TOML file with a table for each profile that takes part, such as
//   [zombie]
//   weight = 8        # its part of the arrivals; required, 1 to kWeightMax
//   hold = "60s"      # and timeout = "30s", size = "20k" or 4096: as on the command line
// All mistakes are reported at once, with their places.

#pragma once

#include <vector>

#include <tl/expected.hpp>

#include "bench/flood/plan.h"
#include "core/config/reader.h"

namespace lychgate::flood {

inline constexpr uint32_t kWeightMax = 1'000'000;

// In the order of the profiles, at least one. `unsaid`: what a table leaves out.
tl::expected<std::vector<Manners>, std::vector<config::Problem>> parse_mix(
    const config::Source& source, const Manners& unsaid);

}  // namespace lychgate::flood
