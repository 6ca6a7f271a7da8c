// A replay: what a client has said to the gate is said again to a backend, reply by reply.

#include "handoff/transfers.h"

namespace lychgate::handoff {

void Transfers::begin_replay(uint32_t client, uint32_t pool, const Said& said, Tick /*now*/) {
  count(pool, HandoffOutcome::kGaveUp);
  outcomes_.push_back({connections_.slots.id(client), TransferNews::kGaveUp, said.cookie});
}

}  // namespace lychgate::handoff
