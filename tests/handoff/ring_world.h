// A gate's hand-off part over a real ring: slots, timers and a client on loopback, and a clock that
// the test moves.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "handoff/health.h"
#include "handoff/transfers.h"
#include "tests/handoff/scripted_backend.h"

namespace lychgate::handoff {

class RingWorld {
 public:
  RingWorld();
  ~RingWorld();
  RingWorld(const RingWorld&) = delete;
  RingWorld& operator=(const RingWorld&) = delete;

  // In the order of the calls, all in one pool; the returned one lives as long as the world.
  ScriptedBackend& add(ScriptedBackend::Kind kind, Script script);
  // A client in its slot, in phase kHandoff.
  ring::Fd connect(uint32_t& slot);
  // Turns once, lets backends speak and completions, timers and starved relays be seen.
  void turn();
  // Until it is so, or nothing more can be expected; then what would otherwise be waited for is
  // over at once: the clock goes on by a minute.
  template <typename Done>
  bool until(Done done) {
    for (int i = 0; i < kTurnsMax; ++i) {
      if (done()) return true;
      turn();
      if (i % kTurnsToSilence == kTurnsToSilence - 1) now += kLeap;
    }
    return false;
  }
  Transfers& transfers();
  HealthChecks& checks();
  uint64_t count(Counter counter) { return counters.shards()[0].get(counter); }
  // Waits until all that was borrowed is back.
  bool nothing_is_left();

  static constexpr int kTurnsMax = 3000;
  static constexpr int kTurnsToSilence = 400;
  static constexpr Tick kLeap = 60000;

  ring::Driver driver;
  SlotTable slots;
  SharedCounters counters;
  ring::Timers timers;
  ring::Connections connections;
  config::Config config;
  Tick now = 1000;
  std::vector<std::string> warnings;

 private:
  ring::Listener listener_;
  std::vector<std::unique_ptr<ScriptedBackend>> backends_;
  std::optional<Pools> pools_;
  std::optional<Transfers> transfers_;
  std::optional<HealthChecks> checks_;
};

}  // namespace lychgate::handoff
