// Whether a DNS list can be trusted: a pure state machine fed with the outcomes of probes. It asks
// nothing and reads no clock; one shard drives it and publishes what it says to the others.

#pragma once

#include <cstdint>

#include "core/base/lists_shared.h"
#include "core/base/time.h"

namespace lychgate::dns {

// What the test points of a list answered, all of them, in one round.
enum class ProbeOutcome : uint8_t {
  kGood,            // every point as it should be
  kListedMissing,   // a point that must be listed is not
  kUnlistedListed,  // a point that must not be listed is: wildcard, or shut down
  kErrorCode,       // an answer that the catalogue or 127.255.255.0/24 calls an error
  kOverQuota,       // an answer that says we ask too much
  kRefused,         // SERVFAIL or REFUSED from every server
  kTimedOut,        // no answer within the deadline
};

// Sums up the test points of one round: what proves more against the list wins. From nothing to
// most: kGood, kTimedOut (proves nothing), kRefused (may be our own DNS), kListedMissing (harmless
// by itself), kErrorCode, kOverQuota (says what to do about it), kUnlistedListed (would lose mail).
ProbeOutcome worse_of(ProbeOutcome a, ProbeOutcome b);
// The words for it are kListFaultWords; kNone for kGood.
ListFault fault_of(ProbeOutcome outcome);

struct HealthOptions {
  milliseconds interval{60000};  // dnsl.probe_interval
};

// When a silent list is disabled, and how rarely a disabled one is asked.
// UDP loses packets and resolvers fail for a moment: one silent or refused probe proves nothing.
inline constexpr int kSilentProbesMax = 2;
inline constexpr int kBackoffMax = 8;  // times the interval

class ListHealth {
 public:
  ListHealth() = default;
  ListHealth(const HealthOptions& options, Tick now, uint32_t jitter);

  ListState state() const { return state_; }
  ListFault fault() const { return fault_; }
  Tick next_probe() const { return next_probe_; }
  bool probing() const { return probing_; }

  void probe_begun() { probing_ = true; }
  // jitter: any number; spreads the next probe by up to a tenth of the interval.
  // True when the state has changed: one log line is due.
  bool probe_ended(ProbeOutcome outcome, Tick now, uint32_t jitter);
  // The probe could not be asked, for want of our own: again after a second, nothing is concluded.
  void probe_dropped(Tick now);
  // Lookups of clients see errors or silence: probe now, but no sooner than a second after the
  // last one ended.
  void suspect(Tick now);

 private:
  HealthOptions options_;
  ListState state_ = ListState::kUnproven;
  ListFault fault_ = ListFault::kNone;
  int silent_ = 0;
  int backoff_ = 1;
  bool probing_ = false;
  Tick next_probe_ = 0;
  Tick last_ended_ = 0;
};

}  // namespace lychgate::dns
