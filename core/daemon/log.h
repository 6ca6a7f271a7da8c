// Log lines of a shard, written through its ring: to a stream (stderr, file) in one write a turn,
// to syslog or the journal as one datagram a line. Never blocks: when the sink is slow lines
// gather up to kLogQueueBytes, beyond that they are lost and counted.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "ring/reactor.h"

namespace lychgate::daemon {

using WallTime = std::chrono::system_clock::time_point;

// Where lines go; opened by the supervisor, inherited by all.
struct LogSink {
  config::LogTarget target = config::LogTarget::kStderr;
  int fd = 2;
  std::string ident;
  std::string hostname;
};

Result<LogSink> open_log(const config::Log& log);

// One framed record: prefix of the target, text, and the line end where the target wants one.
void append_record(const LogSink& sink, WallTime now, int pid, std::string_view text,
                   std::string& out);

// For processes that may block: writes at once.
void log_now(const LogSink& sink, std::string_view text);

class Log {
 public:
  Log(const LogSink& sink, ring::Reactor& reactor, ShardCounters& counters, int pid);

  // The wall clock of this turn.
  void set_time(WallTime now) { now_ = now; }
  void add(std::string_view text);
  // Lines wait for a turn that brought nothing else to do, so that a client in a hurry never waits
  // for a write; at most a timer grain long.
  enum class Turn : uint8_t { kBusy, kIdle };
  void flush(Tick now, Turn turn);
  // Lines wait for such a turn; there should be one at once.
  bool wants_turn() const { return !gathering_.empty() && in_flight_ == 0; }
  void complete(const ring::Completion& completion);
  bool idle() const { return gathering_.empty() && in_flight_ == 0; }

 private:
  struct Lot {
    std::string bytes;
    std::vector<uint32_t> ends;  // end of each record
    bool empty() const { return ends.empty(); }
    void clear() {
      bytes.clear();
      ends.clear();
    }
  };
  bool is_stream() const;
  void hand_over();
  void write_rest();

  const LogSink& sink_;
  ring::Reactor& reactor_;
  ShardCounters& counters_;
  int pid_;
  WallTime now_{};
  Lot gathering_;
  Lot writing_;
  size_t written_ = 0;      // stream: bytes of writing_ that are through
  uint32_t in_flight_ = 0;  // requests for writing_
  uint64_t lost_unsaid_ = 0;
  std::optional<Tick> due_;  // of gathering_
};

}  // namespace lychgate::daemon
