// The outcomes of probes, one after the other, turned into a state and the time of the next probe.

#include "dns/health.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::dns {
namespace {

// First probes of many lists do not leave in one burst; yet clients wait for what they bring.
constexpr Tick kFirstSpreadMs = 200;
// Between the end of a probe and the next that a suspicion may bring.
constexpr Tick kSuspectGapMs = 1000;
// Silence and REFUSED are seldom the list's: when our own DNS was away, all lists are to be back
// soon after it.
constexpr int kBackoffMaxOurs = 2;

// How much an outcome proves; see worse_of.
int rank(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kGood:
      return 0;
    case ProbeOutcome::kTimedOut:
      return 1;
    case ProbeOutcome::kRefused:
      return 2;
    case ProbeOutcome::kListedMissing:
      return 3;
    case ProbeOutcome::kErrorCode:
      return 4;
    case ProbeOutcome::kOverQuota:
      return 5;
    case ProbeOutcome::kUnlistedListed:
      return 6;
  }
  return 0;
}

bool may_be_ours(ProbeOutcome outcome) {
  return outcome == ProbeOutcome::kTimedOut || outcome == ProbeOutcome::kRefused;
}

Tick spread(milliseconds interval, uint32_t jitter) {
  return jitter % (to_ticks(interval) / 10 + 1);
}

}  // namespace

ProbeOutcome worse_of(ProbeOutcome a, ProbeOutcome b) {
  return rank(a) >= rank(b) ? a : b;
}

ListFault fault_of(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kGood:
      return ListFault::kNone;
    case ProbeOutcome::kListedMissing:
      return ListFault::kListedMissing;
    case ProbeOutcome::kUnlistedListed:
      return ListFault::kAnswersEverything;
    case ProbeOutcome::kErrorCode:
      return ListFault::kErrorCodes;
    case ProbeOutcome::kOverQuota:
      return ListFault::kOverQuota;
    case ProbeOutcome::kRefused:
      return ListFault::kRefused;
    case ProbeOutcome::kTimedOut:
      return ListFault::kTimedOut;
  }
  return ListFault::kNone;
}

ListHealth::ListHealth(const HealthOptions& options, Tick now, uint32_t jitter)
    : options_(options),
      next_probe_(now + jitter % kFirstSpreadMs),
      last_ended_(now - kSuspectGapMs) {
  // Ticks are compared over 24 days; the longest pause, its jitter included, must stay inside.
  LYCH_CHECK(options.interval.count() > 0);
  LYCH_CHECK(options.interval.count() <= INT32_MAX / (kBackoffMax + 1));
}

bool ListHealth::probe_ended(ProbeOutcome outcome, Tick now, uint32_t jitter) {
  const ListState before = state_;
  probing_ = false;
  last_ended_ = now;
  silent_ = may_be_ours(outcome) ? std::min(silent_ + 1, kSilentProbesMax) : 0;
  if (silent_ > 0 && silent_ < kSilentProbesMax) {
    // SERVFAIL comes at once and would come again; silence has taken its time already.
    next_probe_ = outcome == ProbeOutcome::kRefused ? now + kSuspectGapMs : now;
    return false;
  }
  if (outcome == ProbeOutcome::kGood) {
    state_ = ListState::kUp;
    backoff_ = 1;
  } else {
    state_ = ListState::kDisabled;
    const int most = may_be_ours(outcome) ? kBackoffMaxOurs : kBackoffMax;
    backoff_ = before == ListState::kDisabled ? std::min(backoff_ * 2, most) : 1;
  }
  fault_ = fault_of(outcome);
  next_probe_ = now + to_ticks(options_.interval * backoff_) + spread(options_.interval, jitter);
  return state_ != before;
}

void ListHealth::probe_dropped(Tick now) {
  probing_ = false;
  last_ended_ = now;
  next_probe_ = now + kSuspectGapMs;
}

void ListHealth::suspect(Tick now) {
  if (probing_ || state_ == ListState::kDisabled) return;
  const Tick soonest = last_ended_ + kSuspectGapMs;
  const Tick wanted = tick_reached(now, soonest) ? now : soonest;
  if (tick_reached(next_probe_, wanted)) next_probe_ = wanted;
}

}  // namespace lychgate::dns
