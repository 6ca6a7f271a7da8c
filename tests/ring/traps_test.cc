// The traps of io_uring that shaped the reactor, one test each, with the story in its first
// comment. Where the wrong way can be shown, it is shown beside the right one.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "ring/buffers.h"
#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class Traps : public RingTest {};

constexpr uint32_t kFewSlots = 4;
constexpr uint32_t kClients = 6;

ReactorOptions few_slots() {
  ReactorOptions options = kSmallRing;
  options.slots = kFewSlots;
  return options;
}

std::vector<Fd> connect_clients(const Listener& listener, uint32_t count) {
  std::vector<Fd> out;
  for (uint32_t i = 0; i < count; ++i) out.push_back(connect_client(listener));
  return out;
}

uint32_t count_killed(const std::vector<Fd>& clients) {
  return static_cast<uint32_t>(std::count_if(clients.begin(), clients.end(), [](const Fd& client) {
    const PeerSees seen = peer_sees(client);
    return seen == PeerSees::kEnd || seen == PeerSees::kReset;
  }));
}

// The kernel takes a client from the listener's queue before it looks for a direct descriptor. With
// the table full it has none, answers -ENFILE and closes the client it has just taken. A million
// held connections cost 52 clients that way.
TEST_F(Traps, MoreAcceptsThanFreeSlotsKillClients) {
  Driver driver(few_slots());
  const Listener listener = listen_tcp();
  const std::vector<Fd> clients = connect_clients(listener, kClients);
  std::array<PeerAddress, kClients> peers;
  for (uint32_t i = 0; i < kClients; ++i) {
    driver->accept_direct(listener.fd.get(), 0, peers[i], OpTag::of(Op::kAccept, i));
  }
  uint32_t refused = 0;
  for (uint32_t i = 0; i < kClients; ++i) {
    const int32_t result = driver.next(Op::kAccept).result;
    if (result < 0) {
      EXPECT_EQ(result, -ENFILE);
      ++refused;
    }
  }
  EXPECT_EQ(refused, kClients - kFewSlots);
  EXPECT_EQ(count_killed(clients), kClients - kFewSlots);
}

// The remedy: never more accepts in flight than slots are free. Who finds no slot waits in the
// listener's queue until one is closed, and nobody is lost.
TEST_F(Traps, NoMoreAcceptsThanFreeSlotsLoseNobody) {
  Driver driver(few_slots());
  const Listener listener = listen_tcp();
  const std::vector<Fd> clients = connect_clients(listener, kClients);
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < kFewSlots; ++i) slots.push_back(driver.accept(listener));
  EXPECT_EQ(count_killed(clients), 0u);
  for (uint32_t served = kFewSlots; served < kClients; ++served) {
    const uint32_t slot = slots.front();
    slots.erase(slots.begin());
    EXPECT_EQ(driver.close(slot), 0);
    slots.push_back(driver.accept(listener));
  }
  EXPECT_EQ(count_killed(clients), kClients - kFewSlots) << "only those we closed ourselves";
  for (const uint32_t slot : slots) {
    driver->send(slot, std::string_view("220 "), SendMode::kWhole, on(Op::kReply, slot));
    EXPECT_EQ(driver.next(Op::kReply).result, 4);
  }
}

// A completion queue that overflows ends every multishot request that would post to it: a receive
// comes back without `more` and never speaks again, so that a relay which does not look at `more`
// hangs. Nothing is lost: what overflowed is kept by the kernel and handed out turn by turn.
TEST_F(Traps, ACompletionOverflowEndsAMultishotAndLosesNothing) {
  Driver driver({.slots = kSlotsMin,
                 .buffers = 16,
                 .buffer_bytes = 4096,
                 .submission_entries = 4,
                 .completion_entries = 4});
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  const OpTag receive = on(Op::kRelayReceive, pair.slot);
  driver->receive_multishot(pair.slot, receive);
  EXPECT_TRUE(driver.silent(Op::kRelayReceive));
  write_all(pair.client, "one");
  constexpr uint32_t kLooks = 12;
  std::array<char, 16> look;
  for (uint32_t i = 0; i < kLooks; ++i) driver->peek(0, look, OpTag::of(Op::kLook, i));
  for (uint32_t i = 0; i < kLooks; ++i) {
    EXPECT_EQ(driver.next(Op::kLook).tag.connection().slot, i) << "in order, none missing";
  }
  EXPECT_GT(driver->stats().completion_overflow, 0u) << "counted";
  const Completion ended = driver.next(Op::kRelayReceive);
  EXPECT_EQ(ended.result, 3);
  EXPECT_FALSE(ended.more) << "the receive is over";

  write_all(pair.client, "three");
  EXPECT_TRUE(driver.silent(Op::kRelayReceive));
  driver->receive_multishot(pair.slot, receive);
  const Completion again = driver.next(Op::kRelayReceive);
  EXPECT_EQ(again.result, 5);
  EXPECT_TRUE(again.more);
}

// The kernel's reference to a socket lives as long as a request on it. Closing the slot while a
// poll is armed answers 0, frees the slot, and sends nothing: the client waits for ever for an end
// of the connection, and nobody can name the descriptor any more to cancel the poll.
TEST_F(Traps, ACloseWithSomethingArmedSendsNoEnd) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  driver->poll(pair.slot, Readiness::kInput, on(Op::kRelayReadable, pair.slot));
  EXPECT_EQ(driver.close(pair.slot), 0);
  EXPECT_TRUE(driver.silent(Op::kRelayReadable));
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kNothing);
  driver->cancel(pair.slot, on(Op::kCancel, pair.slot));
  EXPECT_EQ(driver.next(Op::kCancel).result, -EBADF) << "too late";
}

// The remedy: cancel, wait until everything has come back, then close.
TEST_F(Traps, CancelFirstThenCloseSendsTheEnd) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  driver->poll(pair.slot, Readiness::kInput, on(Op::kRelayReadable, pair.slot));
  driver->receive_multishot(pair.slot, on(Op::kRelayReceive, pair.slot));
  driver->cancel(pair.slot, on(Op::kCancel, pair.slot));
  EXPECT_EQ(driver.next(Op::kRelayReadable).result, -ECANCELED);
  EXPECT_EQ(driver.next(Op::kRelayReceive).result, -ECANCELED);
  EXPECT_EQ(driver.next(Op::kCancel).result, 2);
  EXPECT_EQ(driver.close(pair.slot), 0);
  EXPECT_EQ(read_some(pair.client, 1), "");
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kEnd);
}

// A multishot receive ends with -ENOBUFS when all provided buffers are out. Arming it again at once
// would spin on the same answer; after buffers were given back it goes on with the next byte.
TEST_F(Traps, RunningOutOfBuffersEndsAReceiveAndLosesNoByte) {
  ReactorOptions options = kSmallRing;
  options.buffers = 2;
  Driver driver(options);
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(60'000);
  write_all(pair.client, sent);
  std::string got;
  uint32_t starved = 0;
  while (got.size() < sent.size()) {
    std::vector<BufferLease> leases;
    driver->receive_multishot(pair.slot, on(Op::kRelayReceive, pair.slot));
    Completion done = driver.next(Op::kRelayReceive);
    for (; done.more; done = driver.next(Op::kRelayReceive)) {
      ASSERT_GT(done.result, 0);
      leases.emplace_back(driver.ring(), *done.buffer, static_cast<uint32_t>(done.result));
      got.append(leases.back().bytes().data(), leases.back().size());
      if (got.size() == sent.size()) break;
    }
    if (got.size() == sent.size()) break;
    ASSERT_EQ(done.result, -ENOBUFS);
    ASSERT_FALSE(done.buffer.has_value());
    EXPECT_EQ(driver->buffers_free(), 0u);
    ++starved;
    driver->receive_multishot(pair.slot, on(Op::kRelayReceive, pair.slot));
    EXPECT_EQ(driver.next(Op::kRelayReceive).result, -ENOBUFS) << "armed too early";
  }
  EXPECT_TRUE(got == sent);
  EXPECT_GT(starved, 3u);
  EXPECT_EQ(driver->buffers_free(), 2u);
}

bool epoll_sees(const Fd& epoll) {
  epoll_event event;
  int seen = 0;
  // The ring interrupts the first wait of its own task once, to set itself up for polling.
  do {
    seen = epoll_wait(epoll.get(), &event, 1, 30);
  } while (seen < 0 && errno == EINTR);
  return seen > 0;
}

// A ring with DEFER_TASKRUN completes nothing until its own task enters it. Its descriptor wakes an
// edge-triggered watcher (another ring's multishot poll is one) for the first event only; a shard
// that waited in epoll for more before it enters the ring would sleep for ever on the second. Who
// enters after every wake-up is woken again, but nothing is gained over waiting in the ring: a
// shard waits in turn() and nowhere else.
TEST_F(Traps, TheRingsDescriptorWakesAWatcherOnceUntilTheRingIsEntered) {
  Driver driver;
  const Fd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(epoll_ctl(epoll.get(), EPOLL_CTL_ADD, driver->ring_fd(), &interest), 0);
  driver->poll_fd(event.get(), OpTag::of(Op::kListenerPoll));
  EXPECT_TRUE(driver.silent(Op::kListenerPoll));
  eventfd_write(event.get(), 1);
  EXPECT_TRUE(epoll_sees(epoll)) << "first event";
  eventfd_write(event.get(), 1);
  EXPECT_FALSE(epoll_sees(epoll)) << "second event: the lost wake-up";
  EXPECT_FALSE(driver.silent(Op::kListenerPoll)) << "it was there all the time";
}

// A process that ends with a poll armed on its listener leaves the port busy until the kernel has
// torn its ring down (7 ms and 25 times EADDRINUSE, measured): its successor cannot bind. Cancelled
// before the end, the port is free as soon as the process is gone. That it is busy otherwise is a
// race of the kernel with the test and not asserted.
TEST_F(Traps, CancelledBeforeTheEndThePortIsFreeAtOnce) {
  for (int round = 0; round < 10; ++round) {
    const std::string port = in_child([] {
      // Static, so that the process ends with its ring open, as a killed shard does.
      static Driver driver;
      static const Listener listener = listen_tcp();
      driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
      if (!driver.silent(Op::kListenerPoll)) return std::string();
      driver->cancel_fd(listener.fd.get(), OpTag::of(Op::kCancel));
      if (driver.next(Op::kListenerPoll).result != -ECANCELED) return std::string();
      return std::to_string(listener.port);
    });
    ASSERT_FALSE(port.empty());
    const Fd successor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = SocketAddress::from(
        {IpAddress::from_v4(INADDR_LOOPBACK), static_cast<uint16_t>(std::stoi(port))});
    EXPECT_EQ(bind(successor.get(), &address.any, address.length), 0) << errno_text(errno);
    EXPECT_EQ(listen(successor.get(), 1), 0);
  }
}

// More requests in one turn than the submission queue has entries: the queue is submitted in the
// middle of the turn and that is counted. No request is dropped, doubled or put out of order.
TEST_F(Traps, AFullSubmissionQueueIsSubmittedInTheMiddle) {
  ReactorOptions options = kSmallRing;
  options.submission_entries = 8;
  Driver driver(options);
  std::array<char, 16> look;
  constexpr uint32_t kMany = 100;
  for (uint32_t i = 0; i < kMany; ++i) driver->peek(0, look, OpTag::of(Op::kLook, i));
  EXPECT_EQ(driver->stats().submit_full, (kMany - 1) / 8);
  for (uint32_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(driver.next(Op::kLook).tag.connection().slot, i);
  }
  EXPECT_TRUE(driver.silent(Op::kLook));
  EXPECT_EQ(driver->stats().completion_overflow, 0u);
}

}  // namespace
}  // namespace lychgate::ring
