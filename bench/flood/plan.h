// What a flood is told to do, as plain structs: who connects from where to where, with which
// manners, how many, how fast, and when it ends at the latest. No parsing and no I/O.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"

namespace lychgate::flood {

// How a client behaves. The order is the order of every table.
enum class Profile : uint8_t {
  kZombie,      // connects, reads the first line if one comes, holds in silence
  kEarly,       // talks before it was greeted
  kBot,         // waits for the whole greeting, then sends a whole message in one piece
  kDrip,        // one byte of EHLO each second
  kNeverReads,  // talks and never reads a byte
  kReset,       // connects and resets (RST)
  kHangup,      // connects and closes (FIN)
  kLegit,       // a whole SMTP transaction, every reply checked
};
inline constexpr size_t kProfileCount = 8;
extern const char* const kProfileNames[kProfileCount];  // as on the command line

// Bounds of one run: a flood always ends.
inline constexpr uint64_t kConnectionsMax = 1'000'000'000;
inline constexpr uint32_t kParallelMax = 4'000'000;
inline constexpr uint32_t kMessageBytesMax = 64u << 20;
inline constexpr std::chrono::hours kDurationMax{24};

// Manners of one profile; what does not concern it is ignored.
struct Manners {
  Profile profile = Profile::kZombie;
  uint32_t weight = 1;            // its part of the arrivals
  milliseconds hold{10000};       // zombie, never-reads, drip: closes after this; early: gives up
  milliseconds timeout{30000};    // legit, bot, early: longest wait for one reply
  uint32_t message_bytes = 4096;  // legit, bot: size of the message's text
};

// Arrivals. Closed loop: a client that ends is followed by the next at once, `parallel` are open.
// Open loop: clients arrive at `rate`, however slow the server is, and latencies are counted from
// the intended start.
enum class Arrivals : uint8_t { kClosed, kOpen };

struct Schedule {
  Arrivals arrivals = Arrivals::kClosed;
  double rate = 0;  // open loop: arrivals a second
  // Ramp: the rate goes from `ramp_from` to `rate` in this time, then stays. 0: no ramp.
  double ramp_from = 0;
  milliseconds ramp_over{0};
  // Storm: each `storm_every` the rate is `storm_rate` for `storm_for`. 0: no storms.
  double storm_rate = 0;
  milliseconds storm_every{0};
  milliseconds storm_for{0};
};

struct Plan {
  std::vector<Network> targets;  // each address in turn (a host is a /32 or /128)
  uint16_t port = 25;
  std::vector<Network> sources;  // each address in turn; empty: the kernel chooses
  std::vector<Manners> mix;      // at least one
  Schedule schedule;
  uint64_t count = 1000;         // clients in all
  uint32_t parallel = 1000;      // open at once, at most (open loop: more are counted as late)
  milliseconds duration{60000};  // no client starts after this
  milliseconds grace{30000};     // whoever is still open after duration + grace is reset
  uint32_t per_ring = 0;         // direct descriptors of each ring; 0: what RLIMIT_NOFILE allows
  std::optional<uint32_t> cpu;   // pinned to this core
  uint64_t seed = 1;
  std::string ehlo = "flood.example";
  std::string mail_from = "flood@example.org";
  std::string rcpt_to = "postmaster@localhost";
};

}  // namespace lychgate::flood
