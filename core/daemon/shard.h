// One shard: accepts, holds, screens, routes and hands off over one reactor. It performs the
// actions of the session step and owns everything a client may borrow. The simulator runs the
// same class over a simulated reactor, so nothing here reads a clock or makes a system call.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/admission/access_list.h"
#include "core/admission/routes.h"
#include "core/daemon/acceptor.h"
#include "core/daemon/carry.h"
#include "core/daemon/carry_in.h"
#include "core/daemon/carry_out.h"
#include "core/daemon/log.h"
#include "core/daemon/lookups.h"
#include "core/daemon/mover.h"
#include "core/daemon/orders.h"
#include "core/daemon/outbox.h"
#include "core/daemon/session.h"
#include "core/daemon/syn_feed.h"
#include "core/daemon/visitor_book.h"
#include "core/daemon/written_replies.h"
#include "handoff/transfers.h"
#include "ring/connections.h"

namespace lychgate::daemon {

// What a shard is given; all of it outlives the shard.
struct ShardParts {
  const config::Config& config;         // effective: limits and shard count are filled in
  const admission::AccessList* access;  // nullptr: none
  std::span<ShardCounters> counters;    // of all shards of all generations
  uint32_t index = 0;                   // ours among them
  uint32_t shard = 0;                   // our number in our generation
  ring::Reactor& reactor;
  Log& log;
  std::vector<int> listeners;  // one descriptor for each Config::listens
  int control_fd = -1;         // readable when the supervisor speaks or dies; -1: none
  std::string teaser;          // complete line, empty: none
  uint32_t bulk_relays_max = 0;
  const ListsPlan* lists = nullptr;  // nullptr or without lists: nothing is asked
  SharedBoards* boards = nullptr;    // nullptr: no lists, no checks of backends, no overload
  std::span<const int> dns_sockets;  // dns.sockets of each server in turn
  SipKey dns_key{};
  SynFeed* syn_feed = nullptr;  // nullptr: none
  VisitorBook* book = nullptr;  // nullptr: everybody is a stranger
  int steward_fd = -1;          // the line that visits are told over; -1: nobody is told
  int carry_fd = -1;            // held clients of the generation before come over it; -1: none
};

class Shard {
 public:
  Shard(const ShardParts& parts, SlotTable& slots, Tick now);

  // Errors: kOsError when the memory for DNS lookups cannot be had.
  Result<void> start(Tick now);
  // How long the next turn may wait; nullopt: until something completes.
  std::optional<milliseconds> wait(Tick now) const;
  // Everything that one turn brought, then what is due at now.
  void handle(std::span<const ring::Completion> completions, Tick now);

  // From now on clients are accepted, and their SYNs read once the shard before has let go.
  void open_doors();
  // For who comes from now on; as long as the shard lives, or until the next one is set.
  void set_access(const admission::AccessList* access);
  // Stops accepting and sends away who has not been handed off, and who is still being carried
  // here; hand-offs and relays go on.
  void stop(Tick now);
  // Stops accepting for good; who waits in silence is carried to the next generation, everybody
  // else, and who cannot be carried, goes the whole way here, for `drain` and the longest wait.
  void retire(const CarryOrder& order, Tick now);
  // Once, when nobody is left to be carried.
  std::optional<CarryResult> take_carry_result();
  // A part of retire(): gives away who waits in silence, once; accepting goes on. The simulator
  // has a shard carry its clients to itself. No effect while that is under way already.
  void carry(const CarryOrder& order, CarryWalk walk, Tick now);
  bool stopping() const { return stopping_; }
  bool retired() const { return retired_; }
  // Stopped or retired, and nobody is left or its time is over.
  bool finished(Tick now) const;
  // The supervisor has spoken since the last call.
  bool take_control_event();
  // The steward has said something since the last call; nobody polls for it until it was read.
  bool take_steward_event();
  // What the steward asks: core/daemon/shard_orders.cc.
  Report obey(const Order& order, Tick now);

  uint32_t clients() const;
  const ring::Connections& connections() const { return connections_; }
  // nullptr: no DNS lists, or not started.
  const Lookups* lookups() const { return lookups_.get(); }

 private:
  void dispatch(const ring::Completion& completion, Tick now);
  void accept(const ring::Completion& completion, Tick now);
  void looked(uint32_t slot, const ring::Completion& completion, Tick now);
  Result<void> make_lookups(Tick now);
  void look_up(Tick now);
  bool reads_syns() const;
  void stop_asking(uint32_t slot);
  void reply(uint32_t slot, smtp::ReplyId id);
  void replied(uint32_t slot, Tick now);
  void run(uint32_t slot, const Event& event, Tick now);
  void perform(uint32_t slot, const Action& action, const Event& event, Tick now);
  void hand_off(uint32_t slot, Tick now);
  void move(uint32_t slot, uint32_t route, Tick now);
  void moved(uint32_t slot, const ring::Completion& completion, Tick now);
  void not_moved(uint32_t slot, Tick now);
  void fire_timers(Tick now);
  void send_away(uint32_t slot, Tick now);
  bool is_transfer(uint32_t slot) const;
  bool kill(uint32_t slot, Tick now);
  // core/daemon/shard_memory.cc
  Seconds wall() const;
  struct Past;
  std::optional<Past> past_of(const IpAddress& address);
  void look_back(Slot& slot);
  admission::RouteFacts route_facts(const Slot& slot);
  void remember(uint32_t slot);
  bool needs_lists(const IpAddress& address);
  void note(uint32_t slot, const Action& action, const Event& event, Tick now);
  void note_lists(uint32_t slot, LogEvent& first);
  LogEvent& new_line(const Slot& slot, LogKind kind);
  void write_lines();
  // core/daemon/shard_carry.cc
  bool leaving() const { return stopping_ || retired_; }
  bool nobody_left() const;
  void carry_on(Tick now);
  void adopted(const ring::Completion& completion, Tick now);
  void installed(uint32_t slot, const ring::Completion& completion, Tick now);

  const config::Config& config_;
  const admission::AccessList* access_;
  std::span<ShardCounters> all_counters_;
  ShardCounters& counters_;
  ring::Reactor& reactor_;
  Log& log_;
  SlotTable& slots_;
  ring::Timers timers_;
  ring::Connections connections_;
  Acceptor acceptor_;
  Mover mover_;
  handoff::Pools pools_;
  handoff::Transfers transfers_;
  std::string teaser_;
  int control_fd_;
  ShardParts parts_;
  std::unique_ptr<Lookups> lookups_;
  WrittenReplies written_;
  std::optional<Outbox> outbox_;
  PrefixLengths prefixes_;
  bool routes_by_history_;

  std::vector<std::array<char, kLookBytes>> look_buffers_;
  std::vector<uint16_t> free_looks_;
  smtp::ReplyId last_reply_ = smtp::ReplyId::kTooManyConnections;  // for the log of this event
  std::vector<LogEvent> lines_;  // not yet in words; at most kLinesUnwrittenMax
  bool control_event_ = false;
  bool steward_event_ = false;
  std::optional<CarryOut> carry_out_;
  std::optional<CarryIn> carry_in_;
  bool carry_told_ = false;  // how it went
  bool stopping_ = false;
  bool retired_ = false;
  Tick drain_until_ = 0;
};

}  // namespace lychgate::daemon
