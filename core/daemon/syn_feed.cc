// The filter is written instruction by instruction: it is short, and needs neither a compiler for
// BPF nor a library that loads its output. Kernel side first, then the reader.

#include "core/daemon/syn_feed.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

constexpr size_t kAddressBytes = sizeof(IpAddress::bytes);
constexpr char kRemedy[] =
    "without the SYN feed DNS lists are asked only when the kernel lets a client out: {}; grant "
    "CAP_BPF (AmbientCapabilities=CAP_BPF, and bpf in SystemCallFilter=) to ask them meanwhile";

long bpf(bpf_cmd command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

// Asked first: under a seccomp filter the call itself might end the process.
bool may_use_bpf() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return false;
  const auto has = [&sets](int capability) {
    return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
  };
  return has(CAP_BPF) || has(CAP_SYS_ADMIN);
}

int make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = key;
  attributes.value_size = value;
  attributes.max_entries = entries;
  attributes.map_flags = flags;
  return static_cast<int>(bpf(BPF_MAP_CREATE, attributes));
}

struct Operands {
  uint8_t to = 0;
  uint8_t from = 0;
  int16_t offset = 0;
  int32_t value = 0;
};

constexpr bpf_insn instruction(int code, const Operands& with) {
  bpf_insn out{};
  out.code = static_cast<uint8_t>(code);
  out.dst_reg = with.to & 0xf;
  out.src_reg = with.from & 0xf;
  out.off = with.offset;
  out.imm = with.value;
  return out;
}
constexpr bpf_insn set(uint8_t to, int32_t value) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, {.to = to, .value = value});
}
constexpr bpf_insn copy(uint8_t to, uint8_t from) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_X, {.to = to, .from = from});
}
constexpr bpf_insn add(uint8_t to, int32_t value) {
  // BPF_K, an operand in the instruction, is 0 as BPF_ADD is.
  return instruction(BPF_ALU64 | BPF_ADD, {.to = to, .value = value});
}
constexpr bpf_insn call(int32_t helper) {
  return instruction(BPF_JMP | BPF_CALL, {.value = helper});
}
// Jumps over as many of the instructions that follow.
constexpr bpf_insn skip_if(int comparison, uint8_t left, int32_t right, int16_t over) {
  return instruction(BPF_JMP | comparison | BPF_K, {.to = left, .offset = over, .value = right});
}

// R6: packet, whose bytes begin with the TCP header. Stack: the address, from R10 - 16 on.
// Children inherit the filter: what is no SYN leaves at the fourth instruction.
int load_filter(int ring_fd, int lost_fd) {
  constexpr uint8_t kR0 = 0, kR1 = 1, kR2 = 2, kR3 = 3, kR4 = 4, kR5 = 5, kR6 = 6, kR10 = 10;
  constexpr int32_t kFlagsAt = 13;  // RFC 9293 section 3.1
  constexpr int32_t kSyn = 0x02, kSynAndAck = 0x12;
  constexpr int32_t kSource4At = 12, kSource6At = 8;
  constexpr int16_t kProtocolAt = offsetof(__sk_buff, protocol);
  const int32_t v4 = htons(ETH_P_IP);
  const int32_t v6 = htons(ETH_P_IPV6);
  const int32_t mapped = static_cast<int32_t>(htonl(0x0000ffff));
  const std::array program{
      copy(kR6, kR1),
      instruction(BPF_LD | BPF_ABS | BPF_B, {.value = kFlagsAt}),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, {.to = kR0, .value = kSynAndAck}),
      skip_if(BPF_JNE, kR0, kSyn, 29),
      instruction(BPF_LDX | BPF_MEM | BPF_W, {.to = kR2, .from = kR6, .offset = kProtocolAt}),
      copy(kR3, kR10),
      skip_if(BPF_JEQ, kR2, v4, 5),
      skip_if(BPF_JNE, kR2, v6, 25),
      add(kR3, -16),
      set(kR2, kSource6At),
      set(kR4, 16),
      instruction(BPF_JMP | BPF_JA, {.offset = 5}),
      instruction(BPF_ST | BPF_MEM | BPF_DW, {.to = kR10, .offset = -16, .value = 0}),
      instruction(BPF_ST | BPF_MEM | BPF_W, {.to = kR10, .offset = -8, .value = mapped}),
      add(kR3, -4),
      set(kR2, kSource4At),
      set(kR4, 4),
      copy(kR1, kR6),
      set(kR5, BPF_HDR_START_NET),
      call(BPF_FUNC_skb_load_bytes_relative),
      skip_if(BPF_JNE, kR0, 0, 12),
      instruction(BPF_LD | BPF_IMM | BPF_DW,
                  {.to = kR1, .from = BPF_PSEUDO_MAP_FD, .value = ring_fd}),
      bpf_insn{},  // the upper half of the one before
      copy(kR2, kR10),
      add(kR2, -16),
      set(kR3, kAddressBytes),
      set(kR4, 0),
      call(BPF_FUNC_ringbuf_output),
      skip_if(BPF_JEQ, kR0, 0, 4),
      instruction(BPF_LD | BPF_IMM | BPF_DW,
                  {.to = kR1, .from = BPF_PSEUDO_MAP_VALUE, .value = lost_fd}),
      bpf_insn{},  // the upper half, and the place in the value
      set(kR2, 1),
      instruction(BPF_STX | BPF_ATOMIC | BPF_DW, {.to = kR1, .from = kR2, .value = BPF_ADD}),
      set(kR0, -1),  // the packet goes on, whole
      instruction(BPF_JMP | BPF_EXIT, {}),
  };
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<uintptr_t>(program.data());
  attributes.insn_cnt = program.size();
  attributes.license = reinterpret_cast<uintptr_t>("Apache-2.0");
  return static_cast<int>(bpf(BPF_PROG_LOAD, attributes));
}

tl::unexpected<Error> no_feed(std::string_view why) {
  return fail(ExitCode::kOsError, fmt::format(kRemedy, why));
}

bool attach(int filter, const std::vector<std::vector<int>>& by_shard, size_t shard) {
  for (size_t i = 0; i < by_shard[shard].size(); ++i) {
    // A socket that all shards accept from could tell only one of them.
    if (by_shard.size() > 1 && by_shard[0][i] == by_shard[1][i]) continue;
    if (setsockopt(by_shard[shard][i], SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)) != 0) {
      return false;
    }
  }
  return true;
}

// Fills the door of one shard; the reason it could not, with what was opened left in the door.
std::optional<std::string> open_feed(const std::vector<std::vector<int>>& by_shard, size_t shard,
                                     SynFeedDoor& door) {
  door.ring_fd = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, kSynRingBytes, 0);
  if (door.ring_fd < 0) return "bpf map: " + errno_text(errno);
  door.lost_fd =
      make_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(uint64_t), 1, BPF_F_MMAPABLE);
  if (door.lost_fd < 0) return "bpf map: " + errno_text(errno);
  const int filter = load_filter(door.ring_fd, door.lost_fd);
  if (filter < 0) return "bpf program: " + errno_text(errno);
  const bool attached = attach(filter, by_shard, shard);
  const int error = errno;
  close(filter);  // the listeners keep it
  if (!attached) return "SO_ATTACH_BPF: " + errno_text(error);
  return std::nullopt;
}

// A filter left behind would write for nobody.
void take_down(const std::vector<std::vector<int>>& by_shard,
               const std::vector<SynFeedDoor>& doors) {
  for (const std::vector<int>& listeners : by_shard) {
    for (const int fd : listeners) detach_syn_filter(fd);
  }
  for (const SynFeedDoor& door : doors) {
    if (door.ring_fd >= 0) close(door.ring_fd);
    if (door.lost_fd >= 0) close(door.lost_fd);
  }
}

}  // namespace

void detach_syn_filter(int fd) {
  const int unused = 0;  // but without a value the kernel refuses (Linux 6.18, sk_setsockopt)
  setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
}

Result<std::vector<SynFeedDoor>> open_syn_feeds(const std::vector<std::vector<int>>& by_shard) {
  if (!may_use_bpf()) return no_feed("no CAP_BPF");
  std::vector<SynFeedDoor> doors;
  for (size_t shard = 0; shard < by_shard.size(); ++shard) {
    const auto wrong = open_feed(by_shard, shard, doors.emplace_back());
    if (!wrong) continue;
    take_down(by_shard, doors);
    return no_feed(*wrong);
  }
  return doors;
}

Result<SynRing> SynRing::map(const SynFeedDoor& door) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto at = [](int fd, int rights, size_t bytes, size_t offset) {
    return mmap(nullptr, bytes, rights, MAP_SHARED, fd, static_cast<off_t>(offset));
  };
  void* ours = at(door.ring_fd, PROT_READ | PROT_WRITE, page, 0);
  void* kernels = at(door.ring_fd, PROT_READ, page + 2 * size_t{kSynRingBytes}, page);
  void* lost = at(door.lost_fd, PROT_READ, page, 0);
  if (ours == MAP_FAILED || kernels == MAP_FAILED || lost == MAP_FAILED) {
    return fail(ExitCode::kOsError, fmt::format("cannot map the SYN feed: {}", errno_text(errno)));
  }
  return SynRing({.consumed = static_cast<uint64_t*>(ours),
                  .produced = static_cast<const uint64_t*>(kernels),
                  .data = static_cast<const uint8_t*>(kernels) + page,
                  .bytes = kSynRingBytes,
                  .lost = static_cast<const uint64_t*>(lost)});
}

std::optional<IpAddress> SynRing::next() {
  for (;;) {
    const uint64_t at = *memory_.consumed;
    if (at == __atomic_load_n(memory_.produced, __ATOMIC_ACQUIRE)) return std::nullopt;
    const uint8_t* record = memory_.data + (at & (memory_.bytes - 1));
    const uint32_t head =
        __atomic_load_n(reinterpret_cast<const uint32_t*>(record), __ATOMIC_ACQUIRE);
    if ((head & BPF_RINGBUF_BUSY_BIT) != 0) return std::nullopt;  // being written just now
    const uint32_t size = head & ~BPF_RINGBUF_DISCARD_BIT;
    IpAddress address;
    if (size == kAddressBytes) {
      std::memcpy(address.bytes.data(), record + BPF_RINGBUF_HDR_SZ, kAddressBytes);
    }
    // Given back only when it has been read.
    const uint64_t whole = (uint64_t{size} + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    __atomic_store_n(memory_.consumed, at + whole, __ATOMIC_RELEASE);
    if (size == kAddressBytes && (head & BPF_RINGBUF_DISCARD_BIT) == 0) return address;
  }
}

uint64_t SynRing::lost() const {
  return __atomic_load_n(memory_.lost, __ATOMIC_RELAXED);
}

namespace {

constexpr uint64_t kOneAddress = 1000;  // in thousandths

}  // namespace

SynFeed::SynFeed(const SynFeedParts& parts, Tick now)
    : parts_(parts),
      rest_until_(now),
      thousandths_(parts.config.greet.syn_feed * kOneAddress),
      refilled_(now) {}

// The ring's number is of the ring's life, and the shard before has counted what was lost until
// now.
void SynFeed::begin() {
  lost_told_ = parts_.ring.lost();
}

void SynFeed::woken(Tick now) {
  polled_ = false;
  rest_until_ = now;
}

void SynFeed::refill(Tick now) {
  const uint64_t per_second = parts_.config.greet.syn_feed;
  const uint64_t earned = (now - refilled_) * per_second;  // in milliseconds: thousandths
  thousandths_ = std::min(thousandths_ + earned, per_second * kOneAddress);
  refilled_ = now;
}

// Lists are asked about nobody else once the client has come (core/daemon/session.cc).
bool SynFeed::is_stranger(const IpAddress& address) const {
  if (parts_.access == nullptr) return true;
  const admission::AccessResult found = parts_.access->lookup(address);
  if (found == admission::AccessResult::kPermit) return false;
  return found != admission::AccessResult::kReject ||
         parts_.config.access.reject == config::Action::kIgnore;
}

uint32_t SynFeed::read_all(const Ask& ask) {
  uint32_t read = 0;
  while (read < kSynRecordsPerTurnMax) {
    const auto address = parts_.ring.next();
    if (!address) break;
    ++read;
    if (!is_stranger(*address)) continue;
    const auto done = thousandths_ < kOneAddress ? Lookups::Prefetched::kNoRoom : ask(*address);
    if (done == Lookups::Prefetched::kNoRoom) {
      parts_.counters.add(Counter::kSynFeedSkipped);
    } else if (done == Lookups::Prefetched::kAsked) {
      parts_.counters.add(Counter::kSynPrefetched);
      thousandths_ -= kOneAddress;
    }
  }
  return read;
}

void SynFeed::advance(Tick now, const Ask& ask) {
  if (!lost_told_ || polled_ || !tick_reached(now, rest_until_)) return;
  refill(now);
  const uint32_t read = read_all(ask);
  const uint64_t lost = parts_.ring.lost();
  if (lost > *lost_told_) parts_.counters.add(Counter::kSynFeedLost, lost - *lost_told_);
  lost_told_ = lost;
  if (read == 0) {
    polled_ = true;
    parts_.reactor.poll_fd(parts_.ring_fd, ring::OpTag::of(ring::Op::kSynFeed));
  } else {
    rest_until_ = read == kSynRecordsPerTurnMax ? now : now + kSynRestMs;
  }
}

std::optional<Tick> SynFeed::next_wake() const {
  if (!lost_told_ || polled_) return std::nullopt;
  return rest_until_;
}

}  // namespace lychgate::daemon
