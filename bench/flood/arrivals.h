// When clients arrive in open loop: constant rate, ramp and storms as one function of time. Pure:
// it is told no clock and only says when the next arrival is due.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "bench/flood/plan.h"

namespace lychgate::flood {

using nanoseconds = std::chrono::nanoseconds;

class ArrivalClock {
 public:
  explicit ArrivalClock(const Schedule& schedule);

  // Time from the begin of the run at which the next client arrives; nullopt: none will.
  std::optional<nanoseconds> due() const { return due_; }
  // The client that was due has been seen to.
  void advance();

 private:
  // A stretch of time in which the rate is a straight line.
  struct Stretch {
    nanoseconds begin;
    nanoseconds end;
    double rate;   // at its begin, arrivals a second
    double slope;  // arrivals a second, each second
  };
  Stretch stretch_at(nanoseconds at) const;

  Schedule schedule_;
  Stretch now_;
  // Arrivals of this stretch that were handed out; below 0 when part of one is left over from
  // the stretch before. Counted from the stretch's begin, so that no error adds up.
  double done_ = 0;
  std::optional<nanoseconds> due_;
};

}  // namespace lychgate::flood
