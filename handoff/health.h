// Health checks: one shard of a gate connects to every backend now and then, greets it as a client
// would and takes its leave; what it found is on the board that all shards read
// (core/base/boards.h). Owns the sockets of its checks. What a board says is read here too.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/boards.h"
#include "handoff/backend_reply.h"
#include "handoff/pass_attributes.h"
#include "handoff/pools.h"
#include "ring/connections.h"

namespace lychgate::handoff {

// Checks under way at once: each takes up to two slots that clients could have.
inline constexpr uint32_t kChecksAtOnce = 8;

// Reads a board; text is empty while it is being written.
struct BackendWord {
  BackendHealth health = BackendHealth::kUnknown;
  std::string text;
};
BackendWord read_board(const BackendBoard& board);

class HealthChecks {
 public:
  // hostname: what the gate calls itself.
  HealthChecks(ring::Connections& connections, const config::Config& config, SharedPools& boards,
               std::string hostname);

  // Every backend of pools with a check_interval is checked from now on, the first time at once.
  void start(Tick now);
  // No check begins any more, and those under way decide nothing. For a gate that stops or retires.
  void stop();
  // Operations of Op::kCheck...; those whose slot is ours after Connections::take().
  static bool owns(ring::Op op);
  void complete(const ring::Completion& completion, Tick now);
  // Once a turn: what is due, and what takes too long.
  void advance(Tick now);
  std::optional<Tick> next_wake() const { return wake_; }
  // Lines for the log: one for each change of a backend's health, though none for those that are
  // found well at the start.
  std::optional<std::string> next_line();

 private:
  enum class Stage : uint8_t {
    kFree,
    kOpening,  // socket and, for pass, socketpair
    kConnecting,
    kPassing,     // one end of the socketpair on its way
    kInstalling,  // for the addresses of a version 1 header
    kHeader,      // PROXY header on its way
    kGreeting,    // until the whole 220
    kHello,       // EHLO and its reply
    kQuit,        // QUIT and its reply, which decides nothing any more
  };
  // One backend, by its place in the configuration.
  struct Target {
    uint32_t pool = 0;
    uint32_t backend = 0;
    Tick due = 0;
    bool under_way = false;
    Backoff rest = {};
  };
  struct Check {
    Stage stage = Stage::kFree;
    uint32_t target = 0;
    Tick deadline = 0;             // from kConnecting on
    uint32_t slot = kNoSlot;       // what is spoken over
    uint32_t pass_slot = kNoSlot;  // pass: the way to the service
    uint32_t opening = 0;          // requests for a slot in flight
    int error = 0;                 // of the first of them that failed
    int ours = -1;                 // ends of the socketpair, real descriptors
    int theirs = -1;
    int adopted = -1;  // ours, until the kernel has written the slot in its place
    std::array<char, kPassBytesMax> header;  // PROXY header or attributes
    ring::DescriptorMessage message;
    std::string line;  // being sent
    std::span<const char> sending;
    BackendReply reply;
    ConnId last = {};  // socket of the check before: what was sent over it may still be read
  };

  // handoff/health.cc
  void begin(Check& check, uint32_t target, Tick now);
  Check* free_check();
  void failed(Check& check, std::string_view cause, Tick now);
  void passed(Check& check);
  void postpone(Check& check, Tick now);
  void end(Check& check, Tick due);
  void publish(const Check& check, BackendHealth health, std::string_view text,
               std::string_view cause);
  void look_ahead();
  uint32_t index_of(const Check& check) const;
  BackendBoard& board_of(uint32_t pool, uint32_t backend);
  // Waits for the backend, up to its deadline; else for our own kernel.
  static bool is_timed(const Check& check);
  const config::Pool& pool_of(const Check& check) const;
  const config::Backend& backend_of(const Check& check) const;
  // handoff/health_dialogue.cc
  void open(Check& check);
  void opened(Check& check, const ring::Completion& completion, Tick now);
  void connect(Check& check, Tick now);
  void connected(Check& check, const ring::Completion& completion, Tick now);
  void descriptor_sent(Check& check, const ring::Completion& completion, Tick now);
  void installed(Check& check, const ring::Completion& completion, Tick now);
  void send_header(Check& check, const SessionEnds& ends, Tick now);
  void say(Check& check, Stage stage, std::string_view line, Tick now);
  void send(Check& check, std::span<const char> bytes);
  void sent(Check& check, const ring::Completion& completion, Tick now);
  void await(Check& check, Stage stage, Tick now);
  void listen(Check& check);
  void heard(Check& check, const ring::Completion& completion, Tick now);
  void replied(Check& check, Tick now);

  ring::Connections& connections_;
  const config::Config& config_;
  SharedPools& boards_;
  std::string hostname_;
  std::vector<Target> targets_;
  std::array<Check, kChecksAtOnce> checks_;
  bool stopped_ = true;
  bool changed_ = false;           // wake_ is out of date
  std::optional<Tick> wake_;       // when advance() has something to do
  std::deque<std::string> lines_;  // at most kWarningsMax
};

// What the gate announces now for each pool, brought together from the boards; one for each shard.
class Announcements {
 public:
  // boards: nullptr: nothing is known.
  Announcements(const config::Config& config, const SharedPools* boards);
  // Once a turn; a look at one number when nothing has changed.
  void refresh();
  // Keyword lines as in capabilities.h; empty when no backend of the pool is known to be up.
  // Good until the next refresh().
  std::string_view of(uint32_t pool) const { return texts_[pool]; }

 private:
  const config::Config& config_;
  const SharedPools* boards_;
  std::optional<uint32_t> seen_;
  std::vector<std::string> texts_;
};

}  // namespace lychgate::handoff
