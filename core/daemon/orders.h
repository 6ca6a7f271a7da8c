// Orders of the steward to a shard and the shard's reports, as they travel over the line of
// core/daemon/steward_line.h. There is one order: look at the sessions from a slot on, tell of
// those that match, end them if asked to. A report is bounded by its size, an order by the slots
// that are looked at, so that a shard's turn stays short; the steward asks on from where a report
// ended. Values and their encoding (native byte order: both ends are one program on one host).

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/base/slots.h"
#include "core/daemon/steward_line.h"

namespace lychgate::daemon {

// A pool or backend in SessionFilter and SessionRow when there is none. They are told as cells
// (core/base/cells.h): the shard may have another configuration than the steward.
inline constexpr uint8_t kNoPlace = 0xff;
static_assert(kPoolsMax < kNoPlace && kBackendsPerPoolMax < kNoPlace);

// Slots that one order has looked at, at most: 40 us, the way there and back included (measured).
inline constexpr uint32_t kSlotsPerOrder = 4096;

// Which sessions; everything that is given must hold. Sockets of ours are no sessions.
struct SessionFilter {
  uint16_t phases = 0xffff;                  // a bit for each Phase
  Network network{.base = {}, .prefix = 0};  // prefix 0: all
  Tick age_min = 0;                          // ms since the accept
  uint8_t pool = kNoPlace;                   // handed off or relayed to
  uint8_t backend = kNoPlace;
  std::optional<uint32_t> generation = {};  // for a single session
};
static_assert(kPhaseCount <= 16);

struct Order {
  uint32_t id = 0;  // comes back with the report
  uint32_t from_slot = 0;
  uint32_t slots_max = kSlotsPerOrder;
  uint16_t rows_max = 0;  // at most kRowsPerReport are told of; 0: counted only
  bool kill = false;      // those told of
  SessionFilter filter = {};
};

struct SessionRow {
  ConnId id = {};
  IpAddress address = {};
  Tick age = 0;
  uint16_t port = 0;
  uint16_t evidence = 0;
  int16_t score = 0;
  Phase phase = Phase::kFree;
  uint8_t listener = 0;
  uint8_t pool = kNoPlace;
  uint8_t backend = kNoPlace;
  bool killed = false;
  bool operator==(const SessionRow&) const = default;
};

struct Report {
  uint32_t order = 0;
  uint32_t next_slot = kNoSlot;  // to go on from; kNoSlot: the table is through
  uint32_t matched = 0;          // of the slots looked at
  std::vector<SessionRow> rows = {};
};

inline constexpr size_t kOrderBytes = 1 + 4 * 5 + 2 + 2 + 1 + 1 + 16 + 1 + 1 + 1;
inline constexpr size_t kReportHeadBytes = 1 + 4 * 3 + 2;
inline constexpr size_t kRowBytes = 4 * 3 + 16 + 2 * 3 + 5;
inline constexpr size_t kRowsPerReport = (kLineMessageMax - kReportHeadBytes) / kRowBytes;
static_assert(kRowsPerReport >= 64 && kRowsPerReport <= UINT16_MAX);

std::vector<uint8_t> encode(const Order& order);
std::vector<uint8_t> encode(const Report& report);
// nullopt: bytes that encode() did not make.
std::optional<Order> decode_order(std::span<const uint8_t> message);
std::optional<Report> decode_report(std::span<const uint8_t> message);

// Whether a session's slot is one of them; pool and backend are not looked at.
bool matches(const SessionFilter& filter, const Slot& slot, Tick now);

}  // namespace lychgate::daemon
