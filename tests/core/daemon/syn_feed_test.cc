// The SYN feed: the reader on a ring buffer made of plain memory, its bounds, and the filter itself
// on real listeners, where the kernel lets us load one.

#include "core/daemon/syn_feed.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using Prefetched = Lookups::Prefetched;

IpAddress client(uint32_t number) {
  return IpAddress::from_v4(0x0a000000 + number);
}

// The kernel's side, as linux/bpf.h describes it.
class FakeRing {
 public:
  explicit FakeRing(uint32_t bytes) : data_(2 * size_t{bytes}), bytes_(bytes) {}

  SynRing reader() {
    return SynRing({.consumed = &consumed,
                    .produced = &produced,
                    .data = data_.data(),
                    .bytes = bytes_,
                    .lost = &lost});
  }
  // False, and counted, when it is full. flags: busy or discarded.
  bool write(const IpAddress& address, uint32_t flags = 0) {
    const uint32_t size = sizeof(address.bytes);
    if (produced - consumed + size + BPF_RINGBUF_HDR_SZ > bytes_) {
      ++lost;
      return false;
    }
    std::vector<uint8_t> record(size + BPF_RINGBUF_HDR_SZ);
    const uint32_t head = size | flags;
    std::memcpy(record.data(), &head, sizeof(head));
    std::memcpy(record.data() + BPF_RINGBUF_HDR_SZ, address.bytes.data(), size);
    for (size_t i = 0; i < record.size(); ++i) {
      const size_t at = (produced + i) % bytes_;
      data_[at] = data_[at + bytes_] = record[i];
    }
    produced += record.size();
    return true;
  }
  void finish_at(uint64_t at) {
    uint32_t head = 0;
    std::memcpy(&head, &data_[at % bytes_], sizeof(head));
    head &= ~BPF_RINGBUF_BUSY_BIT;
    std::memcpy(&data_[at % bytes_], &head, sizeof(head));
  }

  uint64_t consumed = 0;
  uint64_t produced = 0;
  uint64_t lost = 0;

 private:
  std::vector<uint8_t> data_;
  uint32_t bytes_;
};

TEST(SynRing, GivesEachAddressOnceInOrder) {
  FakeRing kernel(4096);
  SynRing ring = kernel.reader();
  EXPECT_EQ(ring.next(), std::nullopt);
  uint32_t read = 0;
  // Many times round, since 24 bytes do not divide its size.
  for (uint32_t written = 0; written < 5000; ++written) {
    ASSERT_TRUE(kernel.write(client(written)));
    if (written % 100 != 99) continue;
    while (const auto address = ring.next()) ASSERT_EQ(*address, client(read++));
  }
  EXPECT_EQ(read, 5000U);
  EXPECT_EQ(kernel.consumed, kernel.produced);
}

TEST(SynRing, WaitsForARecordThatIsBeingWrittenAndPassesOverADiscardedOne) {
  FakeRing kernel(4096);
  SynRing ring = kernel.reader();
  kernel.write(client(1), BPF_RINGBUF_DISCARD_BIT);
  kernel.write(client(2));
  const uint64_t third = kernel.produced;
  kernel.write(client(3), BPF_RINGBUF_BUSY_BIT);
  kernel.write(client(4));
  EXPECT_EQ(ring.next(), client(2));
  EXPECT_EQ(ring.next(), std::nullopt);
  kernel.finish_at(third);
  EXPECT_EQ(ring.next(), client(3));
  EXPECT_EQ(ring.next(), client(4));
}

class SynFeedTest : public testing::Test {
 protected:
  static constexpr uint32_t kPerSecond = 3000;
  SynFeedTest() : fd_(world_.reactor.make_control()) { config_.greet.syn_feed = kPerSecond; }

  SynFeed make(const admission::AccessList* access = nullptr) {
    SynFeed feed = make_idle(0, access);
    feed.begin();
    return feed;
  }
  SynFeed make_idle(uint32_t block, const admission::AccessList* access = nullptr) {
    return SynFeed({.ring = kernel_.reader(),
                    .ring_fd = fd_,
                    .reactor = world_.reactor,
                    .counters = world_.counters.shards()[block],
                    .config = config_,
                    .access = access},
                   0);
  }
  void advance(SynFeed& feed, Tick now, Prefetched answer = Prefetched::kAsked) {
    feed.advance(now, [&](const IpAddress& address) {
      asked_.push_back(address);
      return answer;
    });
  }
  uint64_t count(Counter counter, uint32_t block = 0) {
    return world_.counters.shards()[block].get(counter);
  }

  sim::SmallWorld world_{{.slots = 64, .faults = {}}};
  config::Config config_;
  FakeRing kernel_{1 << 20};
  int fd_;
  std::vector<IpAddress> asked_;
};

TEST_F(SynFeedTest, SleepsUntilThereIsSomethingThenRestsBetweenReads) {
  SynFeed feed = make();
  EXPECT_EQ(feed.next_wake(), 0U);
  advance(feed, 0);
  EXPECT_EQ(feed.next_wake(), std::nullopt) << "the descriptor is polled";
  kernel_.write(client(1));
  advance(feed, 5);
  EXPECT_TRUE(asked_.empty()) << "not before the poll says so";
  feed.woken(10);
  advance(feed, 10);
  EXPECT_EQ(asked_, std::vector{client(1)});
  EXPECT_EQ(feed.next_wake(), 10 + kSynRestMs);
  kernel_.write(client(2));
  advance(feed, 20);
  EXPECT_EQ(asked_.size(), 1U);
  advance(feed, 10 + kSynRestMs);
  EXPECT_EQ(asked_.size(), 2U);
  advance(feed, 10 + 2 * kSynRestMs);
  EXPECT_EQ(feed.next_wake(), std::nullopt) << "nothing came while it rested";
  EXPECT_EQ(count(Counter::kSynPrefetched), 2U);
}

TEST_F(SynFeedTest, ReadsSoManyATurnAndAsksSoManyASecond) {
  SynFeed feed = make();
  const uint32_t flood = 2 * kPerSecond;
  for (uint32_t i = 0; i < flood; ++i) ASSERT_TRUE(kernel_.write(client(i)));
  advance(feed, 0);
  EXPECT_EQ(asked_.size(), kSynRecordsPerTurnMax);
  EXPECT_EQ(feed.next_wake(), 0U) << "the rest at once";
  while (feed.next_wake()) advance(feed, *feed.next_wake());
  EXPECT_EQ(asked_.size(), kPerSecond);
  EXPECT_EQ(count(Counter::kSynPrefetched) + count(Counter::kSynFeedSkipped), flood);
  feed.woken(500);
  for (uint32_t i = 0; i < flood; ++i) ASSERT_TRUE(kernel_.write(client(i)));
  while (feed.next_wake()) advance(feed, *feed.next_wake());
  const uint64_t earned = uint64_t{500} * kPerSecond / 1000;
  EXPECT_EQ(count(Counter::kSynPrefetched), kPerSecond + earned);
}

TEST_F(SynFeedTest, WhatIsKnownCostsNothingAndWhatHasNoRoomIsCounted) {
  SynFeed feed = make();
  kernel_.write(client(1));
  advance(feed, 0, Prefetched::kKnown);
  kernel_.write(client(2));
  advance(feed, kSynRestMs, Prefetched::kNoRoom);
  EXPECT_EQ(asked_.size(), 2U);
  EXPECT_EQ(count(Counter::kSynPrefetched), 0U);
  EXPECT_EQ(count(Counter::kSynFeedSkipped), 1U);
}

TEST_F(SynFeedTest, ReadsNothingBeforeItBegins) {
  SynFeed feed = make_idle(0);
  kernel_.write(client(1));
  EXPECT_EQ(feed.next_wake(), std::nullopt);
  advance(feed, 0);
  EXPECT_EQ(kernel_.consumed, 0U);
  feed.begin();
  EXPECT_EQ(feed.next_wake(), 0U);
  advance(feed, 0);
  EXPECT_EQ(asked_, std::vector{client(1)});
}

// The kernel's number goes on over reloads and restarts.
TEST_F(SynFeedTest, WhatTheKernelCouldNotWriteIsCountedOnceWhoeverReads) {
  SynFeed feed = make();
  SynFeed successor = make_idle(1);
  kernel_.lost = 7;
  advance(feed, 0);
  EXPECT_EQ(count(Counter::kSynFeedLost), 7U);
  successor.begin();
  kernel_.lost = 9;
  advance(successor, 0);
  EXPECT_EQ(count(Counter::kSynFeedLost, 1), 2U) << "the other block has the rest";
  advance(successor, kSynRestMs);
  EXPECT_EQ(count(Counter::kSynFeedLost, 1), 2U);
  SynFeed restarted = make();
  kernel_.lost = 10;
  advance(restarted, 0);
  EXPECT_EQ(count(Counter::kSynFeedLost), 8U);
}

TEST_F(SynFeedTest, ListsAreNotToldOfClientsThatTheAccessListKnows) {
  const auto access =
      admission::AccessList::parse("10.0.0.1/32 permit\n10.0.0.2/32 reject\n10.0.0.3/32 dunno\n");
  ASSERT_TRUE(access);
  SynFeed feed = make(&*access);
  for (uint32_t i = 1; i <= 4; ++i) kernel_.write(client(i));
  advance(feed, 0);
  EXPECT_EQ(asked_, (std::vector{client(3), client(4)}));
  config_.access.reject = config::Action::kIgnore;
  kernel_.write(client(2));
  advance(feed, kSynRestMs);
  EXPECT_EQ(asked_.back(), client(2)) << "judged like a stranger";
}

// Sockets of a test on the real kernel, closed at its end.
class SynFilterTest : public testing::Test {
 protected:
  ~SynFilterTest() override {
    for (const int fd : fds_) close(fd);
  }

  int open_socket(int family) {
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) fds_.push_back(fd);
    return fd;
  }
  // -1: this host has no such address.
  int listen_on(const char* text) {
    const SocketAddress address = SocketAddress::from(*Endpoint::parse(text));
    const int fd = open_socket(address.family());
    if (fd < 0 || bind(fd, &address.any, address.length) != 0 || listen(fd, 8) != 0) return -1;
    return fd;
  }
  void connect_to(int listener, const char* from) {
    const Endpoint client = *Endpoint::parse(from);
    const SocketAddress source = SocketAddress::from(client);
    sockaddr_in6 name{};
    socklen_t length = sizeof(name);
    getsockname(listener, reinterpret_cast<sockaddr*>(&name), &length);
    Endpoint there = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&name));
    // Of a socket for both families.
    if (client.address.is_v4()) there.address = *IpAddress::parse("127.0.0.1");
    const SocketAddress to = SocketAddress::from(there);
    const int fd = open_socket(source.family());
    // An extension header between those of IPv6 and TCP, where we may: options that only pad.
    const uint8_t padding[8]{0, 0, 1, 4};
    setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, padding, sizeof(padding));
    ASSERT_EQ(bind(fd, &source.any, source.length), 0);
    ASSERT_EQ(connect(fd, &to.any, to.length), 0);
    // A packet of the accepted child, which inherits the filter, and one back.
    const int child = accept(listener, nullptr, nullptr);
    ASSERT_GE(child, 0);
    fds_.push_back(child);
    ASSERT_EQ(send(fd, "hello", 5, 0), 5);
    char room[5];
    EXPECT_EQ(recv(child, room, sizeof(room), MSG_WAITALL), 5) << "packets go on, whole";
  }

  // Takes it off.
  static bool has_filter(int fd) {
    const int unused = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) == 0) return true;
    EXPECT_EQ(errno, ENOENT);
    return false;
  }

  std::vector<int> fds_;
};

TEST_F(SynFilterTest, TellsTheAddressOfEachSynToTheShardItIsFor) {
  const int first = listen_on("127.0.0.1:0");
  const int second = listen_on("127.0.0.1:0");
  const int sixth = listen_on("[::1]:0");
  const int both = listen_on("[::]:0");
  std::vector<std::vector<int>> by_shard{{first}, {second}};
  if (sixth >= 0) by_shard = {{first, sixth, both}, {second, listen_on("[::1]:0"), both}};
  const auto doors = open_syn_feeds(by_shard);
  if (!doors) GTEST_SKIP() << doors.error().text;
  for (const SynFeedDoor& door : *doors) {
    fds_.push_back(door.ring_fd);
    fds_.push_back(door.lost_fd);
  }
  auto ring = SynRing::map((*doors)[0]);
  auto other = SynRing::map((*doors)[1]);
  ASSERT_TRUE(ring && other);
  EXPECT_EQ(ring->next(), std::nullopt);
  connect_to(first, "127.5.6.7:0");
  connect_to(second, "127.5.6.8:0");
  connect_to(first, "127.5.6.9:0");
  EXPECT_EQ(ring->next(), IpAddress::parse("127.5.6.7"));
  EXPECT_EQ(ring->next(), IpAddress::parse("127.5.6.9"));
  EXPECT_EQ(ring->next(), std::nullopt) << "SYNs only, and only its own";
  EXPECT_EQ(other->next(), IpAddress::parse("127.5.6.8"));
  if (sixth >= 0) {
    connect_to(sixth, "[::1]:0");
    EXPECT_EQ(ring->next(), IpAddress::parse("::1"));
    connect_to(both, "127.5.6.7:0");
    EXPECT_EQ(ring->next(), std::nullopt) << "all shards accept from it";
  }
  EXPECT_EQ(ring->lost(), 0U);
}

TEST_F(SynFilterTest, TellsAV4AddressAlsoOfASocketForBothFamilies) {
  const int both = listen_on("[::]:0");
  if (both < 0) GTEST_SKIP() << "no IPv6";
  const auto doors = open_syn_feeds({{both}});
  if (!doors) GTEST_SKIP() << doors.error().text;
  fds_.push_back((*doors)[0].ring_fd);
  fds_.push_back((*doors)[0].lost_fd);
  auto ring = SynRing::map((*doors)[0]);
  ASSERT_TRUE(ring);
  connect_to(both, "127.5.6.7:0");
  connect_to(both, "[::1]:0");
  EXPECT_EQ(ring->next(), IpAddress::parse("127.5.6.7"));
  EXPECT_EQ(ring->next(), IpAddress::parse("::1"));
}

// One listener that takes no filter used to leave the others with theirs.
TEST_F(SynFilterTest, AllShardsHaveAFeedOrNone) {
  const int listener = listen_on("127.0.0.1:0");
  const auto doors = open_syn_feeds({{listener}, {-1}});
  ASSERT_FALSE(doors);
  EXPECT_FALSE(has_filter(listener));
}

// A gate without a feed used to leave that of the one before on a socket from systemd.
TEST_F(SynFilterTest, AFilterCanBeTakenOffAgain) {
  const int listener = listen_on("127.0.0.1:0");
  const auto doors = open_syn_feeds({{listener}});
  if (!doors) GTEST_SKIP() << doors.error().text;
  fds_.push_back((*doors)[0].ring_fd);
  fds_.push_back((*doors)[0].lost_fd);
  auto ring = SynRing::map((*doors)[0]);
  ASSERT_TRUE(ring);
  detach_syn_filter(listener);
  EXPECT_FALSE(has_filter(listener));
  connect_to(listener, "127.5.6.7:0");
  EXPECT_EQ(ring->next(), std::nullopt);
}

TEST_F(SynFilterTest, CountsTheSynsThatFindTheBufferFull) {
  const int listener = listen_on("127.0.0.1:0");
  const auto doors = open_syn_feeds({{listener}});
  if (!doors) GTEST_SKIP() << doors.error().text;
  fds_.push_back((*doors)[0].ring_fd);
  fds_.push_back((*doors)[0].lost_fd);
  auto ring = SynRing::map((*doors)[0]);
  ASSERT_TRUE(ring);
  sockaddr_storage to{};
  socklen_t length = sizeof(to);
  getsockname(listener, reinterpret_cast<sockaddr*>(&to), &length);
  const uint32_t syns = kSynRingBytes / (sizeof(IpAddress) + BPF_RINGBUF_HDR_SZ) + 100;
  for (uint32_t i = 0; i < syns; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const linger at_once{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    connect(fd, reinterpret_cast<sockaddr*>(&to), length);
    const int child = accept(listener, nullptr, nullptr);
    close(fd);
    close(child);
  }
  uint32_t read = 0;
  while (ring->next()) ++read;
  EXPECT_EQ(read + ring->lost(), syns);
  EXPECT_GE(ring->lost(), 100U);
  connect_to(listener, "127.5.6.7:0");
  EXPECT_EQ(ring->next(), IpAddress::parse("127.5.6.7")) << "read, there is room again";
}

}  // namespace
}  // namespace lychgate::daemon
