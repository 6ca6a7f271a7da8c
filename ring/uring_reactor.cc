// Verbs to submission entries. Each verb is one entry; the queue is submitted once a turn, or in
// the middle of one when it is full (counted). Completions are copied out of the ring first and
// handed on afterwards, so that nothing runs while the queue is walked.

#include "ring/uring_reactor.h"

#include <fcntl.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
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
#include "ring/table_ring.h"

namespace lychgate::ring {
namespace {

constexpr uint16_t kRelayGroup = 0;
constexpr uint16_t kPacketGroup = 1;
// Marks the operation of a shutdown that goes the long way; taken out of the tag at completion.
constexpr uint64_t kByWorker = 0x80;
static_assert(static_cast<uint64_t>(Op::kCheckReceive) < kByWorker);
// Values of socket options; read by the kernel when the request runs, so they must never move.
constexpr int kOn = 1;
constexpr linger kNoLinger{1, 0};  // socket(7): close sends a reset

// How long a turn may wait while a ring that holds owes an answer: nothing would wake it.
constexpr milliseconds kHoldLate{10};

constexpr unsigned input_events() {
  return POLLIN | POLLRDHUP;
}

}  // namespace

struct UringReactor::Kernel {
  // Destroyed after the ring that knows them.
  BufferRing relay_buffers;
  BufferRing packets;
  TableRing main;
  std::vector<std::unique_ptr<TableRing>> holds;  // of the tables 1, 2, ...
  std::vector<uint32_t> listed;                   // of these, what this turn must enter
  uint32_t table_size = 0;
  std::vector<Completion> ready;

  Result<void> set_up(const ReactorOptions& options);
};

Result<void> UringReactor::Kernel::set_up(const ReactorOptions& options) {
  table_size = options.slots;
  if (auto made = main.set_up({.slots = options.slots,
                               .submission_entries = options.submission_entries,
                               .completion_entries = options.completion_entries});
      !made) {
    return made;
  }
  // Saves looking the ring's descriptor up at every enter; a kernel that refuses goes on without.
  // (At most 16 for each task, so only this one.)
  io_uring_register_ring_fd(&main.kernel());
  ready.reserve(kCompletionsPerTurnMax);
  for (uint32_t table = 1; table < options.tables; ++table) {
    auto made = holds.emplace_back(std::make_unique<TableRing>())
                    ->set_up({.slots = options.slots,
                              .submission_entries = kHoldSubmissionEntries,
                              .completion_entries = kHoldCompletionEntries});
    if (!made) return made;
  }
  listed.reserve(holds.size());
  if (auto made = relay_buffers.set_up(
          main.kernel(),
          {.group = kRelayGroup, .count = options.buffers, .bytes = options.buffer_bytes});
      !made) {
    return made;
  }
  return packets.set_up(
      main.kernel(),
      {.group = kPacketGroup, .count = options.packets, .bytes = kPacketBufferBytes});
}

Result<std::unique_ptr<UringReactor>> UringReactor::create(const ReactorOptions& options) {
  auto kernel = std::make_unique<Kernel>();
  if (auto made = kernel->set_up(options); !made) return tl::unexpected(made.error());
  return std::unique_ptr<UringReactor>(new UringReactor(std::move(kernel)));
}

UringReactor::UringReactor(std::unique_ptr<Kernel> kernel) : kernel_(std::move(kernel)) {}
UringReactor::~UringReactor() = default;

int UringReactor::ring_fd() const {
  return kernel_->main.kernel().ring_fd;
}

namespace {

void tag_entry(io_uring_sqe* entry, OpTag tag) {
  io_uring_sqe_set_data64(entry, tag.pack());
}

void direct(io_uring_sqe* entry) {
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
}

}  // namespace

struct UringReactor::Place {
  io_uring_sqe* entry;
  int file;
};

UringReactor::Place UringReactor::place_of(uint32_t slot) {
  const uint32_t table = slot / kernel_->table_size;
  const auto file = static_cast<int>(slot % kernel_->table_size);
  if (table == 0) return {kernel_->main.next_entry(stats_.submit_full), file};
  TableRing& ring = *kernel_->holds.at(table - 1);
  if (!ring.listed) kernel_->listed.push_back(table - 1);
  ring.listed = true;
  ++ring.unanswered;
  return {ring.next_entry(stats_.submit_full), file};
}

uint32_t UringReactor::table_size() const {
  return kernel_->table_size;
}

void UringReactor::accept_direct(int listener_fd, uint32_t table, PeerAddress& peer, OpTag tag) {
  io_uring_sqe* const entry = place_of(table * kernel_->table_size).entry;
  peer.length = sizeof(peer.v6);
  io_uring_prep_accept(entry, listener_fd, &peer.any, &peer.length, 0);
  // Not by io_uring_prep_accept_direct: that of liburing 2.3 adds one to the index, which makes a
  // real descriptor of "any free slot".
  entry->file_index = abi::kFileIndexAlloc;
  entry->ioprio |= abi::kAcceptDontwait;
  tag_entry(entry, tag);
}

void UringReactor::poll_fd(int fd, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_poll_add(entry, fd, input_events());
  tag_entry(entry, tag);
}

void UringReactor::cancel_fd(int fd, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_cancel_fd(entry, fd, IORING_ASYNC_CANCEL_ALL);
  tag_entry(entry, tag);
}

void UringReactor::write_fd(int fd, std::span<const char> bytes, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_write(entry, fd, bytes.data(), static_cast<unsigned>(bytes.size()), ~uint64_t{0});
  tag_entry(entry, tag);
}

void UringReactor::send_fd(int fd, std::span<const char> datagram, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_send(entry, fd, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  tag_entry(entry, tag);
}

void UringReactor::close_fd(int fd) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_close(entry, fd);
  tag_entry(entry, OpTag::of(Op::kIgnored));
}

void UringReactor::send_packet(int fd, std::span<const char> packet, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_send(entry, fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
  tag_entry(entry, tag);
}

void UringReactor::receive_packets(int fd, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
  io_uring_sqe_set_flags(entry, IOSQE_BUFFER_SELECT);
  entry->buf_group = kPacketGroup;
  tag_entry(entry, tag);
}

void UringReactor::peek(uint32_t slot, std::span<char> into, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv(entry, file, into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::discard(uint32_t slot, OpTag tag) {
  // tcp(7): MSG_TRUNC with a null buffer drops up to that many queued bytes.
  constexpr size_t kEverything = size_t{1} << 30;
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv(entry, file, nullptr, kEverything, MSG_TRUNC | MSG_DONTWAIT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::take(uint32_t slot, std::span<char> into, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv(entry, file, into.data(), into.size(), MSG_DONTWAIT);
  direct(entry);
  tag_entry(entry, tag);
}

namespace {

void into_relay_buffer(io_uring_sqe* entry, OpTag tag) {
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
  entry->buf_group = kRelayGroup;
  // A receive is armed when nothing has come yet: waiting first saves the attempt that would fail.
  entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
  tag_entry(entry, tag);
}

}  // namespace

void UringReactor::receive_multishot(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv_multishot(entry, file, nullptr, 0, 0);
  into_relay_buffer(entry, tag);
}

void UringReactor::receive_next(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv(entry, file, nullptr, 0, 0);
  into_relay_buffer(entry, tag);
}

void UringReactor::peek_next(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_recv(entry, file, nullptr, 0, MSG_PEEK);
  into_relay_buffer(entry, tag);
}

void UringReactor::send(uint32_t slot, std::span<const char> bytes, SendMode mode, OpTag tag) {
  const bool whole = mode == SendMode::kWhole && slot < kernel_->table_size;
  const int flags = whole ? MSG_WAITALL : MSG_DONTWAIT;
  const auto [entry, file] = place_of(slot);
  io_uring_prep_send(entry, file, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
  // A ring that holds counts its answers, so that there the caller drops one that says nothing.
  const bool untold = mode == SendMode::kUntold && slot < kernel_->table_size;
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE | (untold ? IOSQE_CQE_SKIP_SUCCESS : 0u));
  tag_entry(entry, tag);
}

void UringReactor::shutdown_write(uint32_t slot, OpTag tag) {
  install(slot, tag);
}

void UringReactor::close(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_close_direct(entry, static_cast<unsigned>(file));
  tag_entry(entry, tag);
}

void UringReactor::cancel(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_cancel_fd(entry, file, IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD_FIXED);
  tag_entry(entry, tag);
}

void UringReactor::cancel_request(OpTag target, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  io_uring_prep_cancel64(entry, target.pack(), 0);
  tag_entry(entry, tag);
}

void UringReactor::poll(uint32_t slot, Readiness what, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_poll_add(entry, file, what == Readiness::kInput ? input_events() : POLLOUT);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::install(uint32_t slot, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_rw(abi::kOpFixedFdInstall, entry, file, nullptr, 0, 0);
  direct(entry);
  tag_entry(entry, tag);
}

void UringReactor::move_to_main(uint32_t slot, OpTag tag) {
  LYCH_CHECK(slot >= kernel_->table_size);
  const auto [entry, file] = place_of(slot);
  // IORING_OP_MSG_RING with IORING_MSG_SEND_FD (6.0): the main ring tells the new slot under this
  // tag; the ring that holds answers 0, which is dropped (take), or what went wrong.
  io_uring_prep_rw(IORING_OP_MSG_RING, entry, kernel_->main.kernel().ring_fd, nullptr, 0,
                   tag.pack());
  entry->addr = abi::kMsgSendFd;
  entry->addr3 = static_cast<uint64_t>(file);
  entry->file_index = abi::kFileIndexAlloc;
  tag_entry(entry, tag);
}

void UringReactor::adopt(uint32_t table, std::span<int> descriptors, OpTag tag) {
  io_uring_sqe* const entry = place_of(table * kernel_->table_size).entry;
  // IORING_OP_FILES_UPDATE into any free slots (6.0): the kernel writes their numbers back.
  io_uring_prep_rw(IORING_OP_FILES_UPDATE, entry, -1, descriptors.data(),
                   static_cast<unsigned>(descriptors.size()), abi::kFileIndexAlloc);
  tag_entry(entry, tag);
}

void UringReactor::open_socket(int family, OpTag tag) {
  io_uring_sqe* entry = kernel_->main.next_entry(stats_.submit_full);
  // A full unix backlog must answer -EAGAIN at once. The kernel hands such a connect to a worker
  // thread in any case (6.18); without O_NONBLOCK it would block there until the backlog has room.
  // A TCP connect needs the opposite: with O_NONBLOCK its -EINPROGRESS is final, without it the
  // ring waits for the handshake.
  const int type = SOCK_STREAM | (family == AF_UNIX ? SOCK_NONBLOCK : 0);
  io_uring_prep_socket_direct_alloc(entry, family, type, 0, 0);
  tag_entry(entry, tag);
}

struct UringReactor::SocketOption {
  int level;
  int name;
  const void* value;  // read by the kernel while the request runs
  uint32_t bytes;
};

void UringReactor::set_option(uint32_t slot, const SocketOption& option, uint32_t flags,
                              OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, file, nullptr, 0, 0);
  entry->cmd_op = abi::kSocketOpSetsockopt;
  // Layout of struct io_uring_sqe since 6.7: level and optname share addr, optlen file_index.
  entry->addr = static_cast<uint64_t>(option.level) | static_cast<uint64_t>(option.name) << 32;
  entry->file_index = option.bytes;
  entry->addr3 = reinterpret_cast<uintptr_t>(option.value);
  io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE | flags);
  tag_entry(entry, tag);
}

void UringReactor::set_nodelay(uint32_t slot, OpTag tag) {
  set_option(slot, {IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn)}, 0, tag);
}

void UringReactor::shrink(uint32_t slot, int bytes, OpTag tag) {
  LYCH_CHECK(shrunk_to_ == 0 || shrunk_to_ == bytes);
  shrunk_to_ = bytes;
  set_option(slot, {SOL_SOCKET, SO_RCVBUF, &shrunk_to_, sizeof(shrunk_to_)}, 0, tag);
}

void UringReactor::close_by_reset(uint32_t slot, OpTag tag) {
  // Linked hard: the close follows even if the option was refused, and then ends in order.
  set_option(slot, {SOL_SOCKET, SO_LINGER, &kNoLinger, sizeof(kNoLinger)}, IOSQE_IO_HARDLINK,
             OpTag::of(Op::kIgnored));
  close(slot, tag);
}

void UringReactor::connect(uint32_t slot, const SocketAddress& to, OpTag tag) {
  const auto [entry, file] = place_of(slot);
  io_uring_prep_connect(entry, file, &to.any, to.length);
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
  const auto [entry, file] = place_of(slot);
  io_uring_prep_sendmsg(entry, file, &message.header, MSG_NOSIGNAL);
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

Result<SocketPair> UringReactor::make_socketpair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot make a socketpair: {}", errno_text(errno)));
  }
  return SocketPair{ends[0], ends[1]};
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

namespace {

// Control bytes of a message with as many descriptors as one can have.
struct DescriptorsControl {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kDescriptorsPerMessage * sizeof(int))];
};

}  // namespace

ssize_t UringReactor::send_message(int fd, std::span<const uint8_t> bytes,
                                   std::span<const int> descriptors) {
  LYCH_CHECK(!descriptors.empty() && descriptors.size() <= kDescriptorsPerMessage);
  DescriptorsControl control{};
  iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  const ssize_t sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

MessageIn UringReactor::receive_message(int fd, std::span<uint8_t> into,
                                        std::span<int> descriptors) {
  LYCH_CHECK(descriptors.size() >= kDescriptorsPerMessage);
  DescriptorsControl control{};
  iovec part{into.data(), into.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes;
  header.msg_controllen = sizeof(control.bytes);
  const ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return {-errno, 0};
  MessageIn message{got, 0};
  for (cmsghdr* part_of = CMSG_FIRSTHDR(&header); part_of != nullptr;
       part_of = CMSG_NXTHDR(&header, part_of)) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    const size_t size = part_of->cmsg_len - CMSG_LEN(0);
    std::memcpy(descriptors.data(), CMSG_DATA(part_of), size);
    message.descriptors = static_cast<uint32_t>(size / sizeof(int));
  }
  return message;
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
  const auto [entry, file] = place_of(static_cast<uint32_t>(tag.slot));
  io_uring_prep_shutdown(entry, file, SHUT_WR);
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

void UringReactor::collect(const io_uring_cqe& cqe, uint32_t first_slot) {
  Completion done{OpTag::unpack(cqe.user_data), cqe.res, (cqe.flags & IORING_CQE_F_MORE) != 0,
                  std::nullopt};
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    done.buffer = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    const bool is_packet = done.tag.operation() == Op::kDnsReceive;
    (is_packet ? kernel_->packets : kernel_->relay_buffers).taken();
  }
  const bool by_worker = (done.tag.op & kByWorker) != 0;
  done.tag.op &= kByWorker - 1;
  const Op op = done.tag.operation();
  if (!by_worker && (op == Op::kShutdown || op == Op::kRelayShutdown)) {
    const auto result = shut(done.tag, done.result);
    if (!result) return;
    done.result = *result;
  }
  if (op == Op::kMove && done.result >= 0 && first_slot > 0) return;
  if (op == Op::kAccept && done.result >= 0) done.result += static_cast<int32_t>(first_slot);
  kernel_->ready.push_back(done);
}

// Moves completions of one ring to `ready`, as many as there is room for. Returns how many.
uint32_t UringReactor::harvest(TableRing& ring, uint32_t first_slot) {
  if (io_uring_cq_has_overflow(&ring.kernel())) ++stats_.completion_overflow;
  unsigned head = 0;
  uint32_t seen = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring.kernel(), head, cqe) {
    if (kernel_->ready.size() == kCompletionsPerTurnMax) break;
    collect(*cqe, first_slot);
    ++seen;
  }
  io_uring_cq_advance(&ring.kernel(), seen);
  return seen;
}

// Everything that such a ring is asked is answered while it is submitted, or (a move) by the work
// that the second enter runs. One that still owes answers stays listed.
void UringReactor::turn_hold_rings() {
  size_t kept = 0;
  for (size_t i = 0; i < kernel_->listed.size(); ++i) {
    const uint32_t index = kernel_->listed[i];
    TableRing& ring = *kernel_->holds[index];
    if (io_uring_sq_ready(&ring.kernel()) > 0) io_uring_submit(&ring.kernel());
    const uint32_t first_slot = (index + 1) * kernel_->table_size;
    ring.unanswered -= harvest(ring, first_slot);
    // Such work runs in slices (20 at a time, Linux 6.18, io_uring/io_uring.c).
    for (uint32_t seen = 1; seen > 0 && ring.unanswered > 0;) {
      io_uring_get_events(&ring.kernel());
      seen = harvest(ring, first_slot);
      ring.unanswered -= seen;
    }
    if (ring.unanswered > 0 && kernel_->ready.size() < kCompletionsPerTurnMax) ++stats_.hold_late;
    ring.listed = ring.unanswered > 0;
    if (ring.listed) kernel_->listed[kept++] = index;
  }
  kernel_->listed.resize(kept);
}

bool UringReactor::has_queued() const {
  return !kernel_->listed.empty() || io_uring_sq_ready(&kernel_->main.kernel()) > 0;
}

std::span<const Completion> UringReactor::turn(std::optional<milliseconds> wait) {
  kernel_->ready.clear();
  if (!kernel_->listed.empty()) turn_hold_rings();
  io_uring& ring = kernel_->main.kernel();
  // Without a timeout liburing 2.3 goes back to waiting when a signal ends a wait that had also
  // submitted something; "without limit" is therefore a limit that does not matter.
  constexpr milliseconds kLongest = std::chrono::hours(24);
  milliseconds span = std::clamp(wait.value_or(kLongest), milliseconds(0), kLongest);
  if (!kernel_->listed.empty()) span = std::min(span, kHoldLate);
  if (!kernel_->ready.empty()) span = milliseconds(0);
  __kernel_timespec limit{};
  limit.tv_sec = span.count() / 1000;
  limit.tv_nsec = span.count() % 1000 * 1000000;
  io_uring_cqe* first = nullptr;
  // Errors are -ETIME and -EINTR, both a normal end of the wait, or -EBUSY while completions that
  // overflowed are drained below. Not to wait at all is another call: a limit of 0 would still set
  // a timer and go to sleep.
  if (span == milliseconds(0)) {
    io_uring_submit_and_get_events(&ring);
  } else {
    io_uring_submit_and_wait_timeout(&ring, &first, 1, &limit, nullptr);
  }
  harvest(kernel_->main, 0);
  return kernel_->ready;
}

}  // namespace lychgate::ring
