// Everybody outside the gate in one run: clients that arrive over time, backends and services,
// those who forge SYNs, and the operator who may stop the gate in the middle. Knows of the gate
// only its kernel.

#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/memory.h"
#include "tests/sim/scenario.h"
#include "tests/sim/server.h"
#include "tests/sim/syn_tap.h"

namespace lychgate::sim {

class World {
 public:
  World(Stage& stage, const Scenario& scenario);

  const std::vector<int>& listeners() const { return listeners_; }
  // nullptr: none.
  SynTap* syn_tap() { return syn_tap_ ? &*syn_tap_ : nullptr; }
  // nullptr: nobody is remembered.
  Memory* memory() { return memory_ ? &*memory_ : nullptr; }
  int control() const { return control_; }
  int log_sink() const { return log_; }
  // dns.sockets of each server in turn.
  const std::vector<int>& dns_sockets() const { return dns_sockets_; }
  ListBook& lists() { return book_; }
  // From now on the DNS servers answer, so that no question is kept under way by the next.
  void mend_dns();

  // All have come, and who found room in a queue was accepted and let go.
  bool over() const;
  // Of a run that was over: each ending is what its makers should see.
  void judge();
  const std::vector<std::unique_ptr<Client>>& clients() const { return cast_.clients; }

 private:
  void open_dns();
  void invite(uint32_t index);
  void come(uint32_t index);
  void forge(Time until);
  ClientScript draw_script(uint32_t index);
  void draw_manners(ClientScript& script);
  void draw_header(ClientScript& script);
  std::string header_of(const ClientScript& script);

  Stage& stage_;
  const Scenario& scenario_;
  ListBook book_;
  Cast cast_;
  Crowd crowd_;
  smtp::ReplyBook replies_;
  std::vector<std::unique_ptr<DnsServer>> dns_;
  std::vector<int> dns_sockets_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<int> listeners_;
  std::optional<SynTap> syn_tap_;
  std::optional<Memory> memory_;
  int control_;
  int log_;
  uint32_t still_to_come_ = 0;
};

}  // namespace lychgate::sim
