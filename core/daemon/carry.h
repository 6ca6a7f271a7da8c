// Carrying held clients from a shard to the shard that takes over from it at a reload or upgrade:
// what the two say to each other. Slots are of fixed size, descriptors go along over SCM_RIGHTS.
// Knows neither rings nor sockets: core/daemon/carry_out.h sends, core/daemon/carry_in.h takes.
//
// A lot is one message: a version byte, then each client of it, in the order of its descriptors.
// Numbers are in the host's order, since both processes are on it.
//   address[16] started[4] deadline[4] port[2] evidence[2] score[2] listener past answers
//   and for each answer: code[4] seconds[4] weight[2] cell epoch

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/base/time.h"
#include "core/config/config.h"
#include "ring/reactor.h"

namespace lychgate::daemon {

// The listener of a client that cannot be carried: the next configuration does not have it.
inline constexpr uint8_t kNoListener = 0xff;
static_assert(kListenersMax < kNoListener);

constexpr std::array<uint8_t, kListenersMax> no_listeners() {
  std::array<uint8_t, kListenersMax> out{};
  out.fill(kNoListener);
  return out;
}

// What a shard is told when it is to retire. One that cannot be read carries nobody.
struct CarryOrder {
  int fd = -1;              // to the shard that takes over; -1: everybody stays to the end
  bool same_lists = false;  // what DNS lists have answered is of use there
  // The next configuration's number of each listener.
  std::array<uint8_t, kListenersMax> listeners = no_listeners();
};

// How it went, told once, when nobody is left to be carried.
struct CarryResult {
  uint32_t carried = 0;
  uint32_t stayed = 0;  // clients that this shard finishes itself
  uint32_t lasted_ms = 0;
};

// Whether held clients may go from one configuration to another: a wait that the kernel keeps and
// one that the gate keeps end in different ways, and who has served half of one has not begun the
// other.
bool may_carry(config::Hold from, config::Hold to);
// How long whoever cannot be carried may still wait for its verdict.
milliseconds longest_silence(const config::Config& config);

// What one list has said about a client's address.
struct CarriedAnswer {
  uint32_t code = 0;
  uint32_t seconds = 0;  // that it is still good for
  int16_t weight = 0;
  uint8_t cell = 0;  // of the list (core/base/cells.h)
  uint8_t epoch = 0;
  bool operator==(const CarriedAnswer&) const = default;
};

// A client in its silent wait. Ticks are of the host's monotonic clock.
struct CarriedClient {
  IpAddress address;
  Tick started = 0;
  Tick deadline = 0;  // of its timer
  uint16_t port = 0;
  uint16_t evidence = 0;
  int16_t score = 0;
  uint8_t listener = 0;  // where it goes
  uint8_t past = 0;
  uint8_t answer_count = 0;
  std::array<CarriedAnswer, kListsMax> answers{};

  std::span<const CarriedAnswer> said() const { return std::span(answers).first(answer_count); }
};

inline constexpr uint8_t kLotVersion = 1;
inline constexpr size_t kLotHeadBytes = 1;
inline constexpr size_t kCarriedClientBytes = 33;
inline constexpr size_t kCarriedAnswerBytes = 12;
// A socket whose buffer is a quarter of what Linux gives it takes such a message.
inline constexpr size_t kLotBytesMax = 49152;
// Clients of one lot, each with answers of so many lists.
constexpr uint32_t lot_size(size_t lists) {
  const size_t fitting =
      (kLotBytesMax - kLotHeadBytes) / (kCarriedClientBytes + lists * kCarriedAnswerBytes);
  return fitting < ring::kDescriptorsPerMessage ? static_cast<uint32_t>(fitting)
                                                : ring::kDescriptorsPerMessage;
}
static_assert(lot_size(kListsMax) > 64);

void begin_lot(std::vector<uint8_t>& message);
void add_to_lot(const CarriedClient& client, std::vector<uint8_t>& message);
// All of its clients, or false: cut, too long, or not what a shard would send.
bool decode_lot(std::span<const uint8_t> message, std::vector<CarriedClient>& clients);

}  // namespace lychgate::daemon
