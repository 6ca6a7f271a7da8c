// The connection table: one 64-byte slot per direct descriptor, indexed by the kernel's number.
// Owns the memory (taken whole at start, prefaulted) and the per-address counts that live in it.
// Makes no system call after construction and knows nothing of what a phase means to the session.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/address.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/result.h"
#include "core/base/siphash.h"
#include "core/base/time.h"

namespace lychgate {

inline constexpr uint32_t kNoSlot = 0xffffffff;

// A connection as everyone outside the table names it; a stale one finds nothing.
struct ConnId {
  uint32_t slot = kNoSlot;
  uint32_t generation = 0;
  bool operator==(const ConnId&) const = default;
};

// Where a connection stands. The order is the order of `status`.
enum class Phase : uint8_t {
  kFree,        // no descriptor in this slot
  kProxy,       // client, nothing armed, its PROXY header has not come yet
  kSilentWait,  // client, nothing armed, until its wait is over
  kLooking,     // client, one recv DONTWAIT in flight
  kMoving,      // client, on its way to the main table (core/daemon/mover.h)
  kDialogue,    // client, talks to the gate
  kQueued,      // client, approved, waits for a backend to become free
  kHandoff,     // client, being passed or connected
  kRelay,       // client, its bytes are relayed
  kTarpit,      // client, hears a reply of one byte now and then
  kReplying,    // client, its last reply is being sent
  kLinger,      // client, reply sent and write side shut, waits so that the reply arrives
  kBackend,     // not a client: our socket to a backend or to a pass service
  kRetiring,    // anything, requests being cancelled before the close
  kClosing,     // anything, close submitted
};
inline constexpr size_t kPhaseCount = 15;
// Short words for status and metrics, indexed by Phase.
extern const char* const kPhaseNames[kPhaseCount];

// Facts about a client, one bit each; the verdict is a function of these (core/admission).
enum Evidence : uint16_t {
  kAllowlisted = 1 << 0,    // access list said permit
  kDenylisted = 1 << 1,     // access list said reject
  kSpokeEarly = 1 << 2,     // bytes before our greeting (pregreet)
  kHungUp = 1 << 3,         // closed or reset before the verdict
  kAddressFull = 1 << 4,    // over limits.per_address
  kShardFull = 1 << 5,      // over limits.per_shard
  kHostFull = 1 << 6,       // over limits.held
  kWaited = 1 << 7,         // served the whole greet.wait
  kTeased = 1 << 8,         // the 220- teaser was sent
  kLookedEarly = 1 << 9,    // greet.early_look was done
  kStillTalking = 1 << 10,  // had unread bytes when its last reply was sent
  kAskingLists = 1 << 11,   // waits on an inquiry of the DNS lists, to be let go
  kListsFailed = 1 << 12,   // score at or over dnsl.threshold
  kListsAllow = 1 << 13,    // score at or under dnsl.allow_threshold
  // Its record speaks for it: with a failed test it was failed on an earlier visit, without any it
  // has passed all of them.
  kRemembered = 1 << 14,
  kOurSocket = 1 << 15,  // not a client: a socket of ours to a backend
};

// Facts of the dialogue, in Slot::misconduct.
enum Misconduct : uint8_t {
  kPipelined = 1 << 0,     // sent a command before the reply to the one before
  kSpokeNonSmtp = 1 << 1,  // CONNECT, GET, POST or a word that begins with no letter
  kBareNewline = 1 << 2,   // ended a line with LF alone
};

// Slot::past beside the bits of ScreenTest (core/base/client_record.h), which say what need not be
// taken this time: it has passed every test before, be it that a pass has expired.
inline constexpr uint8_t kPassedBefore = 1 << 7;
// Its network was deferred (action `defer`) and has come back when it should.
inline constexpr uint8_t kNetworkReturned = 1 << 6;

// The list a connection's timer is in (ring/timers.h). Constant waits are FIFOs, the rest a wheel.
enum class TimerHome : uint8_t { kNone, kEarlyLook, kGreetWait, kLinger, kTarpit, kWheel, kDue };

// Links of the one timer a connection may have; the lists are in ring/timers.h.
struct TimerLink {
  uint32_t next = kNoSlot;
  uint32_t prev = kNoSlot;
  Tick deadline = 0;
};

// One bucket head and one counting cell of the address index. Cell i has nothing to do with the
// connection in slot i: it is stored there only to keep a client's whole cost at 64 bytes.
struct AddressCell {
  uint32_t bucket_head = kNoSlot;
  uint32_t next = kNoSlot;
  uint32_t fingerprint = 0;
};

struct Slot {
  IpAddress address;
  AddressCell cell;
  TimerLink timer;
  uint32_t generation = 0;
  Tick started = 0;  // tick of the accept
  // What the phase has lent it: a look's buffer, a written reply, a dialogue, a hand-off's record,
  // a DNS stream; in the tarpit, how much it has been told.
  uint32_t transfer = kNoSlot;
  uint16_t port = 0;
  uint16_t evidence = 0;    // bits of Evidence
  int16_t score = 0;        // DNS lists, once it is final or the wait is over
  uint16_t cell_count = 0;  // the address index's counter of cell i
  Phase phase : 4 = Phase::kFree;
  TimerHome timer_home : 4 = TimerHome::kNone;
  uint8_t listener : 5 = 0;
  uint8_t misconduct : 3 = 0;  // bits of Misconduct
  uint8_t in_flight = 0;       // requests the kernel still holds for this descriptor
  uint8_t past = 0;            // of a client that was here before: bits as above
};
static_assert(kPhaseCount <= 16 && kListenersMax <= 32);
static_assert(sizeof(Slot) == 64, "a held client costs one cache line");

// Slots plus exact per-address counts. Not thread safe: one shard owns it.
class SlotTable {
 public:
  // count: kSlotsMin..kSlotsMax. Fails with kOsError when the memory cannot be had.
  static Result<SlotTable> create(uint32_t count, const SipKey& key);
  SlotTable(SlotTable&& other) noexcept;
  SlotTable& operator=(SlotTable&&) = delete;
  ~SlotTable();

  uint32_t size() const { return size_; }
  // REQUIRES: slot < size().
  Slot& operator[](uint32_t slot) {
    LYCH_CHECK(slot < size_);
    return slots_[slot];
  }
  const Slot& operator[](uint32_t slot) const {
    LYCH_CHECK(slot < size_);
    return slots_[slot];
  }
  ConnId id(uint32_t slot) const { return {slot, (*this)[slot].generation}; }
  // nullptr when the connection the id named is gone.
  Slot* find(ConnId id) {
    if (id.slot >= size_) return nullptr;
    Slot& slot = slots_[id.slot];
    return slot.generation == id.generation && slot.phase != Phase::kFree ? &slot : nullptr;
  }

  // Makes a slot ready for a new connection: fields cleared, generation kept.
  // REQUIRES: its phase is kFree.
  Slot& open(uint32_t slot, Phase phase);
  // Frees a slot and makes every id of it stale. REQUIRES: nothing in flight, no timer.
  void release(uint32_t slot);
  uint32_t used() const { return used_; }

  // Connections counted for an address; add and drop return the count afterwards.
  // REQUIRES for add: fewer than 65,535 are counted (the largest limits.per_address is below it);
  // for drop: at least one is.
  uint32_t address_add(const IpAddress& address);
  uint32_t address_drop(const IpAddress& address);
  uint32_t address_count(const IpAddress& address) const;

 private:
  SlotTable(Slot* slots, uint32_t size, const SipKey& key);
  struct Place {
    uint32_t bucket;
    uint32_t fingerprint;
  };
  Place place_of(const IpAddress& address) const;
  uint32_t find_cell(Place place) const;

  Slot* slots_;
  uint32_t size_;
  uint32_t used_ = 0;
  uint32_t free_cell_ = kNoSlot;
  SipKey key_;
};

}  // namespace lychgate
