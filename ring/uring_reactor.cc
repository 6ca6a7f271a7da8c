// Verbs to submission entries. Each verb is one entry; the queue is submitted once a turn, or in
// the middle of one when it is full (counted). Completions are copied out of the ring first and
// handed on afterwards, so that nothing runs while the queue is walked.

#include "ring/uring_reactor.h"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "core/base/check.h"
#include "ring/abi.h"
#include "ring/buffer_ring.h"

namespace lychgate::ring {
namespace {

constexpr uint16_t kRelayGroup = 0;
constexpr uint16_t kPacketGroup = 1;
// Marks the operation of a shutdown that goes the long way; taken out of the tag at completion.
constexpr uint64_t kByWorker = 0x80;
static_assert(static_cast<uint64_t>(Op::kDnsTcpReceive) < kByWorker);
// Read by the kernel at completion of a set_nodelay, so it must never move.
constexpr int kOn = 1;

constexpr unsigned input_events() {
  return POLLIN | POLLRDHUP;
}

}  // namespace

struct UringReactor::Kernel {
  // Destroyed after the ring that knows them.
  BufferRing relay_buffers;
  BufferRing packets;
  io_uring ring{};
  bool ring_made = false;
  std::vector<Completion> ready;

  ~Kernel() {
    if (ring_made) io_uring_queue_exit(&ring);
  }
  Result<void> set_up(const ReactorOptions& options);
};

Result<void> UringReactor::Kernel::set_up(const ReactorOptions& options) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = options.completion_entries;
  int outcome = io_uring_queue_init_params(options.submission_entries, &ring, &params);
  if (outcome < 0) {
    return fail(ExitCode::kUnavailable,
                fmt::format("{}", setup_refusal(-outcome, read_io_uring_disabled())));
  }
  ring_made = true;
  // Saves looking the ring's descriptor up at every enter; a kernel that refuses goes on without.
  io_uring_register_ring_fd(&ring);
  ready.reserve(kCompletionsPerTurnMax);
  outcome = io_uring_register_files_sparse(&ring, options.slots);
  if (outcome == -EMFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return fail(ExitCode::kOsError,
                fmt::format("descriptor limit too low: {} connection slots need RLIMIT_NOFILE {} "
                            "(it is {}); raise LimitNOFILE or lower limits.per_shard",
                            options.slots, options.slots, limit.rlim_cur));
  }
  if (outcome < 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot register {} direct descriptors: {}",
                                                options.slots, errno_text(-outcome)));
  }
  if (auto made = relay_buffers.set_up(
          ring, {.group = kRelayGroup, .count = options.buffers, .bytes = options.buffer_bytes});
      !made) {
    return made;
  }
  return packets.set_up(
      ring, {.group = kPacketGroup, .count = options.packets, .bytes = kPacketBufferBytes});
}

Result<std::unique_ptr<UringReactor>> UringReactor::create(const ReactorOptions& options) {
  auto kernel = std::make_unique<Kernel>();
  if (auto made = kernel->set_up(options); !made) return tl::unexpected(made.error());
  return std::unique_ptr<UringReactor>(new UringReactor(std::move(kernel)));
}

UringReactor::UringReactor(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
UringReactor::~UringReactor() = default;

int UringReactor::ring_fd() const {
  return kernel_->ring.ring_fd;
}

namespace {

// The next free entry, tagged. A full queue is submitted in the middle of the turn.
io_uring_sqe* next_entry(io_uring& ring, ReactorStats& stats) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  // Twice, since a submit may fail for a moment when the kernel is out of memory.
  for (int tries = 0; entry == nullptr && tries < 2; ++tries) {
    ++stats.submit_full;
    io_uring_submit(&ring);
    entry = io_uring_get_sqe(&ring);
  }
  LYCH_CHECK(entry != nullptr);
  return entry;
}

void tag_entry(io_uring_sqe* entry, OpTag tag) {
  io_uring_sqe_set_data64(entry, tag.pack());
}

void direct(io_uring_sqe* entry) {
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
}

}  // namespace

void UringReactor::poll_listener(int fd, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_poll_multishot(entry, fd, POLLIN);
  tag_entry(entry, tag);
}

void UringReactor::accept_direct(int listener_fd, PeerAddress& peer, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  peer.length = sizeof(peer.v6);
  io_uring_prep_accept(entry, listener_fd, &peer.any, &peer.length, 0);
  // Not by io_uring_prep_accept_direct: that of liburing 2.3 adds one to the index, which makes a
  // real descriptor of "any free slot".
  entry->file_index = abi::kFileIndexAlloc;
  entry->ioprio |= abi::kAcceptDontwait;
  tag_entry(entry, tag);
}

void UringReactor::poll_fd(int fd, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_poll_add(entry, fd, input_events());
  tag_entry(entry, tag);
}

void UringReactor::cancel_fd(int fd, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_cancel_fd(entry, fd, IORING_ASYNC_CANCEL_ALL);
  tag_entry(entry, tag);
}

void UringReactor::write_fd(int fd, std::span<const char> bytes, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_write(entry, fd, bytes.data(), static_cast<unsigned>(bytes.size()), ~uint64_t{0});
  tag_entry(entry, tag);
}

void UringReactor::send_fd(int fd, std::span<const char> datagram, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_send(entry, fd, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  tag_entry(entry, tag);
}

void UringReactor::close_fd(int fd) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_close(entry, fd);
  tag_entry(entry, OpTag::of(Op::kIgnored));
}

void UringReactor::send_packet(int fd, std::span<const char> packet, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_send(entry, fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
  tag_entry(entry, tag);
}

void UringReactor::receive_packets(int fd, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
  io_uring_sqe_set_flags(entry, IOSQE_BUFFER_SELECT);
  entry->buf_group = kPacketGroup;
  tag_entry(entry, tag);
}

void UringReactor::peek(uint32_t slot, std::span<char> into, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_recv(entry, static_cast<int>(slot), into.data(), into.size(),
                     MSG_PEEK | MSG_DONTWAIT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::discard(uint32_t slot, OpTag tag) {
  // tcp(7): MSG_TRUNC with a null buffer drops up to that many queued bytes.
  constexpr size_t kEverything = size_t{1} << 30;
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_recv(entry, static_cast<int>(slot), nullptr, kEverything, MSG_TRUNC | MSG_DONTWAIT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::receive_multishot(uint32_t slot, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_recv_multishot(entry, static_cast<int>(slot), nullptr, 0, 0);
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
  entry->buf_group = kRelayGroup;
  // A receive is armed when nothing has come yet: waiting first saves the attempt that would fail.
  entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
  tag_entry(entry, tag);
}

void UringReactor::send(uint32_t slot, std::span<const char> bytes, SendMode mode, OpTag tag) {
  const int flags = mode == SendMode::kWhole ? MSG_WAITALL : MSG_DONTWAIT;
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_send(entry, static_cast<int>(slot), bytes.data(), bytes.size(),
                     flags | MSG_NOSIGNAL);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::shutdown_write(uint32_t slot, OpTag tag) {
  install(slot, tag);
}

void UringReactor::close(uint32_t slot, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_close_direct(entry, slot);
  tag_entry(entry, tag);
}

void UringReactor::cancel(uint32_t slot, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_cancel_fd(entry, static_cast<int>(slot),
                          IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
  tag_entry(entry, tag);
}

void UringReactor::cancel_request(OpTag target, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_cancel64(entry, target.pack(), 0);
  tag_entry(entry, tag);
}

void UringReactor::poll(uint32_t slot, Readiness what, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_poll_add(entry, static_cast<int>(slot),
                         what == Readiness::kInput ? input_events() : POLLOUT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::install(uint32_t slot, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_rw(abi::kOpFixedFdInstall, entry, static_cast<int>(slot), nullptr, 0, 0);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::open_socket(int family, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  // A full unix backlog must answer -EAGAIN at once. The kernel hands such a connect to a worker
  // thread in any case (6.18); without O_NONBLOCK it would block there until the backlog has room.
  // A TCP connect needs the opposite: with O_NONBLOCK its -EINPROGRESS is final, without it the
  // ring waits for the handshake.
  const int type = SOCK_STREAM | (family == AF_UNIX ? SOCK_NONBLOCK : 0);
  io_uring_prep_socket_direct_alloc(entry, family, type, 0, 0);
  tag_entry(entry, tag);
}

void UringReactor::set_nodelay(uint32_t slot, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, static_cast<int>(slot), nullptr, 0, 0);
  entry->cmd_op = abi::kSocketOpSetsockopt;
  // Layout of struct io_uring_sqe since 6.7: level and optname share addr, optlen file_index.
  entry->addr = uint64_t{IPPROTO_TCP} | uint64_t{TCP_NODELAY} << 32;
  entry->file_index = sizeof(kOn);
  entry->addr3 = reinterpret_cast<uintptr_t>(&kOn);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::connect(uint32_t slot, const SocketAddress& to, OpTag tag) {
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_connect(entry, static_cast<int>(slot), &to.any, to.length);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::send_descriptor(uint32_t slot, DescriptorMessage& message, OpTag tag) {
  message.part = {const_cast<char*>(message.bytes.data()), message.bytes.size()};
  message.header = msghdr{};
  message.header.msg_iov = &message.part;
  message.header.msg_iovlen = 1;
  message.header.msg_control = message.control;
  message.header.msg_controllen = sizeof(message.control);
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(control), &message.fd, sizeof(int));
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_sendmsg(entry, static_cast<int>(slot), &message.header, MSG_NOSIGNAL);
  direct(entry);
  tag_entry(entry, tag);
}

Result<PipePair> UringReactor::make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot make a pipe: {}", errno_text(errno)));
  }
  // Refused above pipe-user-pages-soft for unprivileged users; the default size works too.
  fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return PipePair{ends[0], ends[1]};
}

ssize_t UringReactor::splice(int from, int to, size_t bytes_max) {
  const ssize_t moved =
      ::splice(from, nullptr, to, nullptr, bytes_max, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  return moved < 0 ? -errno : moved;
}

void UringReactor::set_nonblocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

Endpoint UringReactor::local_endpoint(int fd) {
  PeerAddress local;
  if (getsockname(fd, &local.any, &local.length) != 0) return {};
  return Endpoint::from_sockaddr(&local.any);
}

// IORING_OP_SHUTDOWN always goes through a worker thread (REQ_F_FORCE_ASYNC, io_uring/net.c): some
// 20 us where shutdown(2) on an installed descriptor takes 5. Only where no real descriptor is to
// be had is it used all the same, since the peer of a relay may wait for the end of its stream for
// ever. nullopt: the answer comes with a later completion.
std::optional<int32_t> UringReactor::shut(OpTag tag, int32_t fd) {
  if (fd >= 0) {
    const int32_t result = ::shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
    ::close(fd);
    return result;
  }
  if (fd != -EMFILE && fd != -ENFILE && fd != -ENOMEM) return fd;
  io_uring_sqe* entry = next_entry(kernel_->ring, stats_);
  io_uring_prep_shutdown(entry, static_cast<int>(tag.slot), SHUT_WR);
  direct(entry);
  tag.op |= kByWorker;
  tag_entry(entry, tag);
  return std::nullopt;
}

std::span<const char> UringReactor::buffer(uint16_t id) const {
  return kernel_->relay_buffers.bytes(id);
}

void UringReactor::give_back(uint16_t id) {
  kernel_->relay_buffers.give_back(id);
}

uint32_t UringReactor::buffers_free() const {
  return kernel_->relay_buffers.free();
}

std::span<const char> UringReactor::packet(uint16_t id) const {
  return kernel_->packets.bytes(id);
}

void UringReactor::give_back_packet(uint16_t id) {
  kernel_->packets.give_back(id);
}

std::span<const Completion> UringReactor::turn(std::optional<milliseconds> wait) {
  io_uring& ring = kernel_->ring;
  // Without a timeout liburing 2.3 goes back to waiting when a signal ends a wait that had also
  // submitted something; "without limit" is therefore a limit that does not matter.
  constexpr milliseconds kLongest = std::chrono::hours(24);
  const milliseconds span = std::clamp(wait.value_or(kLongest), milliseconds(0), kLongest);
  __kernel_timespec limit{};
  limit.tv_sec = span.count() / 1000;
  limit.tv_nsec = span.count() % 1000 * 1000000;
  io_uring_cqe* first = nullptr;
  // Errors are -ETIME and -EINTR, both a normal end of the wait, or -EBUSY while completions that
  // overflowed are drained below.
  io_uring_submit_and_wait_timeout(&ring, &first, 1, &limit, nullptr);
  if (io_uring_cq_has_overflow(&ring)) ++stats_.completion_overflow;

  kernel_->ready.clear();
  unsigned head = 0;
  unsigned seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring, head, cqe) {
    Completion done{OpTag::unpack(cqe->user_data), cqe->res, (cqe->flags & IORING_CQE_F_MORE) != 0,
                    std::nullopt};
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
      done.buffer = static_cast<uint16_t>(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
      const bool is_packet = done.tag.operation() == Op::kDnsReceive;
      (is_packet ? kernel_->packets : kernel_->relay_buffers).taken();
    }
    ++seen;
    const bool by_worker = (done.tag.op & kByWorker) != 0;
    done.tag.op &= kByWorker - 1;
    const Op op = done.tag.operation();
    if (!by_worker && (op == Op::kShutdown || op == Op::kRelayShutdown)) {
      const auto result = shut(done.tag, done.result);
      if (!result) continue;
      done.result = *result;
    }
    kernel_->ready.push_back(done);
    if (seen >= kCompletionsPerTurnMax) break;
  }
  io_uring_cq_advance(&ring, seen);
  return kernel_->ready;
}

}  // namespace lychgate::ring
