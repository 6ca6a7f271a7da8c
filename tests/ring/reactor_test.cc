// The reactor itself: tags, making it, accepting, turning, and the verbs of real descriptors.

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class ReactorTest : public RingTest {};

struct TagRow {
  const char* what;
  Op op;
  ConnId id;
  uint64_t want;
};

const TagRow kTagRows[] = {
    {"nobody waits for it", Op::kIgnored, {0, 0}, 0x0000'0000'0000'0000},
    {"the slot is the lowest 24 bits", Op::kIgnored, {0x123456, 0}, 0x0000'0000'0012'3456},
    {"the last slot of the largest table", Op::kIgnored, {kSlotsMax - 1, 0}, 0x0000'0000'003f'ffff},
    {"the generation is the 32 bits above", Op::kIgnored, {0, 0x89abcdef}, 0x0089'abcd'ef00'0000},
    {"a generation about to wrap", Op::kIgnored, {0, 0xffffffff}, 0x00ff'ffff'ff00'0000},
    {"the operation is the highest byte", Op::kTeaser, {0, 0}, 0x0300'0000'0000'0000},
    {"all of them", Op::kLook, {0xabcdef, 0x12345678}, 0x0412'3456'78ab'cdef},
};

TEST(Tag, PacksAndUnpacks) {
  for (const TagRow& row : kTagRows) {
    SCOPED_TRACE(row.what);
    const OpTag tag = OpTag::of(row.op, row.id);
    EXPECT_EQ(tag.pack(), row.want);
    const OpTag back = OpTag::unpack(row.want);
    EXPECT_EQ(back.operation(), row.op);
    EXPECT_EQ(back.connection(), row.id);
  }
  EXPECT_EQ(OpTag::of(Op::kAccept, 5).pack(), OpTag::of(Op::kAccept, ConnId{5, 0}).pack());
}

TEST(Tag, EveryOperationKeepsItsName) {
  for (uint8_t op = 0; op <= static_cast<uint8_t>(Op::kControl); ++op) {
    const OpTag tag = OpTag::of(static_cast<Op>(op), ConnId{1, 2});
    EXPECT_EQ(OpTag::unpack(tag.pack()).operation(), static_cast<Op>(op));
  }
}

TEST(Settle, CountsWhatIsInFlightAndForgetsTheGone) {
  SlotTable slots = std::move(*SlotTable::create(kSlotsMin, SipKey{}));
  slots.open(3, Phase::kSilentWait);
  const OpTag look = begin(slots, Op::kLook, 3);
  const OpTag receive = begin(slots, Op::kRelayReceive, 3);
  EXPECT_EQ(slots[3].in_flight, 2);
  EXPECT_EQ(settle(slots, {receive, 10, true, std::nullopt}), &slots[3]);
  EXPECT_EQ(slots[3].in_flight, 2) << "a multishot request that goes on stays in flight";
  EXPECT_EQ(settle(slots, {receive, 0, false, std::nullopt}), &slots[3]);
  EXPECT_EQ(settle(slots, {look, 0, false, std::nullopt}), &slots[3]);
  EXPECT_EQ(slots[3].in_flight, 0);
  slots.release(3);
  EXPECT_EQ(settle(slots, {look, 0, false, std::nullopt}), nullptr) << "slot free";
  slots.open(3, Phase::kSilentWait);
  EXPECT_EQ(settle(slots, {look, 0, false, std::nullopt}), nullptr) << "next client in the slot";
  EXPECT_EQ(slots[3].in_flight, 0);
}

// The hard limit must be low too: liburing raises the soft one by itself.
TEST_F(ReactorTest, NamesTheDescriptorLimitItNeeds) {
  const std::string said = in_child([] {
    const rlimit low{.rlim_cur = 512, .rlim_max = 512};
    setrlimit(RLIMIT_NOFILE, &low);
    ReactorOptions options = kSmallRing;
    options.slots = 512;
    if (!UringReactor::create(options)) return std::string("512 slots do not fit in 512");
    options.slots = 513;
    const auto refused = UringReactor::create(options);
    if (refused) return std::string("513 slots fit in 512");
    return std::to_string(static_cast<int>(refused.error().code)) + " " + refused.error().text;
  });
  EXPECT_EQ(said.substr(0, 3), "71 ") << said;
  for (const char* word : {"513", "it is 512", "RLIMIT_NOFILE", "LimitNOFILE"}) {
    EXPECT_NE(said.find(word), std::string::npos) << said;
  }
}

TEST_F(ReactorTest, RefusesBuffersThatAreNoPowerOfTwo) {
  ReactorOptions options = kSmallRing;
  options.buffers = 3;
  const auto refused = UringReactor::create(options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ExitCode::kOsError);
  EXPECT_NE(refused.error().text.find("3 buffers"), std::string::npos);
}

// Making and ending reactors with requests armed and buffers out leaves no descriptor behind.
TEST_F(ReactorTest, GivesEverythingBackAtTheEnd) {
  const int before = Fd(eventfd(0, EFD_CLOEXEC)).get();
  for (int round = 0; round < 20; ++round) {
    Driver driver;
    const Listener listener = listen_tcp();
    const Driver::Pair pair = driver.pair(listener);
    driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
    driver->receive_multishot(pair.slot, on(Op::kRelayReceive, pair.slot));
    write_all(pair.client, "x");
    EXPECT_EQ(driver.next(Op::kRelayReceive).result, 1);
  }
  EXPECT_EQ(Fd(eventfd(0, EFD_CLOEXEC)).get(), before);
}

TEST_F(ReactorTest, EachAcceptBringsItsOwnClientsAddress) {
  Driver driver;
  const Listener listener = listen_tcp();
  constexpr uint32_t kClients = 10;
  std::vector<Fd> clients;
  std::set<uint16_t> want;
  for (uint32_t i = 0; i < kClients; ++i) {
    clients.push_back(connect_client(listener));
    want.insert(local_endpoint_of(clients.back()).port);
  }
  std::array<PeerAddress, kClients + 1> peers;
  for (uint32_t i = 0; i < peers.size(); ++i) {
    driver->accept_direct(listener.fd.get(), 0, peers[i], OpTag::of(Op::kAccept, i));
  }
  std::set<uint16_t> got;
  std::set<int32_t> slots;
  uint32_t none = 0;
  for (uint32_t i = 0; i < peers.size(); ++i) {
    const Completion done = driver.next(Op::kAccept);
    if (done.result < 0) {
      EXPECT_EQ(done.result, -EAGAIN) << "nobody is left in the queue";
      ++none;
      continue;
    }
    EXPECT_LT(done.result, static_cast<int32_t>(kSmallRing.slots));
    slots.insert(done.result);
    const Endpoint peer = Endpoint::from_sockaddr(&peers[done.tag.connection().slot].any);
    EXPECT_EQ(peer.address, IpAddress::from_v4(INADDR_LOOPBACK));
    got.insert(peer.port);
  }
  EXPECT_EQ(got, want);
  EXPECT_EQ(slots.size(), kClients) << "a slot each";
  EXPECT_EQ(none, 1u);
}

TEST_F(ReactorTest, TheListenerPollSpeaksOnce) {
  Driver driver;
  const Listener listener = listen_tcp();
  driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll, 4));
  EXPECT_TRUE(driver.silent(Op::kListenerPoll));
  const Fd client = connect_client(listener);
  const Completion woken = driver.next(Op::kListenerPoll);
  EXPECT_GT(woken.result, 0);
  EXPECT_FALSE(woken.more);
  EXPECT_EQ(woken.tag.connection().slot, 4u);
  const Fd second = connect_client(listener);
  EXPECT_TRUE(driver.silent(Op::kListenerPoll)) << "who comes before it is armed anew";
  driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
  EXPECT_GT(driver.next(Op::kListenerPoll).result, 0) << "is told then";
}

// What the batches of the acceptor rest on: in the order in which they were asked.
TEST_F(ReactorTest, APollBehindAcceptsSaysWhetherTheyLeftSomebody) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Fd one = connect_client(listener);
  const Fd two = connect_client(listener);
  PeerAddress peer;
  for (const bool more : {true, false}) {
    driver->accept_direct(listener.fd.get(), 0, peer, OpTag::of(Op::kAccept));
    driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
    EXPECT_GE(driver.next(Op::kAccept).result, 0);
    EXPECT_EQ(driver.silent(Op::kListenerPoll), !more);
  }
}

TEST_F(ReactorTest, TheListenerPollSeesAClientThatWasThereBefore) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Fd client = connect_client(listener);
  driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
  EXPECT_GT(driver.next(Op::kListenerPoll).result, 0);
}

TEST_F(ReactorTest, PollAndCancelOfARealDescriptor) {
  Driver driver;
  const Fd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  driver->poll_fd(event.get(), OpTag::of(Op::kControl));
  EXPECT_TRUE(driver.silent(Op::kControl));
  eventfd_write(event.get(), 1);
  const Completion woken = driver.next(Op::kControl);
  EXPECT_GT(woken.result, 0);
  EXPECT_FALSE(woken.more);
  eventfd_t value = 0;
  eventfd_read(event.get(), &value);
  driver->poll_fd(event.get(), OpTag::of(Op::kControl));
  driver->poll_fd(event.get(), OpTag::of(Op::kSynFeed));
  driver->cancel_fd(event.get(), OpTag::of(Op::kCancel));
  EXPECT_EQ(driver.next(Op::kCancel).result, 2);
  EXPECT_EQ(driver.next(Op::kControl).result, -ECANCELED);
  EXPECT_EQ(driver.next(Op::kSynFeed).result, -ECANCELED);
}

TEST_F(ReactorTest, WritesToAPipeAndAppendsToAFile) {
  Driver driver;
  const auto pipe = driver->make_pipe();
  ASSERT_TRUE(pipe.has_value());
  const Fd read_end(pipe->read_end);
  const Fd write_end(pipe->write_end);
  driver->write_fd(write_end.get(), std::string_view("one line\n"), OpTag::of(Op::kLogWrite));
  EXPECT_EQ(driver.next(Op::kLogWrite).result, 9);
  EXPECT_EQ(read_some(read_end, 9), "one line\n");

  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  for (const std::string_view line : {"first\n", "second\n"}) {
    driver->write_fd(fileno(file), line, OpTag::of(Op::kLogWrite));
    EXPECT_EQ(driver.next(Op::kLogWrite).result, static_cast<int32_t>(line.size()));
  }
  std::array<char, 64> text{};
  const ssize_t length = pread(fileno(file), text.data(), text.size(), 0);
  EXPECT_EQ(std::string_view(text.data(), static_cast<size_t>(length)), "first\nsecond\n");
  std::fclose(file);
}

TEST_F(ReactorTest, ADatagramToAFullSocketAnswersAgain) {
  Driver driver;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  const std::string_view datagram = "<22>lychgate: CONNECT";
  int32_t result = 0;
  int sent = 0;
  for (; sent < 100'000; ++sent) {
    driver->send_fd(writer.get(), datagram, OpTag::of(Op::kLogWrite));
    result = driver.next(Op::kLogWrite).result;
    if (result < 0) break;
    ASSERT_EQ(result, static_cast<int32_t>(datagram.size()));
  }
  EXPECT_EQ(result, -EAGAIN);
  EXPECT_GT(sent, 0);
  char buffer[64];
  EXPECT_EQ(read(reader.get(), buffer, sizeof(buffer)), static_cast<ssize_t>(datagram.size()));
  driver->send_fd(writer.get(), datagram, OpTag::of(Op::kLogWrite));
  EXPECT_GT(driver.next(Op::kLogWrite).result, 0) << "and goes on once there is room";
}

TEST_F(ReactorTest, ClosesARealDescriptor) {
  Driver driver;
  auto pipe = driver->make_pipe();
  ASSERT_TRUE(pipe.has_value());
  const Fd read_end(pipe->read_end);
  driver->close_fd(pipe->write_end);
  EXPECT_EQ(driver.next(Op::kIgnored).result, 0);
  EXPECT_EQ(read_some(read_end, 1), "") << "end of file";
  EXPECT_EQ(fcntl(pipe->write_end, F_GETFD), -1);
}

// The bulk relay: socket to pipe to socket, by the helpers alone.
TEST_F(ReactorTest, SplicesBetweenSocketsThroughAPipe) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair from = driver.pair(listener);
  Driver::Pair to = driver.pair(listener);
  const Fd source = driver.real(from.slot);
  const Fd target = driver.real(to.slot);
  driver->set_nonblocking(source.get());
  EXPECT_NE(fcntl(source.get(), F_GETFL) & O_NONBLOCK, 0);
  const auto pipe = driver->make_pipe();
  ASSERT_TRUE(pipe.has_value());
  const Fd read_end(pipe->read_end);
  const Fd write_end(pipe->write_end);
  EXPECT_NE(fcntl(read_end.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(read_end.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(driver->splice(source.get(), write_end.get(), 65536), -EAGAIN) << "nothing there";
  const std::string sent = pattern(40'000);
  write_all(from.client, sent);
  ASSERT_EQ(driver->splice(source.get(), write_end.get(), 65536), 40'000);
  ASSERT_EQ(driver->splice(read_end.get(), target.get(), 65536), 40'000);
  EXPECT_TRUE(read_some(to.client, sent.size()) == sent);
  EXPECT_EQ(driver->splice(read_end.get(), target.get(), 65536), -EAGAIN) << "pipe empty";
  from.client.reset();
  driver->poll(from.slot, Readiness::kInput, on(Op::kRelayReadable, from.slot));
  driver.next(Op::kRelayReadable);
  EXPECT_EQ(driver->splice(source.get(), write_end.get(), 65536), 0) << "end of file";
}

TEST_F(ReactorTest, ATurnOfZeroReturnsAtOnceWithWhatIsReady) {
  Driver driver;
  EXPECT_TRUE(driver->turn(milliseconds(0)).empty());
  EXPECT_TRUE(driver->turn(milliseconds(-5)).empty()) << "a deadline already past";
  const Fd event(eventfd(1, EFD_CLOEXEC));
  driver->poll_fd(event.get(), OpTag::of(Op::kControl));
  EXPECT_EQ(driver->turn(milliseconds(0)).size(), 1u) << "submitted and reaped in one turn";
}

TEST_F(ReactorTest, ATurnEndsAtItsLimitAndNotMuchLater) {
  Driver driver;
  const Fd event(eventfd(0, EFD_CLOEXEC));
  driver->poll_fd(event.get(), OpTag::of(Op::kControl));
  for (const char* what : {"a turn that submits", "a turn that submits nothing"}) {
    SCOPED_TRACE(what);
    const Instant start = monotonic_now();
    EXPECT_TRUE(driver->turn(milliseconds(50)).empty());
    const auto took = monotonic_now() - start;
    EXPECT_GE(took, milliseconds(50));
    EXPECT_LT(took, milliseconds(2000)) << "far below any second wait";
  }
}

// A signal that came while turn() waited without limit, having submitted something, used to be
// swallowed: liburing 2.3 went back to waiting, and a shard told to stop heard it only at the next
// completion.
TEST_F(ReactorTest, ASignalEndsATurnWithoutLimit) {
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};  // no SA_RESTART
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGALRM, &ignore, &before), 0);
  Driver driver;
  const Fd event(eventfd(0, EFD_CLOEXEC));
  const int write_end = event.get();
  driver->poll_fd(write_end, OpTag::of(Op::kControl));
  for (const char* what : {"a turn that submits", "a turn that submits nothing"}) {
    SCOPED_TRACE(what);
    // The second signal only ends the wait of a turn that ignored the first.
    const itimerval soon{.it_interval = {.tv_sec = 2, .tv_usec = 0},
                         .it_value = {.tv_sec = 0, .tv_usec = 30'000}};
    ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
    const Instant start = monotonic_now();
    EXPECT_TRUE(driver->turn(std::nullopt).empty());
    EXPECT_LT(monotonic_now() - start, milliseconds(1500));
    const itimerval off{};
    setitimer(ITIMER_REAL, &off, nullptr);
  }
  sigaction(SIGALRM, &before, nullptr);
}

TEST_F(ReactorTest, ATurnWithoutLimitWaitsForTheFirstCompletion) {
  Driver driver;
  const Listener listener = listen_tcp();
  driver->poll_fd(listener.fd.get(), OpTag::of(Op::kListenerPoll));
  EXPECT_TRUE(driver->turn(milliseconds(0)).empty());
  const Fd client = connect_client(listener);
  EXPECT_EQ(driver->turn(std::nullopt).size(), 1u);
}

// More completions than one turn hands out stay in the queue for the next one, in order, and the
// next one does not wait although nothing new happens.
TEST_F(ReactorTest, MoreThanOneTurnHoldsComesInTheNext) {
  Driver driver({.slots = kSlotsMin, .buffers = 16, .buffer_bytes = 4096});
  constexpr uint32_t kMany = 2 * kCompletionsPerTurnMax + 100;
  std::array<char, 16> look;
  for (uint32_t i = 0; i < kMany; ++i) driver->peek(0, look, OpTag::of(Op::kLook, i));
  std::vector<size_t> sizes;
  uint32_t expected = 0;
  while (expected < kMany && sizes.size() < 10) {
    const auto came = driver->turn(std::nullopt);
    sizes.push_back(came.size());
    for (const Completion& done : came) EXPECT_EQ(done.tag.connection().slot, expected++);
  }
  EXPECT_EQ(expected, kMany);
  EXPECT_EQ(sizes, (std::vector<size_t>{kCompletionsPerTurnMax, kCompletionsPerTurnMax, 100}));
  EXPECT_EQ(driver->stats().completion_overflow, 0u);
}

// What completes while leftovers wait is not starved by them: both come.
TEST_F(ReactorTest, LeftoversDoNotHideWhatIsNew) {
  Driver driver({.slots = kSlotsMin, .buffers = 16, .buffer_bytes = 4096});
  const Fd event(eventfd(0, EFD_CLOEXEC));
  driver->poll_fd(event.get(), OpTag::of(Op::kControl));
  std::array<char, 16> look;
  for (uint32_t i = 0; i < kCompletionsPerTurnMax + 1; ++i) {
    driver->peek(0, look, OpTag::of(Op::kLook, i));
  }
  EXPECT_EQ(driver->turn(milliseconds(0)).size(), size_t{kCompletionsPerTurnMax});
  eventfd_write(event.get(), 1);
  const auto came = driver->turn(milliseconds(0));
  ASSERT_EQ(came.size(), 2u) << "the leftover, and the event";
  EXPECT_EQ(came[0].tag.operation(), Op::kLook);
  EXPECT_EQ(came[1].tag.operation(), Op::kControl);
}

}  // namespace
}  // namespace lychgate::ring
