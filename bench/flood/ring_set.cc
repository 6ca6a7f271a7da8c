// Verbs to submission entries, with liburing. A ring that has nothing outstanding is never entered,
// and one eventfd for all rings wakes the flood: the descriptor of a ring with DEFER_TASKRUN cannot
// be polled itself.

#include "bench/flood/ring_set.h"

#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "core/base/check.h"
#include "ring/abi.h"
#include "ring/buffer_ring.h"
#include "ring/features.h"

namespace lychgate::flood {
namespace {

constexpr uint8_t kOpBind = 56;  // IORING_OP_BIND, Linux 6.11

constexpr uint32_t kSubmissions = 512;
constexpr uint32_t kCompletions = 4096;
// Buffers for bytes that have come and are not yet read; one out of them is asked for again.
constexpr uint32_t kBuffers = 256;
constexpr uint32_t kBufferBytes = 512;
// Completions handed out at once; each may queue the entries of one client's step.
constexpr uint32_t kBatch = 64;
constexpr uint32_t kEntriesPerStep = 8;
static_assert(kBatch < kBuffers);

// What a completion belongs to. kOpening is what precedes a connect, and speaks when it failed
// only.
enum class Verb : uint8_t { kOpening, kConnect, kReceive, kSend, kUnwatched };

uint64_t pack(uint32_t client, Verb verb) {
  return uint64_t{client} << 8 | static_cast<uint8_t>(verb);
}

// Read by the kernel when an option is set, so they never move.
constexpr int kOn = 1;
constexpr linger kNoLinger = {.l_onoff = 1, .l_linger = 0};

// What entries of a submission point to until the kernel has copied it, one for each entry.
struct EntryMemory {
  union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address;
  msghdr header;
  std::array<iovec, 3> parts;
};

// The buffers outlive the ring that knows them: members are destroyed last to first.
struct Ring {
  ring::BufferRing buffers;
  io_uring kernel{};
  bool made = false;
  uint32_t outstanding = 0;  // requests that will complete later
  std::array<EntryMemory, kSubmissions> memory{};

  Ring() = default;
  Ring(const Ring&) = delete;
  ~Ring() {
    if (made) io_uring_queue_exit(&kernel);
  }
  Result<void> set_up(uint32_t slots, int eventfd);
  io_uring_sqe* entry(uint32_t client, Verb verb);
  EntryMemory& memory_of(const io_uring_sqe* entry) {
    return memory[static_cast<size_t>(entry - kernel.sq.sqes)];
  }
  bool has_news() const {
    const unsigned flags = IO_URING_READ_ONCE(*kernel.sq.kflags);
    return io_uring_cq_ready(&kernel) > 0 ||
           (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }
};

Result<void> Ring::set_up(uint32_t slots, int eventfd) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = kCompletions;
  int outcome = io_uring_queue_init_params(kSubmissions, &kernel, &params);
  if (outcome == -EMFILE || outcome == -ENFILE) {
    return fail(ExitCode::kOsError,
                "no descriptor left for another ring: raise the limit (ulimit -n), or lower "
                "--parallel");
  }
  if (outcome < 0) {
    return fail(ExitCode::kUnavailable,
                ring::setup_refusal(-outcome, ring::read_io_uring_disabled()));
  }
  made = true;
  outcome = io_uring_register_files_sparse(&kernel, slots);
  if (outcome < 0) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot register {} direct descriptors in one ring: {}; lower "
                            "--per-ring or raise the descriptor limit (ulimit -n)",
                            slots, errno_text(-outcome)));
  }
  outcome = io_uring_register_eventfd(&kernel, eventfd);
  if (outcome < 0) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot register an eventfd: {}", errno_text(-outcome)));
  }
  io_uring_cq_eventfd_toggle(&kernel, false);
  return buffers.set_up(kernel, {.group = 0, .count = kBuffers, .bytes = kBufferBytes});
}

io_uring_sqe* Ring::entry(uint32_t client, Verb verb) {
  io_uring_sqe* out = io_uring_get_sqe(&kernel);
  LYCH_CHECK(out != nullptr);  // room_for() has seen to it
  std::memset(out, 0, sizeof(*out));
  io_uring_sqe_set_data64(out, pack(client, verb));
  return out;
}

// liburing's helpers clear the tag, so it is set after them.
void finish(io_uring_sqe* entry, uint64_t tag, unsigned flags) {
  io_uring_sqe_set_data64(entry, tag);
  io_uring_sqe_set_flags(entry, flags);
}

// Raises the soft limit to the hard one; the result is what the kernel checks a table against.
uint64_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

bool can_bind(io_uring& ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring);
  const bool out = probe != nullptr && probe->last_op >= kOpBind &&
                   (probe->ops[kOpBind].flags & IO_URING_OP_SUPPORTED) != 0;
  if (probe != nullptr) io_uring_free_probe(probe);
  return out;
}

}  // namespace

struct RingSet::Rings {
  std::vector<std::unique_ptr<Ring>> rings;
  uint32_t slots = 0;  // of each
  int eventfd = -1;
  std::array<Done, kBatch> batch{};
  std::array<uint16_t, kBatch> borrowed{};  // buffers of that batch
  uint32_t borrowed_count = 0;
  size_t borrowed_from = 0;

  ~Rings() {
    rings.clear();
    if (eventfd >= 0) ::close(eventfd);
  }
  Ring& of(uint32_t client) { return *rings[client / slots]; }
  int slot(uint32_t client) const { return static_cast<int>(client % slots); }
  void option(uint32_t client, Verb verb, int level, int name, const void* value, uint32_t length);
  void give_back();
};

RingSet::RingSet(std::unique_ptr<Rings> rings) : rings_(std::move(rings)) {}
RingSet::~RingSet() = default;

Result<std::unique_ptr<RingSet>> RingSet::create(const RingSetOptions& options) {
  const uint64_t limit = raise_descriptor_limit();
  auto made = std::make_unique<Rings>();
  const auto usual = static_cast<uint32_t>(std::min<uint64_t>(limit, kSlotsPerRing));
  const uint32_t slots = options.per_ring > 0 ? options.per_ring : usual;
  made->slots = std::min(slots, std::max(options.clients, 1u));
  const uint64_t count = (uint64_t{options.clients} + made->slots - 1) / made->slots;
  if (count + kOwnDescriptors > limit) {
    return fail(ExitCode::kOsError,
                fmt::format("{} clients need {} rings of {} direct descriptors, more than the "
                            "descriptor limit of {} (ulimit -n) lets this process open; raise it "
                            "or lower --parallel",
                            options.clients, count, made->slots, limit));
  }
  made->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (made->eventfd < 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot make an eventfd: {}", errno_text(errno)));
  }
  for (uint64_t i = 0; i < count; ++i) {
    made->rings.push_back(std::make_unique<Ring>());
    auto set_up = made->rings.back()->set_up(made->slots, made->eventfd);
    if (!set_up) return tl::unexpected(set_up.error());
    if (i > 0 || !options.binds || can_bind(made->rings[0]->kernel)) continue;
    return fail(ExitCode::kUnavailable,
                "this kernel cannot bind through io_uring: --sources needs Linux 6.11 or later");
  }
  return std::unique_ptr<RingSet>(new RingSet(std::move(made)));
}

void RingSet::room_for(uint32_t client) {
  io_uring& kernel = rings_->of(client).kernel;
  // A submit may fail for a moment when the kernel is out of memory; twice is out for good.
  for (int tries = 0; tries < 2; ++tries) {
    if (io_uring_sq_space_left(&kernel) >= kEntriesPerStep) return;
    io_uring_submit(&kernel);
  }
  LYCH_CHECK(io_uring_sq_space_left(&kernel) >= kEntriesPerStep);
}

void RingSet::Rings::option(uint32_t client, Verb verb, int level, int name, const void* value,
                            uint32_t length) {
  io_uring_sqe* entry = of(client).entry(client, verb);
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, slot(client), nullptr, 0, 0);
  entry->cmd_op = ring::abi::kSocketOpSetsockopt;
  // Layout of struct io_uring_sqe since 6.7: level and name share addr, the length file_index.
  entry->addr = static_cast<uint64_t>(level) | static_cast<uint64_t>(name) << 32;
  entry->file_index = length;
  entry->addr3 = reinterpret_cast<uintptr_t>(value);
  finish(entry, pack(client, verb), IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS);
}

// Not linked: the ring takes entries in their order, and each of these is done before the next is
// looked at. A link would put what follows it off to another turn; measured with a source, links
// cost 14.5 us a connect instead of 10, and a hundred times the latency.
void RingSet::open(uint32_t client, const SocketAddress* source, const SocketAddress& target) {
  Ring& ring = rings_->of(client);
  const int slot = rings_->slot(client);
  io_uring_sqe* entry = ring.entry(client, Verb::kOpening);
  // Without SOCK_NONBLOCK: with it EINPROGRESS would be final, without it the ring waits.
  io_uring_prep_socket_direct(entry, target.family(), SOCK_STREAM, 0, static_cast<unsigned>(slot),
                              0);
  finish(entry, pack(client, Verb::kOpening), IOSQE_CQE_SKIP_SUCCESS);
  const auto copied = [&](io_uring_sqe* of, const SocketAddress& address) {
    EntryMemory::Address& out = ring.memory_of(of).address;
    std::memcpy(&out, &address.any, address.length);
    return &out.any;
  };
  if (source != nullptr) {
    // The port is chosen at connect, when both ends are known: else 28,000 ports would be all.
    rings_->option(client, Verb::kOpening, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &kOn, sizeof(kOn));
    entry = ring.entry(client, Verb::kOpening);
    io_uring_prep_rw(kOpBind, entry, slot, copied(entry, *source), 0, source->length);
    finish(entry, pack(client, Verb::kOpening), IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE);
  }
  entry = ring.entry(client, Verb::kConnect);
  io_uring_prep_connect(entry, slot, copied(entry, target), target.length);
  finish(entry, pack(client, Verb::kConnect), IOSQE_FIXED_FILE);
  ++ring.outstanding;
}

void RingSet::receive(uint32_t client) {
  Ring& ring = rings_->of(client);
  io_uring_sqe* entry = ring.entry(client, Verb::kReceive);
  io_uring_prep_recv(entry, rings_->slot(client), nullptr, 0, 0);
  // Nothing has come yet as a rule: waiting first saves the attempt that would fail.
  entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
  finish(entry, pack(client, Verb::kReceive), IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
  ++ring.outstanding;
}

void RingSet::look(uint32_t client) {
  Ring& ring = rings_->of(client);
  io_uring_sqe* entry = ring.entry(client, Verb::kReceive);
  io_uring_prep_recv(entry, rings_->slot(client), nullptr, 0, MSG_DONTWAIT);
  finish(entry, pack(client, Verb::kReceive), IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT);
  ++ring.outstanding;
}

void RingSet::send(uint32_t client, const Words& words, bool whole) {
  Ring& ring = rings_->of(client);
  const unsigned flags = MSG_NOSIGNAL | static_cast<unsigned>(whole ? MSG_WAITALL : MSG_DONTWAIT);
  io_uring_sqe* entry = ring.entry(client, Verb::kSend);
  const int slot = rings_->slot(client);
  if (words.count == 1) {
    io_uring_prep_send(entry, slot, words.parts[0].data(), words.parts[0].size(),
                       static_cast<int>(flags));
  } else {
    EntryMemory& memory = ring.memory_of(entry);
    for (size_t i = 0; i < words.count; ++i) {
      memory.parts[i] = {const_cast<char*>(words.parts[i].data()), words.parts[i].size()};
    }
    memory.header = msghdr{};
    memory.header.msg_iov = memory.parts.data();
    memory.header.msg_iovlen = words.count;
    io_uring_prep_sendmsg(entry, slot, &memory.header, flags);
  }
  finish(entry, pack(client, Verb::kSend), IOSQE_FIXED_FILE);
  ++ring.outstanding;
}

void RingSet::cancel(uint32_t client, Request request) {
  const Verb verb = request == kConnect   ? Verb::kConnect
                    : request == kReceive ? Verb::kReceive
                                          : Verb::kSend;
  io_uring_sqe* entry = rings_->of(client).entry(client, Verb::kUnwatched);
  // By its tag: a search by descriptor would walk all requests of the ring.
  io_uring_prep_cancel64(entry, pack(client, verb), 0);
  finish(entry, pack(client, Verb::kUnwatched), IOSQE_CQE_SKIP_SUCCESS);
}

void RingSet::close(uint32_t client, Closing how) {
  if (how == Closing::kReset) {
    rings_->option(client, Verb::kUnwatched, SOL_SOCKET, SO_LINGER, &kNoLinger, sizeof(kNoLinger));
  }
  io_uring_sqe* entry = rings_->of(client).entry(client, Verb::kUnwatched);
  io_uring_prep_close_direct(entry, static_cast<unsigned>(rings_->slot(client)));
  finish(entry, pack(client, Verb::kUnwatched), IOSQE_CQE_SKIP_SUCCESS);
}

size_t RingSet::rings() const {
  return rings_->rings.size();
}

bool RingSet::wants_turn(size_t ring) const {
  const Ring& one = *rings_->rings[ring];
  return io_uring_sq_ready(&one.kernel) > 0 || one.has_news();
}

void RingSet::enter(size_t ring) {
  // An error is -EBUSY while overflowed completions wait to be taken, or want of memory; either
  // way the entries stay queued for the next turn.
  io_uring_submit_and_get_events(&rings_->rings[ring]->kernel);
}

void RingSet::Rings::give_back() {
  for (uint32_t i = 0; i < borrowed_count; ++i) {
    rings[borrowed_from]->buffers.give_back(borrowed[i]);
  }
  borrowed_count = 0;
}

std::span<const Done> RingSet::take(size_t ring) {
  rings_->give_back();
  rings_->borrowed_from = ring;
  Ring& one = *rings_->rings[ring];
  std::array<io_uring_cqe*, kBatch> entries;
  const unsigned seen = io_uring_peek_batch_cqe(&one.kernel, entries.data(), kBatch);
  size_t taken = 0;
  for (unsigned i = 0; i < seen; ++i) {
    const io_uring_cqe& cqe = *entries[i];
    const auto verb = static_cast<Verb>(cqe.user_data & 0xff);
    if (verb == Verb::kUnwatched) continue;
    if (verb != Verb::kOpening) --one.outstanding;
    Done& done = rings_->batch[taken++];
    done = {static_cast<uint32_t>(cqe.user_data >> 8), Done::What::kOpening, cqe.res, {}};
    if (verb == Verb::kConnect) done.what = Done::What::kConnected;
    if (verb == Verb::kReceive) done.what = Done::What::kReceived;
    if (verb == Verb::kSend) done.what = Done::What::kSent;
    if ((cqe.flags & IORING_CQE_F_BUFFER) == 0) continue;
    const auto buffer = static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    one.buffers.taken();
    rings_->borrowed[rings_->borrowed_count++] = buffer;
    const size_t length = cqe.res > 0 ? static_cast<size_t>(cqe.res) : 0;
    done.bytes = std::string_view(one.buffers.bytes(buffer).data(), length);
  }
  io_uring_cq_advance(&one.kernel, seen);
  return std::span(rings_->batch).first(taken);
}

void RingSet::wait(std::chrono::nanoseconds most) {
  const auto watch = [&](bool on) {
    for (const auto& ring : rings_->rings) {
      if (ring->outstanding > 0) io_uring_cq_eventfd_toggle(&ring->kernel, on);
    }
  };
  watch(true);
  // The kernel sets its flag and then reads ours; without the fence both might miss the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto news = [](const auto& ring) { return ring->has_news(); };
  if (!std::any_of(rings_->rings.begin(), rings_->rings.end(), news)) {
    const int64_t span = std::max<int64_t>(most.count(), 0);
    const timespec limit{span / 1'000'000'000, span % 1'000'000'000};
    pollfd wake{rings_->eventfd, POLLIN, 0};
    if (ppoll(&wake, 1, &limit, nullptr) > 0) {
      uint64_t count;
      [[maybe_unused]] const ssize_t got = read(rings_->eventfd, &count, sizeof(count));
    }
  }
  watch(false);
}

}  // namespace lychgate::flood
