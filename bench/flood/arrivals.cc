// The n-th arrival is due where the integral of the rate has reached n; the rate is made of
// straight lines, so each step solves one quadratic.

#include "bench/flood/arrivals.h"

#include <algorithm>
#include <cmath>

namespace lychgate::flood {
namespace {

constexpr nanoseconds kNever = nanoseconds::max();

double seconds(nanoseconds span) {
  return std::chrono::duration<double>(span).count();
}

}  // namespace

ArrivalClock::ArrivalClock(const Schedule& schedule)
    : schedule_(schedule), now_(stretch_at(nanoseconds(0))) {
  advance();
}

ArrivalClock::Stretch ArrivalClock::stretch_at(nanoseconds at) const {
  const nanoseconds ramp = schedule_.ramp_over;
  const nanoseconds every = schedule_.storm_every;
  Stretch out{at, kNever, schedule_.rate, 0};
  if (at < ramp) {
    out.end = ramp;
    out.slope = (schedule_.rate - schedule_.ramp_from) / seconds(ramp);
    out.rate = schedule_.ramp_from + out.slope * seconds(at);
  }
  if (every.count() <= 0 || schedule_.storm_for.count() <= 0) return out;
  // The first storm comes after one whole period.
  const nanoseconds last = at / every * every;
  const nanoseconds over = last + std::min<nanoseconds>(schedule_.storm_for, every);
  if (last.count() > 0 && at < over) return {at, over, schedule_.storm_rate, 0};
  out.end = std::min(out.end, last + every);
  return out;
}

void ArrivalClock::advance() {
  double want = done_ + 1;
  while (now_.begin < kDurationMax) {
    const bool endless = now_.end == kNever;
    const double length = endless ? 0 : seconds(now_.end - now_.begin);
    const double room = length * (now_.rate + now_.slope * length / 2);
    if (endless ? now_.rate > 0 : want <= room) {
      // The root of rate*t + slope*t*t/2 = want in the form that needs no division by the slope.
      const double root = std::sqrt(std::max(0.0, now_.rate * now_.rate + 2 * now_.slope * want));
      const double after = 2 * want / (now_.rate + root);
      done_ = want;
      due_ = now_.begin + nanoseconds(static_cast<int64_t>(after * 1e9));
      return;
    }
    if (endless) break;
    want -= room;
    now_ = stretch_at(now_.end);
  }
  due_ = std::nullopt;
}

}  // namespace lychgate::flood
