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
  // No check begins any more; those under way end. For a gate that stops or retires.
  void stop();
  // Operations of Op::kCheck...; those whose slot is ours after Connections::take().
  static bool owns(ring::Op op);
  void complete(const ring::Completion& completion, Tick now);
  // Once a turn: what is due, and what takes too long.
  void advance(Tick now);
  std::optional<Tick> next_wake() const;
  bool idle() const { return under_way_ == 0; }
  // Lines for the log: one for each change of a backend's health.
  std::optional<std::string> next_line();

 private:
  enum class Stage : uint8_t {
    kFree,
    kOpening,     // socket and, for pass, socketpair
    kConnecting,  // for pass with the descriptor behind it
    kInstalling,  // for the addresses of a version 1 header
    kHeader,      // PROXY header on its way
    kGreeting,    // until the whole 220
    kHello,       // EHLO and its reply
    kQuit,        // QUIT and its reply, which decides nothing any more
    kClosing,     // over; its sockets have not come yet, or not gone
  };
  // One backend, by its place in the configuration.
  struct Target {
    uint32_t pool = 0;
    uint32_t backend = 0;
    Tick due = 0;
    bool under_way = false;
    Backoff rest;
  };
  struct Check {
    Stage stage = Stage::kFree;
    uint32_t target = 0;
    Tick deadline = 0;
    uint32_t slot = kNoSlot;       // what is spoken over
    uint32_t pass_slot = kNoSlot;  // pass: the connection to the service
    uint32_t opening = 0;          // requests for a slot in flight
    int ours = -1;                 // ends of the socketpair, real descriptors
    int theirs = -1;
    int adopted = -1;  // ours, until the kernel has written the slot in its place
    std::array<char, kPassBytesMax> bytes;  // PROXY header, attributes
    ring::DescriptorMessage message;
    std::string line;  // being sent
    BackendReply reply;
    ConnId last[2] = {};  // sockets of the check before, whose bytes may still be read
  };

  void begin(uint32_t target, Tick now);
  void opened(Check& check, const ring::Completion& completion, Tick now);
  void connected(Check& check, const ring::Completion& completion, Tick now);
  void send_header(Check& check, const SessionEnds& ends, Tick now);
  void say(Check& check, Stage stage, std::string line, Tick now);
  void listen(Check& check, Tick now);
  void heard(Check& check, const ring::Completion& completion, Tick now);
  void failed(Check& check, std::string_view cause, Tick now);
  void ended(Check& check, BackendHealth health, std::string_view cause, Tick now);
  void let_go(Check& check);

  ring::Connections& connections_;
  const config::Config& config_;
  SharedPools& boards_;
  std::string hostname_;
  std::vector<Target> targets_;
  std::array<Check, kChecksAtOnce> checks_;
  uint32_t under_way_ = 0;
  bool stopped_ = true;
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
