// The addresses of clients that the kernel holds (greet.hold = "kernel"), known from their SYN, so
// that DNS lists are asked while they wait: an eBPF filter on the listeners writes each into a ring
// buffer, one a shard, that the shard reads from mapped memory. Opened by the supervisor before it
// gives up root; decides about no client, and asks the lists only as fast as its bounds allow,
// since anybody can forge a SYN.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/admission/access_list.h"
#include "core/base/address.h"
#include "core/base/counters.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/config/config.h"
#include "core/daemon/lookups.h"
#include "ring/reactor.h"

namespace lychgate::daemon {

// Bytes of one ring buffer: a power of two and whole pages. Some 10,000 SYNs, which is a fifth of a
// second of the worst flood that a core carries.
inline constexpr uint32_t kSynRingBytes = 256 * 1024;
// Records read in one turn; the rest waits for the next, which comes at once.
inline constexpr uint32_t kSynRecordsPerTurnMax = 1024;
// SYNs are collected for as long before the shard is woken again: the shortest wait is a second.
inline constexpr Tick kSynRestMs = 50;

// Descriptors of one shard's feed, inherited over fork.
struct SynFeedDoor {
  int ring_fd = -1;  // -1: none
  int lost_fd = -1;
};
// by_shard[s][l]: descriptor of listener l for shard s. Errors: a sentence for a warning; no
// listener then has a filter.
Result<std::vector<SynFeedDoor>> open_syn_feeds(const std::vector<std::vector<int>>& by_shard);

// Takes the filter off a listener, if it has one: a socket from systemd may have an earlier gate's.
void detach_syn_filter(int fd);

// A ring buffer as linux/bpf.h describes it. One reader.
class SynRing {
 public:
  struct Memory {
    uint64_t* consumed = nullptr;        // bytes, ours to write
    const uint64_t* produced = nullptr;  // bytes, the kernel's
    const uint8_t* data = nullptr;       // twice in a row, so that no record is cut
    uint32_t bytes = 0;                  // of data once; a power of two
    const uint64_t* lost = nullptr;      // records that found it full
  };
  explicit SynRing(const Memory& memory) : memory_(memory) {}
  // Maps a feed, to the end of the process.
  static Result<SynRing> map(const SynFeedDoor& door);

  // The next address; nullopt when there is none yet.
  std::optional<IpAddress> next();
  uint64_t lost() const;

 private:
  Memory memory_;
};

struct SynFeedParts {
  SynRing ring;
  int ring_fd = -1;  // readable when there is something
  ring::Reactor& reactor;
  ShardCounters& counters;
  const config::Config& config;
  const admission::AccessList* access = nullptr;  // nullptr: none
};

class SynFeed {
 public:
  using Ask = std::function<Lookups::Prefetched(const IpAddress&)>;

  SynFeed(const SynFeedParts& parts, Tick now);
  // From now on it wants turns: until then, the shard before may be reading the same ring.
  void begin();
  // The descriptor's poll (Op::kSynFeed) has completed.
  void woken(Tick now);
  // Once a turn, before the lookups send: asks about who has come.
  void advance(Tick now, const Ask& ask);
  void set_access(const admission::AccessList* access) { parts_.access = access; }
  // When it wants a turn though nothing completes.
  std::optional<Tick> next_wake() const;

 private:
  void refill(Tick now);
  bool is_stranger(const IpAddress& address) const;
  uint32_t read_all(const Ask& ask);

  SynFeedParts parts_;
  bool polled_ = false;  // a poll is in flight, and until it completes there is nothing to read
  Tick rest_until_;
  // What the ring's number was when it was last counted; nullopt: not begun.
  std::optional<uint64_t> lost_told_;
  uint64_t thousandths_;  // of addresses that may be asked about: a second's worth at most
  Tick refilled_;
};

}  // namespace lychgate::daemon
