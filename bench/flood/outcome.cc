// Rates over the time in which clients started, and what the whole means for the exit code.

#include "bench/flood/outcome.h"

#include <algorithm>

#include "bench/flood/arrivals.h"

namespace lychgate::flood {
namespace {

// As a shell says that a signal ended a program.
constexpr int kSignalBase = 128;
constexpr int kFailed = 1;

}  // namespace

double Outcome::rate_achieved() const {
  return arriving_s > 0 ? static_cast<double>(tally->sum().started) / arriving_s : 0;
}

std::optional<double> Outcome::rate_intended() const {
  if (plan.schedule.arrivals == Arrivals::kClosed) return std::nullopt;
  const double window = std::min(elapsed_s, std::chrono::duration<double>(plan.duration).count());
  ArrivalClock clock(plan.schedule);
  uint64_t due = 0;
  double last = 0;
  for (; due < plan.count && clock.due(); clock.advance(), ++due) {
    const double at = std::chrono::duration<double>(*clock.due()).count();
    if (at > window) return window > 0 ? static_cast<double>(due) / window : 0;
    last = at;
  }
  return last > 0 ? static_cast<double>(due) / last : 0;
}

int Outcome::exit_code() const {
  if (signal != 0) return kSignalBase + signal;
  const Counts& legit = tally->profiles[static_cast<size_t>(Profile::kLegit)];
  uint64_t failed = 0;
  for (size_t i = 0; i < kEndingCount; ++i) {
    if (static_cast<Ending>(i) != Ending::kDone) failed += legit.endings[i];
  }
  return failed > 0 || tally->sum().connected == 0 ? kFailed : 0;
}

std::vector<std::string> source_texts(const Plan& plan) {
  std::vector<std::string> out;
  for (const Network& source : plan.sources) out.push_back(source.text());
  return out;
}

std::vector<Profile> profiles_of(const Plan& plan) {
  std::vector<Profile> out;
  for (const Manners& manners : plan.mix) out.push_back(manners.profile);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace lychgate::flood
