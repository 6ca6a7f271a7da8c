// The steward: the process that may block. Here it answers status requests on a unix socket; it
// never touches a client connection, and the gate goes on when it dies.

#pragma once

#include <span>
#include <string>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/lists.h"

namespace lychgate::daemon {

// Binds the control socket (mode 0660). A stale path is replaced, a live one is an error.
Result<int> open_control_socket(const std::string& path);

struct StewardSeat {
  const config::Config& config;
  std::span<const ShardCounters> counters;
  std::span<const config::List> lists;
  const SharedLists& shared_lists;
  uint64_t deferred_before = 0;  // deferred_acks() when the gate started
  int listen_fd = -1;
  int control_fd = -1;  // end of file: the supervisor is gone or wants us to end
};
// One request a connection: a line "status" or "lists", with " json" behind it or not, answered and
// closed.
[[noreturn]] void run_steward(const StewardSeat& seat);

// The other side: sends a request and returns the whole answer.
Result<std::string> ask_steward(const std::string& path, std::string_view request);

}  // namespace lychgate::daemon
