// What a flood has counted: outcomes, replies and latencies, for each profile and in all. Written
// by the engine, read by the report; knows neither sockets nor terminals.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>

#include "bench/flood/plan.h"

namespace lychgate::flood {

using nanoseconds = std::chrono::nanoseconds;

// Latencies in log-linear buckets: 1 us to 17 minutes with an error of at most 1/64 of the value.
class Histogram {
 public:
  void add(nanoseconds value);
  void add(const Histogram& other);
  uint64_t count() const { return count_; }
  // part: 0..1. REQUIRES: count() > 0 (0 otherwise).
  std::chrono::microseconds quantile(double part) const;
  std::chrono::microseconds least() const;
  std::chrono::microseconds most() const;

 private:
  static constexpr size_t kSteps = 64;      // of each doubling
  static constexpr size_t kDoublings = 31;  // of one microsecond
  std::array<uint64_t, kSteps * kDoublings> cells_{};
  uint64_t count_ = 0;
  nanoseconds least_ = nanoseconds::max();
  nanoseconds most_{0};
};

// How a client's life ended; exactly one each.
enum class Ending : uint8_t {
  kDone,         // did all its profile wanted (legit: delivered and QUIT answered)
  kRefused,      // got a reply that ends it: 4xx or 5xx
  kClosed,       // the server closed (FIN) before the client was done
  kReset,        // the server reset
  kTimedOut,     // no reply in time
  kBroken,       // a reply that is not SMTP, or not the one that was due
  kUnconnected,  // connect failed; Tally::connect_errors has the errno
  kUnstarted,    // local failure before connect: no socket, bind refused
  kCutOff,       // still open when the run ended, reset by us
};
inline constexpr size_t kEndingCount = 9;
extern const char* const kEndingNames[kEndingCount];

struct Counts {
  uint64_t started = 0;    // connects begun
  uint64_t connected = 0;  // handshakes completed
  uint64_t first_bytes = 0;
  uint64_t greeted = 0;    // got a final 220
  uint64_t delivered = 0;  // messages accepted with 250 after the dot
  std::array<uint64_t, kEndingCount> endings{};
  uint64_t bytes_out = 0;
  uint64_t bytes_in = 0;
};

struct Latencies {
  Histogram connect;      // until connected
  Histogram first_byte;   // until the server's first byte (teaser or 220)
  Histogram greeting;     // until the final line of 220
  Histogram transaction;  // legit: until the answer to QUIT
  Histogram lateness;     // open loop: how much later than intended a client could be started
};

struct Tally {
  std::array<Counts, kProfileCount> profiles{};
  std::array<Latencies, kProfileCount> latencies{};
  std::map<int, uint64_t> replies;         // SMTP code of each complete reply
  std::map<int, uint64_t> connect_errors;  // errno
  uint64_t open = 0;                       // clients open now
  uint64_t open_most = 0;
  uint64_t held = 0;     // of these, silent ones that hold
  uint64_t skipped = 0;  // open loop: arrivals not made because `parallel` were open

  Counts sum() const;
  Latencies all_latencies() const;
};

}  // namespace lychgate::flood
