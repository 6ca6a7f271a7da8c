// The words for states and faults, and what a row of latency cells says.

#include "core/base/lists_shared.h"

#include <cmath>
#include <numeric>

#include "core/base/check.h"

namespace lychgate {

const char* const kListStateNames[kListStateCount] = {"unproven", "up", "disabled"};

const char* const kListFaultWords[kListFaultCount] = {
    "none",
    "does not list its test point",
    "lists an address that no list may list: shut down, or a resolver that answers everything",
    "answers with an error code: the resolver is not welcome there, or the zone name is wrong",
    "answers that too much is asked",
    "cannot be looked up: SERVFAIL or REFUSED from every server",
    "does not answer",
    "has had its queries of the day",
};

uint32_t percentile_ms(std::span<const uint64_t> cells, double share) {
  LYCH_CHECK(share > 0 && share <= 1 && cells.size() <= kLatencyCells);
  const uint64_t total = std::accumulate(cells.begin(), cells.end(), uint64_t{0});
  if (total == 0) return 0;
  const double wanted = std::ceil(static_cast<double>(total) * share);
  uint64_t seen = 0;
  size_t cell = 0;
  while (cell + 1 < cells.size()) {
    seen += cells[cell];
    if (static_cast<double>(seen) >= wanted) break;
    ++cell;
  }
  return uint32_t{1} << cell;
}

}  // namespace lychgate
