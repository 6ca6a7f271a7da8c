// A line on the control socket: a word that says what is wanted, "json" if the answer is for a
// program, then words and name=value pairs, with spaces between. Pure: takes any bytes and says
// what is wrong with them.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/address.h"
#include "core/base/counters.h"
#include "core/base/time.h"
#include "core/config/values.h"
#include "core/daemon/orders.h"

namespace lychgate::daemon {

enum class ControlVerb : uint8_t {
  kStatus,
  kLists,
  kFigures,     // what `top` draws, as lines
  kSessions,    // [state=PHASE] [address=NETWORK] [age=DURATION] [id=SHARD:SLOT:GENERATION]
                // [limit=N] [kill]
  kRemembered,  // ADDRESS
  kAllow,       // ADDRESS [for=DURATION]
  kDeny,        // likewise
  kForget,      // ADDRESS
  kPools,       // [drain|up|down POOL [BACKEND]]
  kReload,
  kUpgrade,  // [PROGRAM]
  kStop,
};

struct ControlRequest {
  ControlVerb verb = ControlVerb::kStatus;
  bool json = false;

  IpAddress address = {};                     // kRemembered, kAllow, kDeny, kForget
  std::optional<milliseconds> duration = {};  // kAllow, kDeny; none: until it is taken back

  SessionFilter filter = {};           // kSessions, and those below
  std::optional<uint32_t> shard = {};  // with the slot and filter.generation: one session
  uint32_t slot = 0;
  uint32_t limit = 0;  // sessions told of; of those that match
  bool kill = false;

  std::optional<BackendUse> use = {};  // kPools: none: only tell
  std::string pool = {};
  std::string backend = {};  // as configured, or its number from 0; empty: all of the pool

  std::string program = {};  // kUpgrade: an absolute path; empty: the one the gate was started by

  // Only root and the gate's own user may ask for it.
  bool changes() const;
};

// Sessions told of when nothing is said, and at most.
inline constexpr uint32_t kSessionsTold = 1000;
inline constexpr uint32_t kSessionsToldMax = 20000;

// The line without its end. The error is a sentence.
config::Parsed<ControlRequest> parse_control_request(std::string_view line);

}  // namespace lychgate::daemon
