// Everything a report tells of one run, gathered by main; read by the table and by JSON.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/flood/plan.h"
#include "bench/flood/preflight.h"
#include "bench/flood/tally.h"

namespace lychgate::flood {

struct Outcome {
  std::vector<std::string> targets;  // as they were written
  Plan plan;
  Preflight preflight;
  const Tally* tally = nullptr;
  double elapsed_s = 0;
  double arriving_s = 0;  // of it, until the last client had started
  double cpu_s = 0;       // of this process
  int signal = 0;         // that stopped the run; 0: none

  double rate_achieved() const;
  // Open loop: what the schedule asked for in the same time.
  std::optional<double> rate_intended() const;
  int exit_code() const;
};

// The source networks as text; empty: the kernel chooses.
std::vector<std::string> source_texts(const Plan& plan);
// Profiles of the plan's mix, in the order of every table.
std::vector<Profile> profiles_of(const Plan& plan);

}  // namespace lychgate::flood
