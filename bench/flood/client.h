// One client of a flood: 32 bytes of state, and its behaviour as a pure step from an event to
// actions. A million of them are silent most of the time; only those that talk own a Talk.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "bench/flood/plan.h"
#include "bench/flood/smtp_talk.h"
#include "bench/flood/tally.h"
#include "core/base/time.h"

namespace lychgate::flood {

inline constexpr uint32_t kNobody = UINT32_MAX;
// Entries of a mix: the index is one byte of the client.
inline constexpr size_t kMixMax = 255;

enum class Phase : uint8_t {
  kFree,
  kConnecting,
  kHolding,  // silent, or dripping
  kTalking,
  kLooking,  // its time is over; what came meanwhile is being read
  kClosing,  // over; requests that are still in the kernel are being cancelled
};

// Requests of one client that the kernel has; also what their completions are told apart by.
enum Request : uint8_t { kConnect = 1, kReceive = 2, kSend = 4 };

enum Trait : uint8_t {
  kHeard = 1,     // a byte has come
  kRefused = 2,   // a 4xx or 5xx was among what came
  kGreeted = 4,   // a final 220 was
  kWasReset = 8,  // a send met the server's reset
  kAbrupt = 16,   // to be reset, not closed
};

// Lists of clients that wait equally long; see TimedList. Each mix entry has one of each.
enum class Wait : uint8_t { kNone, kReply, kHold, kSecond };
inline constexpr size_t kWaitCount = 4;

struct Client {
  uint32_t next = kNobody;  // in its list, or in that of the free
  uint32_t previous = kNobody;
  Tick deadline = 0;
  uint32_t talk = kNobody;
  Instant start;  // when it was to start: latencies count from here
  // Connecting: errno of what failed before; drip: bytes sent; looking: looks.
  uint16_t steps = 0;
  uint8_t mix = 0;
  Phase phase = Phase::kFree;
  uint8_t requests = 0;
  uint8_t traits = 0;
  Wait wait = Wait::kNone;

  bool is(Trait trait) const { return (traits & trait) != 0; }
  bool has(Request request) const { return (requests & request) != 0; }
};
static_assert(sizeof(Client) <= 40);

struct Event {
  enum class Kind : uint8_t {
    kConnected,
    kNotConnected,  // error
    kNotStarted,    // error: no socket, or the source was refused
    kBytes,         // bytes
    kEnd,           // the server closed
    kReset,         // the server reset
    kNothing,       // a look found nothing
    kSent,          // count
    kNotSent,       // error
    kTimeUp,
    kStop,
  };
  Kind kind;
  int error = 0;
  uint64_t count = 0;
  std::string_view bytes{};
};

struct Actions {
  bool receive = false;  // wait for bytes
  bool look = false;     // take what is there
  bool cancel = false;   // end the wait for bytes, or for the connection
  bool whole = true;     // send all of it, however long that takes
  Words say;
  std::optional<Wait> wait;  // in this list from now on
  std::optional<Ending> end;
};

// What a step may see and write besides the client.
struct Scene {
  const Manners& manners;
  const Script& script;
  Tally& tally;
  Instant now;
};

// True for profiles that need a Talk.
bool reads_replies(Profile profile);
// `talk` is the client's own when its profile reads replies.
Actions step(Client& client, Talk* talk, const Event& event, const Scene& scene);
// How long clients of these manners stay in a list.
milliseconds length_of(Wait wait, const Manners& manners);

}  // namespace lychgate::flood
