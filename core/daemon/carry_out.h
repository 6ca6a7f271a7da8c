// Gives a shard's held clients to the shard that takes over from it: walks the slots, installs the
// descriptors of those in silent wait as real ones, lot by lot, and sends each lot whole. Who
// cannot go waits on here, to the deadline it had. Owns the socket and the lot on its way; decides
// about no client.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/daemon/carry.h"
#include "core/daemon/lookups.h"
#include "ring/connections.h"

namespace lychgate::daemon {

// A lot that found the socket full is tried again after so long, and so often: whoever does not
// read for half a second will not read in time.
inline constexpr Tick kCarryRetryMs = 5;
inline constexpr uint32_t kCarryTriesMax = 100;
// Between two walks, while clients are about that may come back into their wait.
inline constexpr Tick kCarryRestMs = 10;
// Slots walked past in one turn: 1 MiB of them.
inline constexpr uint32_t kCarrySlotsPerTurn = 16384;

enum class CarryWalk : uint8_t {
  kUntilNobody,  // walks until nobody who can go is left
  kOnce,
};

class CarryOut {
 public:
  // lookups: nullptr without lists.
  CarryOut(const CarryOrder& order, CarryWalk walk, ring::Connections& connections,
           Lookups* lookups, Tick now);

  // Once a turn. more_may_come: there are accepts in flight.
  void advance(bool more_may_come, Tick now);
  // A completion of Op::kCarryInstall.
  void installed(uint32_t slot, int result, Tick now);
  // Nobody is carried any more. Who was about to go is in silent wait again now, or when its
  // installed() is.
  void stop(Tick now);
  // Nothing more will happen.
  bool over() const { return over_ && count_ == 0; }
  const CarryResult& result() const { return result_; }
  const CarryOrder& order() const { return order_; }
  std::optional<Tick> next_wake(Tick now) const;

 private:
  struct Passenger {
    uint32_t slot = kNoSlot;  // kNoSlot: stays after all
    Tick deadline = 0;
    int fd = -1;
  };
  bool can_go(uint32_t slot) const;
  void walk(Tick now);
  void end_walk(Tick now);
  void begin(uint32_t slot);
  void send(Tick now);
  void encode(const Passenger& passenger);
  void sent();
  void stay(Passenger& passenger);
  void give_up();
  void finish(uint32_t stayed, Tick now);

  CarryOrder order_;
  CarryWalk walk_;
  ring::Connections& connections_;
  Lookups* lookups_;
  Tick began_;
  uint32_t lot_size_;
  std::array<Passenger, ring::kDescriptorsPerMessage> lot_{};
  uint32_t count_ = 0;        // of lot_
  uint32_t uninstalled_ = 0;  // of these, whose install has not been answered
  std::vector<uint8_t> message_;
  std::vector<int> descriptors_;
  std::vector<bool> stays_;  // by slot: could not go
  uint32_t cursor_ = 0;
  uint32_t clients_seen_ = 0;  // of this walk
  bool some_went_ = false;     // likewise
  bool some_may_go_ = false;   // likewise: that are being looked at
  uint32_t tries_ = 0;
  std::optional<Tick> again_at_;  // the lot, or the next walk
  bool gone_;                     // nobody is there to take them
  bool over_ = false;
  CarryResult result_;
};

}  // namespace lychgate::daemon
