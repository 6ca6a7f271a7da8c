// From what was said to a plan: everything left unsaid gets the value an operator would expect.
// Pure; refuses what does not fit together.

#pragma once

#include <vector>

#include "bench/flood/options.h"
#include "bench/flood/plan.h"
#include "bench/flood/targets.h"
#include "core/base/result.h"

namespace lychgate::flood {

// What the words of the command line mean; `mix` is never empty.
struct Wishes {
  std::vector<Target> targets;
  std::vector<Network> sources;  // those that were named
  std::vector<Manners> mix;
};

// Targets and sources as values; kUsage names the word that is wrong.
Result<Wishes> read_wishes(const Options& options);
Result<Plan> make_plan(const Options& options, const Wishes& wishes);

// The highest rate that the schedule ever has.
double peak_rate(const Schedule& schedule);
// How long a client of these manners may stay, when the server does not end it.
milliseconds longest_stay(const Manners& manners);

}  // namespace lychgate::flood
