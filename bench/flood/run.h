// One run of the engine from its begin to its end, watched: live line, CSV rows, signals, times.

#pragma once

#include <cstdio>

#include "bench/flood/engine.h"
#include "bench/flood/options.h"
#include "bench/flood/outcome.h"

namespace lychgate::flood {

// From now on SIGINT and SIGTERM are remembered instead of ending the process; a second one ends
// it.
void catch_signals();

// Fills the times and the signal of the outcome; its tally is the engine's. `csv` may be null.
void run_watched(Engine& engine, const Output& output, FILE* csv, Outcome& outcome);

}  // namespace lychgate::flood
