// What the gate may do: as root it opens sockets, files and eBPF programs, then it becomes `user`;
// the processes that clients talk to keep no capability. Knows nothing of what they do.

#pragma once

#include <string>

#include "core/base/result.h"

namespace lychgate::daemon {

// Gives root up for good; nothing happens when the name is empty or ours already. Errors: kConfig
// for an unknown user, kNoPermission when we are neither root nor that user.
Result<void> become(const std::string& user);

// Gives up every capability that came without root (AmbientCapabilities= of systemd), so that who
// breaks into a shard can neither bind low ports nor load eBPF. Root keeps all: a gate without
// `user` was told to be root, and reaches Postfix's private sockets only so.
void drop_capabilities();

}  // namespace lychgate::daemon
