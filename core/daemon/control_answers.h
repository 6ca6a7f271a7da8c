// Answers to requests on the control socket that need no shard: from the shared counters, the
// boards of the lists and the client store. Everything that is changed is changed here, but for
// sessions.

#pragma once

#include <span>
#include <string>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/config/lists.h"
#include "core/daemon/client_book.h"
#include "core/daemon/control_request.h"
#include "core/daemon/generation.h"

namespace lychgate::daemon {

struct ControlParts {
  const config::Config& config;
  std::span<ShardCounters> counters;  // all blocks
  std::span<const config::List> lists;
  const SharedBoards& boards;
  uint64_t deferred_acks = 0;  // since the gate started
  ClientBook& book;
  Seconds now = 0;
  StewardGeneration generation = {};
};

// REQUIRES: not kSessions, kReload, kUpgrade or kStop.
std::string answer_request(const ControlRequest& request, const ControlParts& parts);

}  // namespace lychgate::daemon
