// Listening sockets: one SO_REUSEPORT group for each configured address, a member for each shard,
// with a classic-BPF selector on the client's address, and with greet.hold = "kernel" told to keep
// silent clients to itself. Made by the supervisor; those of an address stay the same over reloads.

#pragma once

#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::daemon {

// The sockets of one configured address, one for each shard.
struct ListenerGroup {
  Endpoint configured;  // port 0: any
  Endpoint address;
  std::vector<int> members;  // of each shard; may be the same for all
  bool fresh = false;        // made by the last call of open_listeners
};

struct Listeners {
  std::vector<ListenerGroup> groups;  // in the order of Config::listens
  std::vector<std::string> warnings;

  // [s][l]: descriptor of listener l for shard s.
  std::vector<std::vector<int>> by_shard(uint32_t shards) const;
};

// Opens every address of config.listens that `before` does not have, and writes the ports that the
// kernel picked back into it. inherited: descriptors handed down by LISTEN_FDS, used in order
// instead of binding; empty: none. On error nothing stays open that was not.
Result<Listeners> open_listeners(config::Config& config, const std::vector<int>& inherited,
                                 const Listeners& before);
// What can be changed while clients come: backlog, and whether the kernel holds.
void tune_listeners(const Listeners& listeners, const config::Config& config);
// Closes those of `old` that `kept` does not have. end: for all processes that have them; clients
// that wait in their queues are reset.
void close_listeners(const Listeners& old, const Listeners& kept, bool end);
// The same of those that are fresh.
void close_fresh(const Listeners& listeners);

// Bare ACKs that listeners with TCP_DEFER_ACCEPT have dropped since the host's network began: one
// for each client that the kernel took into its waiting room. 0: cannot be read.
uint64_t deferred_acks();

// Descriptors of the systemd protocol (LISTEN_PID must be ours); empty when there are none.
// Removes the variables, so that no child takes them for its own.
std::vector<int> inherited_listeners();

}  // namespace lychgate::daemon
