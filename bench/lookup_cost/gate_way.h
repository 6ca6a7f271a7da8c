// Lookups as a shard of the gate makes them: clients with addresses never seen before ask five
// lists through daemon::Lookups, wait until their score is certain, and leave. As many clients at
// once as make up the window. Owns all that Lookups needs, made as a shard makes it.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "bench/lookup_cost/spent.h"
#include "core/base/counters.h"
#include "core/daemon/lookups.h"
#include "ring/uring_reactor.h"

namespace lychgate::lookup_cost {

inline constexpr std::array<std::string_view, 5> kZones = {
    "zen.lists.example", "bl.cop.example", "b.barracuda.example", "dnsbl.sorted.example",
    "psbl.surriel.example"};
// Each number has an address of its own, whose octets are of all lengths.
IpAddress client_address(uint32_t number);

class GateWay {
 public:
  struct Parts {
    Endpoint server;
    std::span<const int> sockets;
    uint32_t window = 0;
  };
  static Result<std::unique_ptr<GateWay>> create(const Parts& parts);
  // Ends once every client has left and every question is over.
  Spent run(uint32_t lookups);

  // While it is on, each client's standing is compared with what the responder's rule makes it.
  void check_verdicts(bool on) { checking_ = on; }
  uint64_t checked() const { return checked_; }
  uint64_t wrong() const { return wrong_; }

 private:
  explicit GateWay(const Parts& parts);
  Result<void> set_up(const Parts& parts);
  void begin(uint32_t slot, Tick now);
  void check(uint32_t slot);

  config::Config config_;
  daemon::ListsPlan plan_;
  std::unique_ptr<ring::Reactor> reactor_;
  std::unique_ptr<SlotTable> slots_;
  std::unique_ptr<SharedCounters> counters_;
  std::unique_ptr<ring::Timers> timers_;
  std::unique_ptr<ring::Connections> connections_;
  std::unique_ptr<daemon::Lookups> lookups_;
  uint32_t clients_;
  uint32_t next_ = 0;
  bool checking_ = false;
  uint64_t checked_ = 0;
  uint64_t wrong_ = 0;
};

}  // namespace lychgate::lookup_cost
