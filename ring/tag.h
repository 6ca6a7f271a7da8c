// What a submission carries through the kernel and back: operation, slot and generation packed in
// user_data. The only place that packs or unpacks it.

#pragma once

#include <bit>
#include <cstdint>

#include "core/base/limits.h"
#include "core/base/slots.h"

namespace lychgate::ring {

// Every operation a completion can belong to; the shard dispatches on it.
enum class Op : uint8_t {
  kIgnored,       // nobody waits for it
  kListenerPoll,  // slot = listener index
  kAccept,        // slot = index of the accept entry
  kTeaser,        // completes only when it failed, and nobody minds
  kLook,
  kDiscard,
  kReply,
  kShutdown,
  kClose,
  kCancel,
  kInstall,         // client slot; result = real descriptor
  kBackendSocket,   // client slot; result = the new backend slot
  kBackendOption,   // backend slot
  kBackendConnect,  // backend slot
  kBackendHeader,   // backend slot; PROXY header sent
  kPassSend,        // backend slot; descriptor and attributes sent
  kPassTaken,       // backend slot; smtpd closed the pass socket
  kRelayReceive,    // slot read from
  kRelaySend,       // slot written to
  kRelayReadable,   // slot polled for input (bulk)
  kRelayWritable,   // slot polled for output (bulk)
  kRelayInstall,    // slot whose real descriptor splice(2) needs
  kRelayShutdown,   // slot whose write side was shut
  kLogWrite,
  kControl,        // the supervisor's socket
  kDnsSend,        // slot = index of the UDP socket; completes only when it failed
  kDnsReceive,     // slot = index of the UDP socket; a packet buffer
  kDnsTcpSocket,   // slot = index of the TCP seat; result = the new slot
  kDnsTcpConnect,  // slot of our socket, as the three below
  kDnsTcpSend,
  kDnsTcpReceive,
  kMove,          // slot in a table that holds; result = its slot in the main table
  kSynFeed,       // the ring buffer of core/daemon/syn_feed.h has something
  kSteward,       // the line to the steward
  kVisits,        // slot = number of visits; completes only when it failed
  kCarry,         // clients of the generation before are waiting to be taken
  kCarryInstall,  // client slot; result = real descriptor, to be carried
  kCarryAdopt,    // slot = number of the table; result = clients that are in it now
  kTake,          // bytes of a PROXY header
  kHear,          // a line of a client in dialogue, or part of one
  kDrip,          // a byte to a client in the tarpit
  kShrink,        // its receive buffer was made small
  kBackendPair,   // client slot; our end of a socketpair is in the main table
  kReplaySend,    // backend slot; a line of what the client has said
  kReplayPeek,    // client slot; whether something came behind its last command
  kCheckSocket,   // slot = index of the check; result = the new slot
  kCheckPair,     // slot = index of the check; our end of a socketpair is in the main table
  kCheckOption,   // slot of our socket, as the four below
  kCheckConnect,
  kCheckPass,
  kCheckSend,
  kCheckReceive,
};

// slot : 24, generation : 32, op : 8.
struct OpTag {
  uint64_t slot : 24;
  uint64_t generation : 32;
  uint64_t op : 8;

  // REQUIRES: id.slot below 2^24 (kSlotsMax is).
  static OpTag of(Op op, ConnId id) {
    return unpack(uint64_t{id.slot} | uint64_t{id.generation} << kTagSlotBits |
                  static_cast<uint64_t>(op) << 56);
  }
  // For operations without a connection; index below 2^24.
  static OpTag of(Op op, uint32_t index = 0) { return of(op, ConnId{index, 0}); }
  static OpTag unpack(uint64_t user_data) { return std::bit_cast<OpTag>(user_data); }
  uint64_t pack() const { return std::bit_cast<uint64_t>(*this); }
  Op operation() const { return static_cast<Op>(op); }
  ConnId connection() const {
    return {static_cast<uint32_t>(slot), static_cast<uint32_t>(generation)};
  }
};
static_assert(sizeof(OpTag) == 8);

}  // namespace lychgate::ring
