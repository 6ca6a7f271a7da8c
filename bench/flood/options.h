// The command line of lychgate-flood: what was said, checked word by word. What was left unsaid is
// decided in planning.h; whether the target is allowed in targets.h.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "bench/flood/plan.h"
#include "bench/flood/words.h"

namespace lychgate::flood {

struct Output {
  std::string json;  // file, "-" for standard output, empty: none
  std::string csv;
  milliseconds interval{1000};
  bool quiet = false;
};

struct Options {
  std::vector<std::string> targets;
  std::vector<std::string> sources;  // empty: by default; "none": the kernel chooses
  std::vector<std::string> owned;    // targets of others that the operator answers for
  std::string mix_file;              // empty: one profile
  Manners manners;                   // of that profile; what a mix file leaves out
  std::optional<uint64_t> count;
  std::optional<uint32_t> parallel;
  std::optional<double> rate;
  std::optional<Ramp> ramp;
  std::optional<Storm> storm;
  std::optional<milliseconds> duration;
  std::optional<milliseconds> grace;
  Plan said;  // of it: per_ring, cpu, seed, ehlo, mail_from, rcpt_to
  Output output;
  bool dry_run = false;
};

// The program ends here: help and version (code 0, to standard output) or bad usage (64).
struct Farewell {
  int code = 0;
  std::string out;
  std::string err;
};

tl::expected<Options, Farewell> parse_command_line(int argc, const char* const* argv);

}  // namespace lychgate::flood
