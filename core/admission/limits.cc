// Compares the three counts with their limits.

#include "core/admission/limits.h"

#include "core/base/slots.h"

namespace lychgate::admission {

uint16_t limit_evidence(const LimitCounts& counts, const config::Limits& limits) {
  unsigned evidence = 0;
  if (limits.per_address != 0 && counts.per_address > limits.per_address) evidence |= kAddressFull;
  if (limits.per_shard != 0 && counts.shard > limits.per_shard) evidence |= kShardFull;
  if (limits.held != 0 && counts.host > limits.held) evidence |= kHostFull;
  return static_cast<uint16_t>(evidence);
}

}  // namespace lychgate::admission
