// The real reactor: an io_uring with SINGLE_ISSUER and DEFER_TASKRUN, a sparse table of direct
// descriptors and provided buffers; and, where RLIMIT_NOFILE is smaller than the number to hold,
// further rings with a table each that only hold (the limit counts for each table by itself, Linux
// 6.18, io_uring/rsrc.c). Made and used by one task only.

#pragma once

#include <memory>

#include "ring/features.h"
#include "ring/reactor.h"

struct io_uring_cqe;

namespace lychgate::ring {

class TableRing;

struct ReactorOptions {
  uint32_t slots = kSlotsMin;        // of each table of direct descriptors, <= RLIMIT_NOFILE
  uint32_t tables = 1;               // the main one and those that hold
  uint32_t buffers = kRelayBuffers;  // a power of two up to 32768
  uint32_t buffer_bytes = kRelayBufferBytes;
  uint32_t packets = kPacketBuffers;  // a power of two; 0: no datagrams are received
  uint32_t submission_entries = kSubmissionEntries;
  uint32_t completion_entries = kCompletionEntries;
};

// How often a bound of the ring was reached; read by the shard into its counters.
struct ReactorStats {
  uint64_t submit_full = 0;          // submission queue full, submitted in the middle of a turn
  uint64_t completion_overflow = 0;  // the kernel had to keep completions aside
  uint64_t hold_late = 0;            // requests to a ring that holds, not answered where submitted
};

class UringReactor : public Reactor {
 public:
  // Errors: kUnavailable for a refused ring, kOsError for limits that are too small (with what is
  // needed).
  static Result<std::unique_ptr<UringReactor>> create(const ReactorOptions& options);
  ~UringReactor() override;
  UringReactor(const UringReactor&) = delete;
  UringReactor& operator=(const UringReactor&) = delete;

  void accept_direct(int listener_fd, uint32_t table, PeerAddress& peer, OpTag tag) override;
  void poll_fd(int fd, OpTag tag) override;
  void cancel_fd(int fd, OpTag tag) override;
  void write_fd(int fd, std::span<const char> bytes, OpTag tag) override;
  void send_fd(int fd, std::span<const char> datagram, OpTag tag) override;
  void close_fd(int fd) override;
  void send_packet(int fd, std::span<const char> packet, OpTag tag) override;
  void receive_packets(int fd, OpTag tag) override;

  uint32_t table_size() const override;
  void peek(uint32_t slot, std::span<char> into, OpTag tag) override;
  void discard(uint32_t slot, OpTag tag) override;
  void take(uint32_t slot, std::span<char> into, OpTag tag) override;
  void receive_multishot(uint32_t slot, OpTag tag) override;
  void peek_next(uint32_t slot, OpTag tag) override;
  void receive_next(uint32_t slot, OpTag tag) override;
  void send(uint32_t slot, std::span<const char> bytes, SendMode mode, OpTag tag) override;
  void shutdown_write(uint32_t slot, OpTag tag) override;
  void close(uint32_t slot, OpTag tag) override;
  void close_by_reset(uint32_t slot, OpTag tag) override;
  void cancel(uint32_t slot, OpTag tag) override;
  void cancel_request(OpTag target, OpTag tag) override;
  void poll(uint32_t slot, Readiness what, OpTag tag) override;
  void install(uint32_t slot, OpTag tag) override;
  void move_to_main(uint32_t slot, OpTag tag) override;
  void adopt(uint32_t table, std::span<int> descriptors, OpTag tag) override;
  void open_socket(int family, OpTag tag) override;
  void set_nodelay(uint32_t slot, OpTag tag) override;
  void shrink(uint32_t slot, int bytes, OpTag tag) override;
  void connect(uint32_t slot, const SocketAddress& to, OpTag tag) override;
  void send_descriptor(uint32_t slot, DescriptorMessage& message, OpTag tag) override;

  Result<PipePair> make_pipe() override;
  Result<SocketPair> make_socketpair() override;
  ssize_t splice(int from, int to, size_t bytes_max) override;
  void set_nonblocking(int fd) override;
  Endpoint local_endpoint(int fd) override;
  ssize_t send_message(int fd, std::span<const uint8_t> bytes,
                       std::span<const int> descriptors) override;
  MessageIn receive_message(int fd, std::span<uint8_t> into, std::span<int> descriptors) override;

  std::span<const char> buffer(uint16_t id) const override;
  void give_back(uint16_t id) override;
  uint32_t buffers_free() const override;
  std::span<const char> packet(uint16_t id) const override;
  void give_back_packet(uint16_t id) override;
  bool has_queued() const override;
  std::span<const Completion> turn(std::optional<milliseconds> wait) override;

  const ReactorStats& stats() const { return stats_; }
  // The ring's own descriptor, for tests of what must not be done with it.
  int ring_fd() const;

 private:
  struct Kernel;  // everything of liburing
  explicit UringReactor(std::unique_ptr<Kernel> kernel);
  // A submission entry of the ring whose table has the slot, and the slot's number there.
  struct Place;
  Place place_of(uint32_t slot);
  struct SocketOption;
  void set_option(uint32_t slot, const SocketOption& option, uint32_t flags, OpTag tag);
  std::optional<int32_t> shut(OpTag tag, int32_t fd);
  void collect(const io_uring_cqe& cqe, uint32_t first_slot);
  uint32_t harvest(TableRing& ring, uint32_t first_slot);
  void turn_hold_rings();

  std::unique_ptr<Kernel> kernel_;
  ReactorStats stats_;
  int shrunk_to_ = 0;  // SO_RCVBUF as shrink() was told; 0: not yet
};

}  // namespace lychgate::ring
