// `lychgate top` on a terminal: asks the gate, draws, waits for a key, a signal or the next time.
// Owns the state of the terminal and puts it back on every way out but SIGKILL.

#pragma once

#include <string>

#include "core/base/time.h"

namespace lychgate::daemon {

struct TopOptions {
  std::string socket;
  milliseconds interval{1000};
};
// The exit code. Where standard output is no terminal it prints one screen, after one interval.
int run_top(const TopOptions& options);

}  // namespace lychgate::daemon
