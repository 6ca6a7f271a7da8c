// DNS lookups of a command on the command line: a ring, sockets and Lookups of its own, and the
// loop that turns them. Shares nothing with a running gate; reads the clock.

#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "core/daemon/lookups.h"
#include "ring/connections.h"
#include "ring/timers.h"
#include "ring/uring_reactor.h"

namespace lychgate::daemon {

class Online {
 public:
  // config and plan must live longer.
  static Result<std::unique_ptr<Online>> create(const config::Config& config,
                                                const ListsPlan& plan);

  // Asks the lists about an address as for a client; once.
  void ask(const IpAddress& address);
  // The client of ask().
  uint32_t client() const { return kSlotsMin; }
  // The lists' sum has become final, and the reason is there if one is wanted.
  bool decided() const { return decided_; }
  // Turns until `done` says so or the time is over.
  void run(milliseconds most, const std::function<bool()>& done);

  const Lookups& lookups() const { return *lookups_; }
  const SharedLists& shared() const { return counters_.lists(); }
  const ShardCounters& counters() const { return counters_.shards()[0]; }
  Tick now() const { return now_; }

 private:
  Online(std::unique_ptr<ring::UringReactor> reactor, SlotTable slots, SharedCounters counters);
  void dispatch(const ring::Completion& completion);

  std::unique_ptr<ring::UringReactor> reactor_;
  SlotTable slots_;  // one more than the kernel's: the client has no descriptor
  SharedCounters counters_;
  ring::Timers timers_;
  ring::Connections connections_;
  std::vector<int> sockets_;  // closed with the process
  std::unique_ptr<Lookups> lookups_;
  Tick now_;
  bool decided_ = false;
};

}  // namespace lychgate::daemon
