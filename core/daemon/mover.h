// Brings approved clients from the tables that hold into the main table, the only one in which a
// hand-off works. Where the descriptor limit allows one table there is nothing to move. Clients
// wait for room in order, at most kMovesWaitingMax of them and each at most kMoveWaitMs; it decides
// about none of them.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ring/connections.h"

namespace lychgate::daemon {

class Mover {
 public:
  // kept: slots of the main table that clients on the move leave to sockets to backends.
  Mover(ring::Connections& connections, uint32_t kept);

  bool needs_moving(uint32_t slot) const { return connections_.table_of(slot) != 0; }
  // The client enters phase kMoving and waits for room; its timer says when it has waited too long.
  // False, and nothing has changed, when too many wait.
  // REQUIRES: nothing in flight, no timer, needs_moving.
  bool begin(uint32_t slot, Tick now);
  // Once a turn: moves those for whom there is room.
  void advance();
  // A completion of Op::kMove. The client's new slot, in phase kHandoff; nullopt: the kernel
  // refused.
  std::optional<uint32_t> moved(const ring::Completion& completion);

 private:
  ring::Connections& connections_;
  uint32_t kept_;
  std::vector<ConnId> waiting_;  // a ring of kMovesWaitingMax; empty when there is one table
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

}  // namespace lychgate::daemon
