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
#include "core/daemon/converse.h"
#include "core/daemon/dialogues.h"
#include "core/daemon/ehlo_book.h"
#include "core/daemon/load.h"
#include "core/daemon/log.h"
#include "core/daemon/lookups.h"
#include "core/daemon/mover.h"
#include "core/daemon/orders.h"
#include "core/daemon/outbox.h"
#include "core/daemon/session.h"
#include "core/daemon/syn_feed.h"
#include "core/daemon/tarpit.h"
#include "core/daemon/visitor_book.h"
#include "core/daemon/written_replies.h"
#include "core/smtp/reply_book.h"
#include "handoff/health.h"
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
  std::string hostname = {};   // what the gate calls itself
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

inline constexpr uint32_t kNoPool = kNoSlot;

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
  const Dialogues& dialogues() const { return dialogues_; }
  // nullptr: no DNS lists, or not started.
  const Lookups* lookups() const { return lookups_.get(); }

 private:
  void dispatch(const ring::Completion& completion, Tick now);
  void accept(const ring::Completion& completion, Tick now);
  void checked(const ring::Completion& completion, Tick now);
  void looked(uint32_t slot, const ring::Completion& completion, Tick now);
  Result<void> make_lookups(Tick now);
  void look_up(Tick now);
  bool reads_syns() const;
  void stop_asking(uint32_t slot);
  void stop_asking_now(uint32_t slot);
  struct NamedReply {
    uint32_t room = 0;  // of written_
    size_t size = 0;
  };
  std::optional<NamedReply> write_listed(uint32_t slot, smtp::ReplyId id);
  void reply(uint32_t slot, smtp::ReplyId id);
  void replied(uint32_t slot, Tick now);
  void screen(uint32_t slot, uint32_t of_address, Tick now);
  void look(uint32_t slot);
  void run(uint32_t slot, const Event& event, Tick now);
  void account(const Slot& slot, Phase before);
  void remember_reply(const ActionList& actions);
  // The configuration as it is at the present level of overload.
  const config::Config& settings() const { return levels_[static_cast<size_t>(level_)]; }
  void consider_level(Tick now);
  void perform(uint32_t slot, const Action& action, const Event& event, Tick now);
  void hand_off(uint32_t slot, Tick now);
  // Why a client goes to the main table; fits into Slot::transfer on its way.
  struct Errand {
    uint32_t pool = kNoPool;
    bool to_talk = false;

    uint32_t packed() const { return (pool & 0xff) | (to_talk ? 0x100u : 0u); }
    static Errand unpack(uint32_t from) {
      return {(from & 0xff) == 0xff ? kNoPool : from & 0xff, (from & 0x100) != 0};
    }
  };
  static_assert(kPoolsMax < 0xff);
  void move(uint32_t slot, const Errand& errand, Tick now);
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
  void remember(uint32_t slot, VisitEnd end);
  void remember_network(const IpAddress& address, const admission::Facts& facts);
  bool needs_lists(const IpAddress& address);
  void note(uint32_t slot, const Action& action, const Event& event, Tick now);
  void note_lists(uint32_t slot, LogEvent& first);
  uint8_t heaviest_list(uint32_t slot);
  Words words() const;
  LogEvent& new_line(const Slot& slot, LogKind kind);
  void write_lines();
  // core/daemon/shard_dialogue.cc
  void converse_with(uint32_t slot, Tick now);
  bool is_approved(uint32_t slot) const;
  void begin_dialogue(uint32_t slot, uint32_t pool, Tick now);
  void arm_command(uint32_t slot, Tick now);
  void talk(uint32_t slot, const Talk& said, Tick now);
  void end_dialogue(uint32_t slot, uint32_t block);
  void say(uint32_t slot, smtp::ReplyId id);
  std::span<const char> ehlo_text(uint32_t slot, Dialogue& dialogue);
  void conversed(uint32_t slot, const ring::Completion& completion, Tick now);
  void heard(uint32_t slot, const ring::Completion& completion, Tick now);
  void go_on(uint32_t slot, Tick now);
  void hear_again(Tick now);
  void hand_over(uint32_t slot, Tick now);
  void take_outcome(const handoff::Outcome& outcome, Tick now);
  void conclude_dialogue(uint32_t slot, uint32_t block, handoff::TransferNews news, Tick now);
  void called_off(uint32_t slot, uint32_t block, std::string_view behind, Tick now);
  void note_rejected(uint32_t slot, const Action& action);
  // core/daemon/shard_tarpit.cc
  void hold(uint32_t slot, smtp::ReplyId reply, Tick now);
  void dripped(uint32_t slot, const ring::Completion& completion, Tick now);
  void advance_tarpit(Tick now);
  void release(uint32_t slot);
  // core/daemon/shard_proxy.cc
  void await_header(uint32_t slot, uint32_t of_address, Tick now);
  void header_looked(uint32_t slot, const ring::Completion& completion, std::span<const char> bytes,
                     Tick now);
  void rename(uint32_t slot, const Endpoint& client);
  void introduce(uint32_t slot, Tick now);
  void refuse_header(uint32_t slot, std::string_view why, Tick now);
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
  std::vector<uint32_t> written_out_;  // lent in this turn; sent when the next begins
  std::vector<ConnId> deaf_;           // dialogues that wait for a buffer
  // What is taken was looked at before: nobody reads it here.
  std::array<char, kRelayBufferBytes> taken_;
  std::optional<Outbox> outbox_;
  PrefixLengths prefixes_;
  bool routes_by_history_;
  bool defers_;
  admission::LevelConfigs levels_;
  config::OverloadLevel level_ = config::OverloadLevel::kNormal;
  std::optional<LoadWatch> load_watch_;
  smtp::ReplyBook reply_book_;
  EhloBook ehlo_book_;
  Dialogues dialogues_;
  Tarpit tarpit_;
  std::optional<handoff::HealthChecks> checks_;
  handoff::Announcements announcements_;

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
