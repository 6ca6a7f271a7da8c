// Which cells of the shared counters belong to which pool, backend and list. Two generations of
// shards with different configurations count in the same cells what has the same name; who gives
// out the cells is core/daemon/cell_book.h.

#pragma once

#include <array>
#include <cstdint>
#include <numeric>

#include "core/base/limits.h"

namespace lychgate {

// By index in the configuration; one for one until somebody else has a cell.
struct Cells {
  std::array<uint8_t, kPoolsMax> pools;
  // By pool and backend, within the pool's cell.
  std::array<std::array<uint8_t, kBackendsPerPoolMax>, kPoolsMax> backends;
  std::array<uint8_t, kListsMax> lists;

  Cells() {
    std::iota(pools.begin(), pools.end(), uint8_t{0});
    for (auto& pool : backends) std::iota(pool.begin(), pool.end(), uint8_t{0});
    std::iota(lists.begin(), lists.end(), uint8_t{0});
  }

  bool operator==(const Cells&) const = default;
};

}  // namespace lychgate
