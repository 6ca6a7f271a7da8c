// Time as passed around: an Instant of the monotonic clock, durations as chrono types, and the
// 32-bit millisecond tick kept in a slot. Nothing here reads the clock except monotonic_now(),
// which the daemon's loop calls once per turn.

#pragma once

#include <chrono>
#include <cstdint>

namespace lychgate {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;

// Milliseconds of the monotonic clock, modulo 2^32 (49 days). Compare only by tick_reached.
using Tick = uint32_t;

// One grain of every timer: expiries are rounded up to it, so a busy gate wakes 100 times a second.
inline constexpr Tick kTimerGrainMs = 10;

inline Tick to_tick(Instant now) {
  return static_cast<Tick>(
      std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count());
}

inline Tick to_ticks(milliseconds span) {
  return static_cast<Tick>(span.count());
}

// True when a is at or after b; both within 24 days of each other.
inline bool tick_reached(Tick a, Tick b) {
  return static_cast<int32_t>(a - b) >= 0;
}

inline Instant monotonic_now() {
  return Clock::now();
}

}  // namespace lychgate
