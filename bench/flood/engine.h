// The flood itself: clients over io_uring, in as many rings of direct descriptors as they need, so
// that the descriptor limit of one process does not bound them. One thread; sockets only to the
// plan's targets. Writes the tally, prints nothing.

#pragma once

#include <memory>

#include "bench/flood/plan.h"
#include "bench/flood/tally.h"
#include "core/base/result.h"

namespace lychgate::flood {

class Engine {
 public:
  // Makes rings for plan.parallel clients. Errors name the limit that was met and what would do.
  static Result<std::unique_ptr<Engine>> create(const Plan& plan, Tally& tally);
  ~Engine();

  // Works until `until` (steady clock) at the latest; returns false once the run has ended: all
  // clients have started and ended, or duration + grace are over.
  bool run_until(std::chrono::steady_clock::time_point until);
  // No new clients; whoever is open is reset. run_until then ends soon (Ctrl-C).
  void stop();

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lychgate::flood
