// The supervisor: binds, gives up root, forks shards and steward, restarts what dies on the same
// listening sockets, changes generations, and stops them in order. After the start it only waits,
// forks and signals, but for reloads.

#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::daemon {

struct CommandLine {
  std::vector<std::string> arguments;  // the name of the program first
  std::string config_path;             // empty: built-in defaults
};

// Runs the gate until SIGTERM or SIGINT. Nothing is left half-started when it returns an error.
Result<void> run_gate(const config::Config& config, const CommandLine& command);

// Whether this process was a gate of another program until now, which has handed over to us.
bool takes_over();
// Goes on with its shards until ours are ready, then as run_gate.
Result<void> run_on(const CommandLine& command);
// Whether we could: for `check`, which the running gate calls before it hands over. A yes is
// written where that gate finds it.
Result<void> check_take_over(const CommandLine& command);

}  // namespace lychgate::daemon
