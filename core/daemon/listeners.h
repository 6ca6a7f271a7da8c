// Listening sockets: one SO_REUSEPORT group for each configured address, a member for each shard,
// with a classic-BPF selector on the client's address, and with greet.hold = "kernel" told to keep
// silent clients to itself. Made once by the supervisor, kept for life.

#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::daemon {

struct Listeners {
  // by_shard[s][l]: descriptor of listener l for shard s.
  std::vector<std::vector<int>> by_shard;
  std::vector<std::string> warnings;
};

// Binds every address of config.listens and writes the ports that the kernel picked back into it.
// inherited: descriptors handed down by LISTEN_FDS, used in order instead of binding; empty: none.
Result<Listeners> open_listeners(config::Config& config, const std::vector<int>& inherited);

// Bare ACKs that listeners with TCP_DEFER_ACCEPT have dropped since the host's network began: one
// for each client that the kernel took into its waiting room. 0: cannot be read.
uint64_t deferred_acks();

// Descriptors of the systemd protocol (LISTEN_PID must be ours); empty when there are none.
// Removes the variables, so that no child takes them for its own.
std::vector<int> inherited_listeners();

}  // namespace lychgate::daemon
