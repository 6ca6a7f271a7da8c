// The world of one run: a configuration of the gate, an access list, a kernel with faults and the
// manners of clients and servers, all drawn from the run's seed. Plain data.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/admission/access_list.h"
#include "core/config/config.h"
#include "core/daemon/lists_plan.h"
#include "tests/sim/dns_server.h"
#include "tests/sim/list_book.h"
#include "tests/sim/random.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

// The SYN feed of a run in which the kernel holds.
struct SynModel {
  uint32_t ring_bytes = 0;  // 0: there is none
  // SYNs of nobody, so many in each millisecond for so long.
  uint32_t forged = 0;
  Time forged_from = 0;
  Time forged_for = 0;
  bool of_clients = false;  // some have addresses of clients
};

// Held clients that are carried, and the retirement of the shard.
struct CarryModel {
  std::vector<Time> loops;        // when the shard carries its clients to itself
  std::optional<Time> retires;    // and when it retires
  bool others_take_over = false;  // then; else everybody stays
  bool same_lists = false;
  std::array<uint8_t, kListenersMax> listeners{};
};

struct Scenario {
  config::Config config;
  admission::AccessList access;
  KernelOptions kernel;
  uint32_t bulk_relays_max = 0;
  Tick first_tick = 0;  // the gate's clock when the run begins
  uint32_t sessions = 0;
  Time arrivals_last = 0;
  uint32_t addresses = 0;
  std::optional<Time> stop_at;
  // For how long the kernel's waiting room keeps the silent; 0: the gate holds.
  Time kernel_wait = 0;
  SynModel syn;
  CarryModel carry;
  uint64_t rude_percent = 0;  // clients with bad manners
  uint64_t bulk_percent = 0;  // sessions with a long stream
  uint64_t sick_percent = 0;  // connections to a backend that go wrong
  uint32_t held_elsewhere = 0;
  uint32_t open_elsewhere = 0;  // connections of other shards to each backend
  // DNS lists; without any nothing is asked.
  std::vector<ListModel> lists;
  daemon::ListsPlan plan;
  std::vector<DnsManners> dns;  // one a server
  size_t dns_queue = 0;         // datagrams that one of the gate's sockets holds
  // Every question is answered within a fraction of the wait, so that verdicts are exact.
  bool answers_all = false;
  // Clients are remembered; the steward, who writes it down, may be dead for a while.
  bool remembers = false;
  std::optional<Time> steward_dies;
  Time steward_dead_for = 0;
  // When the operator asks for sessions, or has some ended.
  std::vector<Time> orders;
  // Buffers and pipes suffice for all relays at once, so none may starve.
  bool plenty = false;
  // Clients talk to the gate, backends announce something and are checked, levels change; else all
  // is as it was before there was a dialogue.
  bool talks = false;
  uint32_t loads = 0;  // times that the host's memory runs full, or is free again
};

Scenario draw_scenario(Random& random, uint32_t sessions);

// The part of it that is about the kernel's waiting room. REQUIRES: the rest has been drawn.
void draw_hold(Random& random, Scenario& scenario);
// The part of it that is about what is remembered. REQUIRES: the rest has been drawn.
void draw_memory(Random& random, Scenario& scenario);
// The part of it that is about carrying. REQUIRES: the rest has been drawn.
void draw_carry(Random& random, Scenario& scenario);
// The part of it that is about the operator's orders. REQUIRES: the rest has been drawn.
void draw_orders(Random& random, Scenario& scenario);
// The part of it that is about DNS lists. REQUIRES: the rest has been drawn.
void draw_lists(Random& random, Scenario& scenario);

// The part of it that is about dialogues, and all that came with them. REQUIRES: the rest has been
// drawn.
void draw_talk(Random& random, Scenario& scenario);

// Address number n of the clients; some are allowlisted, some denylisted.
IpAddress client_address(uint32_t n);

}  // namespace lychgate::sim
