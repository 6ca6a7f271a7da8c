// What a run looks like at one moment, and the course of a run as CSV. Pure.

#pragma once

#include <cstdint>
#include <string>

#include "bench/flood/tally.h"

namespace lychgate::flood {

struct Sample {
  double elapsed_s = 0;
  uint64_t started = 0;
  uint64_t connected = 0;
  uint64_t open = 0;
  uint64_t held = 0;
  uint64_t greeted = 0;
  uint64_t delivered = 0;
  uint64_t refused = 0;
  uint64_t closed = 0;  // by the server, before the client was done
  uint64_t errors = 0;  // reset, timed out, broken, unconnected, unstarted
  double rate = 0;      // starts a second since the sample before
};

Sample sample_of(const Tally& tally, double elapsed_s, const Sample& before);

// One line each, with its end.
std::string csv_header();
std::string csv_row(const Sample& sample);

}  // namespace lychgate::flood
