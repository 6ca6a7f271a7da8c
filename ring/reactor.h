// The verbs a shard speaks to the kernel, and the seam that the simulator replaces.
// A reactor owns requests in flight and relay buffers; it knows no sessions, no time limits and no
// policy. Verbs that take a tag are queued, reach the kernel with the next turn() and are answered
// by one completion (multishot: by several); they never block. A slot is a direct descriptor.

#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "ring/tag.h"

namespace lychgate::ring {

// What came back. result is the kernel's: >= 0, or -errno.
struct Completion {
  OpTag tag;
  int32_t result = 0;
  bool more = false;  // a multishot request goes on
  // Provided buffer that holds the result bytes: a packet buffer for kDnsReceive, else a relay one.
  std::optional<uint16_t> buffer;
};

// Where an accept leaves the client's address; must live until its completion.
struct PeerAddress {
  union {
    sockaddr any;
    sockaddr_in6 v6;
  };
  socklen_t length = sizeof(sockaddr_in6);
  PeerAddress() : v6{} {}
};

// One descriptor and the bytes that go with it over a unix socket; must live until its completion.
struct DescriptorMessage {
  int fd = -1;
  std::span<const char> bytes;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{};
  msghdr header{};
};

// As many go with one message (SCM_MAX_FD, include/net/scm.h).
inline constexpr uint32_t kDescriptorsPerMessage = 253;

// A message that has come: its length, 0 at the end of the stream, or -errno; and how many
// descriptors were with it, which are the caller's.
struct MessageIn {
  ssize_t result = 0;
  uint32_t descriptors = 0;
};

enum class SendMode : uint8_t {
  kWhole,   // the completion comes when all bytes are in the socket, or with an error
  kNow,     // what fits now; -EAGAIN when nothing does
  kUntold,  // the same; it completes only when it failed, and always before what is asked later
};
enum class Readiness : uint8_t { kInput, kOutput };

// Both ends of a unix stream socket.
struct SocketPair {
  int ours = -1;    // for adopt()
  int theirs = -1;  // for a service that takes descriptors
};

struct PipePair {
  int read_end = -1;
  int write_end = -1;
};

class Reactor {
 public:
  virtual ~Reactor() = default;

  // Listeners and other real descriptors.
  // Into the table; result: the slot. -EAGAIN: nobody waits.
  virtual void accept_direct(int listener_fd, uint32_t table, PeerAddress& peer, OpTag tag) = 0;
  // One-shot: input (of a listener: a client that waits) or hang-up, at once if it is there
  // already.
  virtual void poll_fd(int fd, OpTag tag) = 0;
  virtual void cancel_fd(int fd, OpTag tag) = 0;  // everything armed on it
  virtual void write_fd(int fd, std::span<const char> bytes, OpTag tag) = 0;
  virtual void send_fd(int fd, std::span<const char> datagram, OpTag tag) = 0;  // DONTWAIT
  virtual void close_fd(int fd) = 0;
  // A datagram by a connected socket, DONTWAIT. Completes only when it failed; the bytes must live
  // until the next turn has returned, by when the kernel has copied or refused them.
  virtual void send_packet(int fd, std::span<const char> packet, OpTag tag) = 0;
  // Multishot into packet buffers; a longer datagram is cut at kPacketBufferBytes.
  virtual void receive_packets(int fd, OpTag tag) = 0;

  // Direct descriptors lie in tables of equal size; slot / table_size() is a slot's table. Table 0,
  // the main one, knows every verb; the others, which hold, know only those marked "any table", and
  // what they are asked is answered by the next turn.
  virtual uint32_t table_size() const = 0;
  // Any table. DONTWAIT, stays queued.
  virtual void peek(uint32_t slot, std::span<char> into, OpTag tag) = 0;
  // Any table. Throws away what has arrived (MSG_TRUNC: TCP copies nothing); DONTWAIT.
  virtual void discard(uint32_t slot, OpTag tag) = 0;
  // Any table. What has arrived, as far as there is room for it: DONTWAIT, and it is gone.
  virtual void take(uint32_t slot, std::span<char> into, OpTag tag) = 0;
  virtual void receive_multishot(uint32_t slot, OpTag tag) = 0;  // into provided buffers
  // One completion with what comes next, which stays queued until it is taken. Until then no buffer
  // is held; when none is free then, -ENOBUFS.
  virtual void peek_next(uint32_t slot, OpTag tag) = 0;
  virtual void receive_next(uint32_t slot, OpTag tag) = 0;  // the same, but it is taken
  // Any table; in one that holds never kWhole.
  virtual void send(uint32_t slot, std::span<const char> bytes, SendMode mode, OpTag tag) = 0;
  // Any table. op: kShutdown or kRelayShutdown
  virtual void shutdown_write(uint32_t slot, OpTag tag) = 0;
  // Any table. REQUIRES: nothing in flight for the slot, else the peer would see nothing
  // (measured).
  virtual void close(uint32_t slot, OpTag tag) = 0;
  // The same with a reset (RST), which takes a third less than an orderly end (measured): for peers
  // that have closed their side and are told nothing.
  virtual void close_by_reset(uint32_t slot, OpTag tag) = 0;
  virtual void cancel(uint32_t slot, OpTag tag) = 0;  // any table; all in flight for the slot
  // One request, by the tag it was begun with; -ENOENT when it has completed already.
  virtual void cancel_request(OpTag target, OpTag tag) = 0;
  virtual void poll(uint32_t slot, Readiness what, OpTag tag) = 0;  // one-shot
  virtual void install(uint32_t slot, OpTag tag) = 0;  // any table; result: a real descriptor
  // Only tables that hold: a second slot for the connection, in the main table. Result: that slot,
  // -ENFILE when the table is full. The first stays open.
  virtual void move_to_main(uint32_t slot, OpTag tag) = 0;
  // Any table. Real descriptors into free slots of the table, in order; the real ones stay open.
  // Result: how many found one, or -errno for none. The slot's number within the table takes the
  // place of each of these, which must live until the completion.
  virtual void adopt(uint32_t table, std::span<int> descriptors, OpTag tag) = 0;
  virtual void open_socket(int family, OpTag tag) = 0;  // result: the new slot
  virtual void set_nodelay(uint32_t slot, OpTag tag) = 0;
  // Any table. SO_RCVBUF, answered by the next turn. REQUIRES: the same bytes each time, since the
  // kernel reads them when the request runs.
  virtual void shrink(uint32_t slot, int bytes, OpTag tag) = 0;
  virtual void connect(uint32_t slot, const SocketAddress& to, OpTag tag) = 0;
  virtual void send_descriptor(uint32_t slot, DescriptorMessage& message, OpTag tag) = 0;

  // The few system calls of a hand-off or bulk relay; at once, never blocking.
  virtual Result<PipePair> make_pipe() = 0;
  virtual Result<SocketPair> make_socketpair() = 0;
  // Bytes moved, 0 at end of file, or -errno. from or to is a pipe end.
  virtual ssize_t splice(int from, int to, size_t bytes_max) = 0;
  virtual void set_nonblocking(int fd) = 0;
  virtual Endpoint local_endpoint(int fd) = 0;

  // Connections on their way from one process to another over a seqpacket socket; at once, never
  // blocking. The length of what was sent, or -errno.
  virtual ssize_t send_message(int fd, std::span<const uint8_t> bytes,
                               std::span<const int> descriptors) = 0;
  // descriptors has room for kDescriptorsPerMessage. Fewer than were sent come when the process
  // may open no more; the first ones do.
  virtual MessageIn receive_message(int fd, std::span<uint8_t> into,
                                    std::span<int> descriptors) = 0;

  // Provided buffers: a completion's buffer is the caller's until it gives it back.
  virtual std::span<const char> buffer(uint16_t id) const = 0;
  virtual void give_back(uint16_t id) = 0;
  virtual uint32_t buffers_free() const = 0;  // as far as completions seen tell
  virtual std::span<const char> packet(uint16_t id) const = 0;
  virtual void give_back_packet(uint16_t id) = 0;

  // Verbs wait for the next turn to reach the kernel.
  virtual bool has_queued() const = 0;
  // Submits, waits for the first completion up to wait (nullopt: without limit) and returns what
  // came, at most kCompletionsPerTurnMax. The span lives until the next turn.
  virtual std::span<const Completion> turn(std::optional<milliseconds> wait) = 0;
};

// Counts a request as in flight for a slot and makes its tag.
inline OpTag begin(SlotTable& slots, Op op, uint32_t slot) {
  Slot& entry = slots[slot];
  ++entry.in_flight;
  return OpTag::of(op, ConnId{slot, entry.generation});
}

// Takes a completion back from the in-flight count. nullptr: the connection is gone.
inline Slot* settle(SlotTable& slots, const Completion& completion) {
  Slot* slot = slots.find(completion.tag.connection());
  if (slot != nullptr && !completion.more) --slot->in_flight;
  return slot;
}

}  // namespace lychgate::ring
