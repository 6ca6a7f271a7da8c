// What a gate hands to the program that takes over from it at an upgrade: its children and the
// descriptors it has open, as text. The process stays, so children stay children and descriptors
// stay open. Values and their text only.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/daemon/listeners.h"
#include "core/daemon/steward_line.h"
#include "core/daemon/syn_feed.h"

namespace lychgate::daemon {

// Of this text and of every message between the processes of a gate. Programs of another version
// cannot take over: the gate is then to be restarted.
inline constexpr int64_t kPeersVersion = 1;

// The environment variable with the number of the descriptor that the text is read from.
inline constexpr char kStateVariable[] = "LYCHGATE_STATE_FD";

// The text is shorter; behind as many bytes the next program says that it has understood it.
inline constexpr size_t kStateMax = size_t{1} << 20;

struct ChildState {
  pid_t pid = -1;
  int control_fd = -1;
};

struct GateState {
  uint32_t generation = 1;
  uint32_t set = 0;
  uint32_t shards = 0;
  bool steward_asks = false;  // its caller waits to hear how the upgrade ended
  Tick drain = 0;             // ms, of the shards that go on until they are told to retire
  Tick waits = 0;
  int hold = 0;  // config::Hold
  std::string user;
  uint32_t start_uid = 0;
  std::string control_path;
  int log_target = 0;  // config::LogTarget
  int log_fd = 2;
  std::string log_ident;
  int steward_fd = -1;
  int notify_fd = -1;
  int counters_fd = -1;
  uint64_t deferred_before = 0;
  std::string cells;  // CellBook
  std::vector<ListenerGroup> listeners;
  std::vector<StewardLine> lines;
  std::vector<SynFeedDoor> feeds;
  std::vector<ChildState> shard_children;
  ChildState steward;

  std::string text() const;
  // Errors: kSoftware, with what is wrong, or kUnavailable for one of another version.
  static Result<GateState> parse(std::string_view text);
  // All that must stay open over exec.
  std::vector<int> descriptors() const;
};

}  // namespace lychgate::daemon
