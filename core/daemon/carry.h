// Carrying held clients from a shard to the shard that takes over from it at a reload or upgrade:
// what the two say to each other. Slots are of fixed size, descriptors go along over SCM_RIGHTS.
// Knows neither rings nor sockets: core/daemon/carry_out.h sends, core/daemon/carry_in.h takes.

#pragma once

#include <array>
#include <cstdint>

#include "core/base/limits.h"

namespace lychgate::daemon {

// The listener of a client that cannot be carried: the next configuration does not have it.
inline constexpr uint8_t kNoListener = 0xff;
static_assert(kListenersMax < kNoListener);

// What a shard is told when it is to retire.
struct CarryOrder {
  int fd = -1;              // to the shard that takes over; -1: everybody stays to the end
  bool same_lists = false;  // what DNS lists have answered is of use there
  // The next configuration's number of each listener.
  std::array<uint8_t, kListenersMax> listeners{};
};

// How it went, told once, when nobody is left to be carried.
struct CarryResult {
  uint32_t carried = 0;
  uint32_t stayed = 0;  // clients that this shard finishes itself
  uint32_t lasted_ms = 0;
};

}  // namespace lychgate::daemon
