// The supervisor: binds, gives up root, forks shards and steward, restarts what dies on the same
// listening sockets, and stops them in order. After the start it only waits, forks and signals.

#pragma once

#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::daemon {

// Runs the gate until SIGTERM or SIGINT. Nothing is left half-started when it returns an error.
Result<void> run_gate(const config::Config& config, const std::string& config_path);

}  // namespace lychgate::daemon
