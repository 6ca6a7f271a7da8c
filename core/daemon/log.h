// Log lines of a shard, written through its ring: to a stream (stderr, file) in one write a turn,
// to syslog or the journal as one datagram a line. Never blocks: when the sink is slow lines
// gather up to kLogQueueBytes, beyond that they are lost and counted.

#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/counters.h"
#include "core/config/config.h"
#include "ring/reactor.h"

namespace lychgate::daemon {

// After a lot of so many lines the next waits kLogLotMs, after a smaller one a timer grain.
inline constexpr size_t kLogLotLines = 32;

using WallTime = std::chrono::system_clock::time_point;

// Where lines go; opened by the supervisor, inherited by all.
struct LogSink {
  config::LogTarget target = config::LogTarget::kStderr;
  int fd = 2;
  std::string ident;
  std::string hostname;
};

// The name of this host, for log lines and the greeting; "localhost" when it has none.
std::string host_name();

Result<LogSink> open_log(const config::Log& log);

// Frames lines for a target: prefix, text, line end. The part of the prefix that changes once a
// second is kept, since making it costs more than the rest of the line.
class LogFrame {
 public:
  LogFrame(const LogSink& sink, int pid) : sink_(sink), pid_(pid) {}
  void append(WallTime at, std::string_view text, std::string& out);

 private:
  void new_second(std::time_t second);

  const LogSink& sink_;
  int pid_;
  std::time_t second_ = -1;
  std::string head_;  // up to the fraction of the second
  std::string tail_;  // from there to the text
};

// For supervisor and steward: writes at once, or not at all.
void log_now(const LogSink& sink, std::string_view text);

class Log {
 public:
  Log(const LogSink& sink, ring::Reactor& reactor, ShardCounters& counters, int pid);

  // The wall clock of this turn.
  void set_time(WallTime now) { now_ = now; }
  WallTime time() const { return now_; }
  void add(WallTime at, std::string_view text);
  // A lot may be handed to the ring: the last is through, and long enough ago.
  bool due(Tick now) const {
    return in_flight_ == 0 && (!next_lot_ || tick_reached(now, *next_lot_));
  }
  // Once a turn: hands over what has gathered when it is due, so that a busy gate makes twenty
  // writes a second (each wakes a thread of the ring) and a calm one writes at once.
  void flush(Tick now);
  // When flush should be called though nothing completes.
  std::optional<Tick> next_wake() const;
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
  void append(WallTime at, std::string_view text);
  void write_rest();

  const LogSink& sink_;
  ring::Reactor& reactor_;
  ShardCounters& counters_;
  LogFrame frame_;
  WallTime now_{};
  Lot gathering_;
  Lot writing_;
  size_t written_ = 0;      // stream: bytes of writing_ that are through
  uint32_t in_flight_ = 0;  // requests for writing_
  uint64_t lost_unsaid_ = 0;
  std::optional<Tick> next_lot_;  // none before the first
};

}  // namespace lychgate::daemon
