// The shard's end of the line to the steward, as far as orders go: takes one a turn and reports.

#pragma once

#include "core/base/time.h"
#include "core/daemon/shard.h"

namespace lychgate::daemon {

// Reads one message, if there is one, obeys and answers. Neither waits: an answer that finds the
// line full is lost, and the steward says that this shard did not answer.
void take_order(int steward_fd, Shard& shard, Tick now);

}  // namespace lychgate::daemon
