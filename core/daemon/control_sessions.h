// Questions to the shards about their sessions, a few at once: each is asked order by order until
// its table is through, all shards at the same time. A shard that does not answer is left out, and
// the answer says so. A shard's number here is that of its block (core/daemon/generation.h), so
// that ids differ between two generations.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/counters.h"
#include "core/daemon/control_request.h"
#include "core/daemon/control_server.h"
#include "core/daemon/orders.h"

namespace lychgate::daemon {

inline constexpr size_t kSessionJobsMax = 8;

struct FoundSession {
  uint32_t shard = 0;
  SessionRow row;
};

struct SessionsFound {
  ControlClient client;
  ControlRequest request;
  std::vector<FoundSession> sessions;  // at most request.limit of those that match
  uint64_t matched = 0;
  uint64_t killed = 0;
  std::vector<uint32_t> silent;  // shards that did not answer, or not to the end
};

class SessionJobs {
 public:
  // lines: the steward's end of each shard's line, of all generations; blocks: those of the same
  // numbers, which tell who lives.
  SessionJobs(std::span<const int> lines, std::span<const ShardCounters> blocks);

  // Only the living are asked. False: too many are under way. REQUIRES: request.shard, if given, is
  // one of the lines.
  bool begin(ControlClient client, const ControlRequest& request, Tick now);
  // A kReport message, kind byte included.
  void take_report(std::span<const uint8_t> message, Tick now);
  // Those that are through.
  std::vector<SessionsFound> turn(Tick now);
  std::optional<Tick> next_wake() const;

 private:
  struct ShardPart {
    uint32_t shard = 0;
    uint32_t order = 0;      // id of the one under way; 0: none
    uint32_t next_slot = 0;  // kNoSlot: through
    Tick deadline = 0;       // of the order under way
  };
  struct Job {
    SessionsFound found;
    std::vector<ShardPart> parts;
    Tick deadline = 0;
  };
  void ask(Job& job, ShardPart& part, Tick now);
  static void give_up(Job& job, ShardPart& part);
  static bool is_through(const Job& job);

  std::vector<int> lines_;
  std::span<const ShardCounters> blocks_;
  std::vector<Job> jobs_;
  uint32_t last_order_ = 0;
};

// For people, and one object for programs: sessions, matched, shown, killed, silent_shards.
struct SessionNames {
  const config::Config& config;
};
std::string sessions_text(const SessionsFound& found, const SessionNames& names);
std::string sessions_json(const SessionsFound& found, const SessionNames& names);

}  // namespace lychgate::daemon
