// Hand-offs in progress: chooses a backend, passes the descriptor or connects and relays, goes to
// the next backend, the fallback pool or a bounded wait when one fails. A client that has talked to
// the gate is handed over by a replay: what it said is said again to the backend, which then
// answers its last command. News comes out as a queue of outcomes; the session decides what they
// mean. Owns records and backend sockets, not clients.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "handoff/pass_attributes.h"
#include "handoff/pools.h"
#include "handoff/relay.h"
#include "handoff/replay.h"
#include "ring/connections.h"

namespace lychgate::handoff {

enum class TransferNews : uint8_t {
  kTaken,        // pass: the client's descriptor is smtpd's; close ours
  kGaveUp,       // no backend within the bounds
  kRelayEnded,   // relay over; close the client
  kReplayed,     // a backend goes on where the gate stopped: what was said may be forgotten
  kSpokeBehind,  // bytes came behind the last command; the client is the session's again
};

struct Outcome {
  ConnId client;
  TransferNews news;
  // Of a replay, once its texts are needed no more: with kReplayed, kSpokeBehind and kGaveUp, or
  // with kRelayEnded when it ended before.
  uint32_t cookie = kNoSlot;
  std::string text = {};  // kSpokeBehind: the first of those bytes, at most kSpokenBehindMax
};
// As much as a log line quotes.
inline constexpr size_t kSpokenBehindMax = 100;

struct TransferOptions {
  const config::Config& config;
  uint32_t records = 0;          // hand-offs and relays at once, <= kTransfersMax
  uint32_t buffers = 0;          // provided buffers of the reactor
  uint32_t bulk_relays_max = 0;  // by the descriptor limit
};

class Transfers {
 public:
  Transfers(ring::Connections& connections, Pools& pools, const TransferOptions& options);

  // REQUIRES: nothing in flight for the client; its slot is in phase kHandoff.
  void begin(uint32_t client, uint32_t pool, Tick now);
  // The same for a client in the middle of its session. A pass service gets one end of a socketpair
  // and all its bytes go through here.
  void begin_replay(uint32_t client, uint32_t pool, const Said& said, Tick now);
  // A completion of an operation on `slot` that belongs to a transfer.
  void complete(uint32_t slot, const ring::Completion& completion, Tick now);
  // The client's timer fired while it was queued, handed off or relayed.
  void timer(uint32_t client, Tick now);
  // Once a turn: relays that waited for a buffer or pipe.
  void resume_starved(Tick now);

  std::optional<Outcome> next_outcome();
  // By command: a relay or a wait for a backend ends as it does when the client has gone. False in
  // the middle of a hand-off, which is over in a moment.
  bool cut(uint32_t client, Tick now);
  // Where a client is handed off or relayed to. REQUIRES: its completions are the hand-off's.
  struct Seat {
    uint32_t pool = 0;
    uint32_t backend = 0;
  };
  Seat seat_of(uint32_t client) const;

  bool has_outcomes() const { return !outcomes_.empty(); }
  // The gate stops: who waits for a backend waits no longer, hand-offs and relays go on.
  void stop();
  // Lines for the log: one for each turn of a backend from good to bad, and one a minute for the
  // fallbacks of a pool.
  std::optional<std::string> next_warning();

 private:
  enum class Stage : uint8_t {
    kFree,
    kWaiting,  // for any backend to become free
    kOpening,  // socket
    kConnecting,
    kInstalling,  // splice to a wildcard listener: the client's real descriptor, for its address
    kPassing,     // descriptor and attributes on their way
    kUntaken,     // until smtpd has read them
    kHeader,      // PROXY header on its way
    kGreeting,    // until the backend's first byte
    kReplaying,   // talks to the backend in the client's name
    kPeeking,     // whether the client has sent more than its last command
    kAnswering,   // the backend's reply to that command is on its way to the client
    kRelaying,
  };
  struct Record {
    Stage stage = Stage::kFree;
    ConnId client;
    uint32_t backend_slot = kNoSlot;
    uint32_t pool = 0;
    uint32_t first_pool = 0;
    uint32_t backend = 0;
    TriedSet tried = 0;
    uint32_t fallbacks = 0;
    Tick begun = 0;
    bool waiting = false;  // give_up_at is set
    Tick give_up_at = 0;
    int real_fd = -1;  // pass: the client's, or the service's end of a socketpair
    int our_end = -1;  // the other end, until it has a slot
    int adopted = -1;  // our_end, until the kernel has written that slot in its place
    uint32_t pair_slot = kNoSlot;
    uint32_t opening = 0;   // requests of kOpening in flight
    int opening_error = 0;  // the first of them that failed
    bool pass_connected = false;
    bool pass_unsent = false;  // the send came before the connection
    Endpoint server;
    std::array<char, kPassBytesMax> bytes;  // attributes or PROXY header
    ring::DescriptorMessage message;
    Relay relay;
    bool replays = false;
    Said said;
    std::unique_ptr<Replay> replay;  // lent for one attempt
  };

  void next_backend(Record& record, Tick now);
  bool fall_back(Record& record, Tick now);
  void say_fallback(const Record& record, Tick now);
  void wait_for_backend(Record& record, Tick now);
  void attempt_failed(Record& record, HandoffOutcome why, std::string_view cause, Tick now);
  void drop_backend(Record& record);
  void end(Record& record, TransferNews news, std::string text = {});
  Record* begin_record(uint32_t client, uint32_t pool, const Said& said, Tick now);

  void socket_opened(Record& record, const ring::Completion& completion, Tick now);
  void connected(Record& record, const ring::Completion& completion, Tick now);
  void client_installed(Record& record, const ring::Completion& completion, Tick now);
  void opened(Record& record, const ring::Completion& completion, Tick now);
  void connect_backend(Record& record, Tick now);
  void send_descriptor(Record& record);
  bool connected_late(Record& record, const ring::Completion& completion);
  void passed(Record& record, const ring::Completion& completion, Tick now);
  void taken(Record& record, const ring::Completion& completion, Tick now);
  void not_taken_in_time(Record& record);
  void send_header(Record& record, Tick now);
  void header_sent(Record& record, const ring::Completion& completion, Tick now);
  void await_greeting(Record& record, Tick now);
  void greeted(Record& record, const ring::Completion& completion, Tick now);
  // handoff/transfers_replay.cc
  bool may_replay() const;
  std::unique_ptr<Replay> lend_replay();
  void take_back_replay(Record& record);
  void open_pair(Record& record);
  void pair_opened(Record& record, int32_t result);
  void begin_talk(Record& record, Tick now);
  void listen(Record& record);
  void say_line(Record& record, Replay::Step step, std::string_view line, Tick now);
  void talked(Record& record, const ring::Completion& completion, Tick now);
  void replied(Record& record, Tick now);
  void greeting_came(Record& record, Tick now);
  void say_next(Record& record, Tick now);
  void broken_off(Record& record, HandoffOutcome why, std::string_view cause, Tick now);
  void replay_failed(Record& record, HandoffOutcome why, std::string_view cause, Tick now);
  void peek(Record& record);
  void peeked(Record& record, const ring::Completion& completion, Tick now);
  void answered(Record& record, const ring::Completion& completion, Tick now);
  void arm_stage(Record& record, Tick now);
  void relay_timer(Record& record, Tick now);
  void watch_relay(Record& record, Tick now);

  void arm(Record& record, Tick deadline);
  void say(std::string line);
  void count(uint32_t pool, HandoffOutcome outcome);
  // A backend has the client.
  void count_taken(const Record& record, Tick now);
  const config::Backend& backend_of(const Record& record) const;
  SessionEnds ends_of(const Record& record) const;
  bool needs_local_address(const Record& record) const;
  uint32_t index_of(const Record& record) const;

  ring::Connections& connections_;
  Pools& pools_;
  const config::Config& config_;
  RelayContext relays_;
  std::unique_ptr<Record[]> records_;
  uint32_t records_count_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> resuming_;  // the starved of this turn, kept for its memory
  bool stopping_ = false;
  std::array<std::optional<Tick>, kPoolsMax> fallback_said_{};
  std::array<std::optional<Tick>, kPoolsMax> replay_said_{};
  std::deque<std::unique_ptr<Replay>> replays_;  // not lent, the one used longest ago first
  uint32_t replays_made_ = 0;                    // at most kReplaysMax
  std::deque<Outcome> outcomes_;
  std::deque<std::string> warnings_;  // at most kWarningsMax
};

}  // namespace lychgate::handoff
