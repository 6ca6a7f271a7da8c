// What the simulated kernel is made of: sockets as the gate sees them, pipes, requests in flight,
// and the faults it is asked to show. Plain data; sim_reactor.h moves it.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "ring/reactor.h"
#include "tests/sim/agenda.h"
#include "tests/sim/bytes.h"

namespace lychgate::sim {

inline constexpr uint32_t kNobody = 0xffffffff;

struct Socket;
using SocketPtr = std::shared_ptr<Socket>;

// Whoever is at the other end of a socket. Only notes what it is told and acts later: the kernel
// is in the middle of something.
class Far {
 public:
  virtual ~Far() = default;
  // Bytes or room, an end or a reset: the socket says what.
  virtual void poke() = 0;
  // What the gate did with its end.
  virtual void accepted() {}
  virtual void looked(ring::Op /*op*/, int /*result*/) {}  // bytes seen, 0 at the end, or -errno
  // Though it has not ended.
  virtual bool may_be_reset() const { return false; }
  virtual void hand_off_begins() {}
  virtual void written(ring::Op /*op*/, std::span<const char> /*bytes*/) {}
  virtual void let_go() {}  // its direct descriptor is closed
};

// Whoever listens at an address the gate connects to; answers by SimReactor::connect_done.
class Server {
 public:
  virtual ~Server() = default;
  virtual void connecting(const SocketPtr& socket) = 0;
};

// Whoever sits behind the address that a UDP socket of the gate is connected to. Answers by
// SimReactor::deliver_packet, later: the kernel is in the middle of something.
class PacketFar {
 public:
  virtual ~PacketFar() = default;
  virtual void packet_came(int fd, std::span<const char> bytes) = 0;
  // False: nobody reads, and what the kernel keeps for it is full.
  virtual bool has_room() const { return true; }
};

// A connected UDP socket of the gate.
struct PacketSocket {
  PacketFar* far = nullptr;
  std::deque<std::string> queue;  // arrived, not yet in a buffer of the gate
  size_t queue_max = 0;           // more are thrown away, as the kernel does
  std::optional<ring::OpTag> receive;
  int error = 0;  // that an ICMP message has brought, told once
  bool wake_pending = false;
};

// A descriptor on its way through a unix socket.
struct Parcel {
  SocketPtr passed;
  bool pair = false;  // the other end of this socket, a socketpair, is what was passed
  std::string bytes;
};

enum class Verb : uint8_t {
  kAccept,
  kPollFd,
  kCancelFd,
  kWriteFd,
  kSendFd,
  kSendPacket,
  kReceivePackets,
  kCloseFd,
  kPeek,
  kTake,
  kDiscard,
  kReceive,
  kPeekNext,
  kReceiveNext,
  kSend,
  kShutdown,
  kClose,
  kCancel,
  kCancelRequest,
  kPoll,
  kInstall,
  kMove,
  kOpenSocket,
  kSetNodelay,
  kShrink,
  kConnect,
  kSendDescriptor,
  kAdopt,
};

struct Request {
  Verb verb;
  ring::OpTag tag;
  uint32_t slot = kNoSlot;
  uint32_t table = 0;  // kAccept, kAdopt
  int fd = -1;
  std::span<char> into{};
  std::span<const char> bytes{};
  size_t done = 0;        // kSend: bytes in the socket so far
  bool whole = false;     // kSend: MSG_WAITALL
  bool untold = false;    // kSend: completes only when it failed
  bool by_reset = false;  // kClose
  ring::Readiness what = ring::Readiness::kInput;
  const SocketAddress* to = nullptr;
  ring::DescriptorMessage* message = nullptr;
  ring::PeerAddress* peer = nullptr;
  ring::OpTag target{};
  std::span<int> descriptors{};  // kAdopt
  SocketPtr file{};
  int buffer = -1;         // kSend: the provided buffer it reads from
  bool in_worker = false;  // runs later, in a thread of the kernel
};
using RequestPtr = std::shared_ptr<Request>;

// One connection; our end is a file with references, the other end is a Far.
struct Socket {
  Far* far = nullptr;
  Endpoint remote;
  Endpoint local;
  uint32_t client = kNobody;  // whose connection, or for whom it was opened
  ByteQueue rx;               // towards the gate
  ByteQueue tx;               // from the gate
  size_t rx_max = 65536;
  size_t tx_max = 65536;
  bool far_ended = false;  // they shut their write side
  bool far_gone = false;   // they closed: what is written is answered by a reset
  bool near_shut = false;  // we shut our write side
  bool near_closed = false;
  bool near_reset = false;  // we closed with bytes unread
  bool broken = false;      // reset by them
  int error = 0;            // of the reset, told once
  bool nonblocking = false;
  bool connecting = false;
  std::optional<int> connected{};
  int waits_at = -1;           // the listener in whose waiting room it is
  int references = 0;          // descriptors and parcels
  int slots = 0;               // of these, direct descriptors: two while it moves
  int theirs = 1;              // socketpair: descriptors of and parcels with the other end
  int claims = 0;              // parcels that somebody may still serve, or serves
  int carries = 0;             // messages to the next shard, and descriptors that came with one
  bool on_its_way = false;     // in one of these, and in no slot of the next shard yet
  bool carry_faulted = false;  // by this kernel, so that it may be lost
  bool carry_lost = false;
  std::deque<Parcel> parcels{};
  std::vector<RequestPtr> armed{};
  bool wake_pending = false;

  size_t rx_room() const { return rx_max - std::min(rx_max, rx.size()); }
  size_t tx_room() const { return tx_max - std::min(tx_max, tx.size()); }
};

// A message of held clients.
struct CarryMessage {
  std::vector<uint8_t> bytes;
  std::vector<SocketPtr> sockets;
};
// Who takes them over where that is not simulated.
using CarrySink = std::function<void(std::span<const uint8_t>, std::span<const SocketPtr>)>;
struct CarryPipe {
  std::deque<CarryMessage> queue{};
  CarrySink sink{};
  std::optional<ring::OpTag> poll{};
  uint32_t starts = 0;  // ends open for writing
  bool last = false;    // there will be no others
  bool broken = false;  // whoever reads is gone

  bool readable() const { return !queue.empty() || (last && starts == 0); }
};

struct Pipe {
  ByteQueue bytes;
  bool read_open = true;
  bool write_open = true;
};

// How unkind this kernel is. Percents are of the operations they may hit.
struct Faults {
  uint64_t late_percent = 0;           // completions that come later
  Time late_max = 20;                  // by at most this
  uint64_t busy_percent = 0;           // turns that take time
  uint64_t multishot_end_percent = 0;  // multishots that end by themselves
  uint64_t short_read_percent = 0;
  uint64_t slice_percent = 0;          // turns that return only some of the completions
  uint64_t no_descriptor_percent = 0;  // accept, socket and install refused
  uint64_t log_error_percent = 0;
  Time log_delay_max = 0;
  uint64_t packet_error_percent = 0;  // packets that the gate's own kernel does not take
  uint64_t lost_ack_percent = 0;      // clients in the waiting room that do not answer a SYN-ACK
  uint64_t carry_full_percent = 0;    // messages to the next shard that find the socket full
  uint64_t carry_break_percent = 0;   // and those at which the next shard is gone
  uint32_t pipes_max = 128;
};

}  // namespace lychgate::sim
