// Direct descriptors of clients against the real kernel: what a look tells, receiving into leased
// buffers, sending, shutting, polling, cancelling, and becoming a real descriptor.

#include <netinet/tcp.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "ring/buffers.h"
#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class Stream : public RingTest {};

using LookBuffer = std::array<char, kLookBytes>;

int32_t peek(Driver& driver, uint32_t slot, LookBuffer& into) {
  driver->peek(slot, into, on(Op::kLook, slot));
  return driver.next(Op::kLook).result;
}

int32_t discard(Driver& driver, uint32_t slot) {
  driver->discard(slot, on(Op::kDiscard, slot));
  return driver.next(Op::kDiscard).result;
}

// Receives until so many bytes or the end have come, taking each buffer only for the copy.
std::string receive(Driver& driver, uint32_t slot, size_t bytes) {
  std::string out;
  driver->receive_multishot(slot, on(Op::kRelayReceive, slot));
  while (out.size() < bytes) {
    const Completion done = driver.next(Op::kRelayReceive);
    if (done.result <= 0 || !done.buffer) break;
    const BufferLease lease(driver.ring(), *done.buffer, static_cast<uint32_t>(done.result));
    out.append(lease.bytes().data(), lease.size());
    if (!done.more) driver->receive_multishot(slot, on(Op::kRelayReceive, slot));
  }
  return out;
}

TEST_F(Stream, ALookTellsSilenceTalkerAndHangUpApart) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  LookBuffer look{};
  EXPECT_EQ(peek(driver, pair.slot, look), -EAGAIN) << "silent";
  write_all(pair.client, "EHLO early\r\n");
  EXPECT_EQ(peek(driver, pair.slot, look), 12) << "talker";
  EXPECT_EQ(std::string_view(look.data(), 12), "EHLO early\r\n");
  EXPECT_EQ(peek(driver, pair.slot, look), 12) << "a look leaves the bytes queued";
  pair.client.reset();
  EXPECT_EQ(peek(driver, pair.slot, look), 12) << "bytes come before the end";
  EXPECT_EQ(discard(driver, pair.slot), 12);
  EXPECT_EQ(peek(driver, pair.slot, look), 0) << "hang-up";
}

TEST_F(Stream, ALookSeesAReset) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(pair.client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  pair.client.reset();
  LookBuffer look{};
  EXPECT_EQ(peek(driver, pair.slot, look), -ECONNRESET);
}

TEST_F(Stream, ALookTakesNoMoreThanItsBuffer) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(4000);
  write_all(pair.client, sent);
  LookBuffer look{};
  EXPECT_EQ(peek(driver, pair.slot, look), static_cast<int32_t>(kLookBytes));
  EXPECT_EQ(std::string_view(look.data(), kLookBytes), sent.substr(0, kLookBytes));
}

TEST_F(Stream, DiscardEmptiesTheQueueAndSaysSo) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  EXPECT_EQ(discard(driver, pair.slot), -EAGAIN) << "nothing to throw away";
  write_all(pair.client, pattern(30'000));
  EXPECT_EQ(discard(driver, pair.slot), 30'000);
  LookBuffer look{};
  EXPECT_EQ(peek(driver, pair.slot, look), -EAGAIN);
  write_all(pair.client, "later");
  EXPECT_EQ(peek(driver, pair.slot, look), 5) << "the connection goes on";
}

TEST_F(Stream, MultishotReceiveDeliversEveryByteThroughLeases) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(60'000);
  write_all(pair.client, sent);
  EXPECT_TRUE(receive(driver, pair.slot, sent.size()) == sent);
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers) << "every lease went back";
  pair.client.reset();
  const Completion end = driver.next(Op::kRelayReceive);
  EXPECT_EQ(end.result, 0);
  EXPECT_FALSE(end.more);
  EXPECT_FALSE(end.buffer.has_value()) << "the end of the stream holds no buffer";
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers);
}

// Every buffer in turn is leased, moved, kept and given back; none is handed out twice meanwhile.
TEST_F(Stream, ALeaseHoldsItsBufferUntilItGoes) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  driver->receive_multishot(pair.slot, on(Op::kRelayReceive, pair.slot));
  std::vector<BufferLease> held;
  for (char letter = 'a'; letter < 'a' + 10; ++letter) {
    write_all(pair.client, std::string(100, letter));
    const Completion done = driver.next(Op::kRelayReceive);
    ASSERT_EQ(done.result, 100);
    ASSERT_TRUE(done.buffer.has_value());
    held.emplace_back(driver.ring(), *done.buffer, 100u);
  }
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers - 10);
  for (size_t i = 0; i < held.size(); ++i) {
    const auto bytes = held[i].bytes();
    EXPECT_EQ(std::string(bytes.data(), bytes.size()),
              std::string(100, static_cast<char>('a' + i)));
  }
  BufferLease moved = std::move(held[0]);
  EXPECT_FALSE(held[0]);
  EXPECT_TRUE(moved);
  moved = std::move(held[1]);  // gives the first one back
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers - 9);
  const uint16_t kept = moved.keep();
  EXPECT_FALSE(moved);
  driver->give_back(kept);
  held.clear();
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers);
}

// With kWhole the one completion stands for all bytes, however small the socket's buffer is and
// however slowly the client reads.
TEST_F(Stream, ASendOfTheWholeArrivesWholeThroughASmallBuffer) {
  Driver driver;
  const Listener listener = listen_tcp({.send_buffer = 4096});
  const Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(1'000'000);
  driver->send(pair.slot, sent, SendMode::kWhole, on(Op::kReply, pair.slot));
  EXPECT_TRUE(driver.silent(Op::kReply)) << "it cannot be in the socket yet";
  EXPECT_TRUE(driver.turn_while_reading(pair.client, sent.size()) == sent);
  EXPECT_EQ(driver.next(Op::kReply).result, static_cast<int32_t>(sent.size()));
  EXPECT_TRUE(driver.silent(Op::kReply)) << "one completion for one send";
}

TEST_F(Stream, ASendOfTheWholeToAResetClientFails) {
  Driver driver;
  const Listener listener = listen_tcp({.send_buffer = 4096});
  Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(3'000'000);
  driver->send(pair.slot, sent, SendMode::kWhole, on(Op::kReply, pair.slot));
  EXPECT_TRUE(driver.silent(Op::kReply));
  pair.client.reset();  // unread bytes make it a reset
  EXPECT_LT(driver.next(Op::kReply).result, static_cast<int32_t>(sent.size()));
  driver->send(pair.slot, "more", SendMode::kWhole, on(Op::kReply, pair.slot));
  EXPECT_EQ(driver.next(Op::kReply).result, -EPIPE) << "and no SIGPIPE";
}

TEST_F(Stream, ASendOfNowTakesWhatFitsThenAnswersAgain) {
  Driver driver;
  const Listener listener = listen_tcp({.send_buffer = 4096});
  const Driver::Pair pair = driver.pair(listener);
  const std::string sent = pattern(8'000'000);
  size_t taken = 0;
  int32_t last = 0;
  for (int rounds = 0; rounds < 1000; ++rounds) {
    const std::string_view rest = std::string_view(sent).substr(taken);
    driver->send(pair.slot, rest, SendMode::kNow, on(Op::kReply, pair.slot));
    last = driver.next(Op::kReply).result;
    if (last < 0) break;
    taken += static_cast<size_t>(last);
  }
  EXPECT_EQ(last, -EAGAIN);
  EXPECT_GT(taken, 0u);
  EXPECT_LT(taken, sent.size());
  EXPECT_TRUE(read_some(pair.client, taken) == sent.substr(0, taken));
}

TEST_F(Stream, AnUntoldSendSpeaksOnlyWhenItFails) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  std::array<char, 16> look;
  driver->send(pair.slot, std::string_view("220-"), SendMode::kUntold, OpTag::of(Op::kTeaser));
  driver->peek(pair.slot, look, on(Op::kLook, pair.slot));
  EXPECT_EQ(driver.next(Op::kLook).result, -EAGAIN);
  EXPECT_EQ(read_some(pair.client, 4), "220-") << "before what was asked after it";
  driver->send(pair.slot, std::string_view("220-"), SendMode::kUntold, OpTag::of(Op::kTeaser));
  EXPECT_TRUE(driver.silent(Op::kTeaser));
  pair.client.reset();  // unread bytes make it a reset
  driver->send(pair.slot, std::string_view("220-"), SendMode::kUntold, OpTag::of(Op::kTeaser));
  EXPECT_LT(driver.next(Op::kTeaser).result, 0);
}

TEST_F(Stream, ShutdownEndsOurSideOnly) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  driver->shutdown_write(pair.slot, on(Op::kShutdown, pair.slot));
  EXPECT_EQ(driver.next(Op::kShutdown).result, 0);
  EXPECT_EQ(read_some(pair.client, 1), "");
  write_all(pair.client, "still heard");
  EXPECT_EQ(receive(driver, pair.slot, 11), "still heard");
}

// Our side is shut through a real descriptor, which costs less than the worker thread of
// IORING_OP_SHUTDOWN. With none to be had the end of a stream used not to be told at all, and a
// relay whose peer waited for it stood still until its idle limit.
TEST_F(Stream, ShutdownWorksWithoutARealDescriptor) {
  const std::string answer = in_child([] {
    Driver driver;
    const Listener listener = listen_tcp();
    const Driver::Pair pair = driver.pair(listener);
    const rlimit none{0, 4096};
    setrlimit(RLIMIT_NOFILE, &none);
    driver->install(pair.slot, on(Op::kInstall, pair.slot));
    if (driver.next(Op::kInstall).result != -EMFILE) return std::string("installed all the same");
    driver->shutdown_write(pair.slot, on(Op::kShutdown, pair.slot));
    const Completion shut = driver.next(Op::kShutdown);
    if (shut.result != 0 || shut.tag.slot != pair.slot) return std::string("not shut");
    return std::string(peer_sees(pair.client) == PeerSees::kEnd ? "the end" : "nothing");
  });
  EXPECT_EQ(answer, "the end");
}

TEST_F(Stream, PollTellsReadiness) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  driver->poll(pair.slot, Readiness::kOutput, on(Op::kRelayWritable, pair.slot));
  EXPECT_GT(driver.next(Op::kRelayWritable).result, 0) << "an empty socket takes output";
  driver->poll(pair.slot, Readiness::kInput, on(Op::kRelayReadable, pair.slot));
  EXPECT_TRUE(driver.silent(Op::kRelayReadable));
  write_all(pair.client, "x");
  const Completion input = driver.next(Op::kRelayReadable);
  EXPECT_GT(input.result, 0);
  EXPECT_FALSE(input.more) << "one shot";
  EXPECT_EQ(discard(driver, pair.slot), 1);
  driver->poll(pair.slot, Readiness::kInput, on(Op::kRelayReadable, pair.slot));
  pair.client.reset();
  EXPECT_GT(driver.next(Op::kRelayReadable).result, 0) << "a hang-up is input too";
}

TEST_F(Stream, CancelEndsEverythingOfOneSlotAndNothingElse) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair one = driver.pair(listener);
  const Driver::Pair other = driver.pair(listener);
  driver->receive_multishot(one.slot, on(Op::kRelayReceive, one.slot));
  driver->poll(one.slot, Readiness::kInput, on(Op::kRelayReadable, one.slot));
  driver->poll(other.slot, Readiness::kInput, on(Op::kPassTaken, other.slot));
  driver->cancel(one.slot, on(Op::kCancel, one.slot));
  EXPECT_EQ(driver.next(Op::kCancel).result, 2) << "the number of requests it ended";
  EXPECT_EQ(driver.next(Op::kRelayReceive).result, -ECANCELED);
  EXPECT_EQ(driver.next(Op::kRelayReadable).result, -ECANCELED);
  EXPECT_TRUE(driver.silent(Op::kPassTaken));
  write_all(other.client, "x");
  EXPECT_GT(driver.next(Op::kPassTaken).result, 0);
}

TEST_F(Stream, CancelOfOneRequestLeavesTheOthersOfItsSlot) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  const OpTag receive_tag = on(Op::kRelayReceive, pair.slot);
  driver->receive_multishot(pair.slot, receive_tag);
  driver->poll(pair.slot, Readiness::kInput, on(Op::kRelayReadable, pair.slot));
  driver->cancel_request(receive_tag, on(Op::kCancel, pair.slot));
  EXPECT_EQ(driver.next(Op::kCancel).result, 0);
  EXPECT_EQ(driver.next(Op::kRelayReceive).result, -ECANCELED);
  driver->cancel_request(receive_tag, on(Op::kCancel, pair.slot));
  EXPECT_EQ(driver.next(Op::kCancel).result, -ENOENT) << "it has completed already";
  EXPECT_TRUE(driver.silent(Op::kRelayReadable));
  write_all(pair.client, "x");
  EXPECT_GT(driver.next(Op::kRelayReadable).result, 0);
}

TEST_F(Stream, InstallMakesASecondDescriptorOfTheSameConnection) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  Fd real = driver.real(pair.slot);
  write_all(real, "by the real one\n");
  EXPECT_EQ(read_some(pair.client, 16), "by the real one\n");
  EXPECT_EQ(driver->local_endpoint(real.get()).port, listener.port);
  EXPECT_EQ(driver.close(pair.slot), 0);
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kNothing) << "the real one keeps it open";
  real.reset();
  EXPECT_EQ(read_some(pair.client, 1), "");
}

TEST_F(Stream, SetNodelayReallySetsIt) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  const Fd real = driver.real(pair.slot);
  const auto nodelay = [&real] {
    int value = -1;
    socklen_t length = sizeof(value);
    EXPECT_EQ(getsockopt(real.get(), IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    return value;
  };
  EXPECT_EQ(nodelay(), 0);
  driver->set_nodelay(pair.slot, on(Op::kBackendOption, pair.slot));
  EXPECT_EQ(driver.next(Op::kBackendOption).result, 0);
  EXPECT_EQ(nodelay(), 1);
}

struct EmptySlotRow {
  const char* what;
  void (*verb)(Driver& driver, OpTag tag);
};

constexpr uint32_t kEmpty = 7;
LookBuffer g_look;

const EmptySlotRow kEmptySlotRows[] = {
    {"peek", [](Driver& d, OpTag tag) { d->peek(kEmpty, g_look, tag); }},
    {"discard", [](Driver& d, OpTag tag) { d->discard(kEmpty, tag); }},
    {"receive", [](Driver& d, OpTag tag) { d->receive_multishot(kEmpty, tag); }},
    {"send", [](Driver& d, OpTag tag) { d->send(kEmpty, g_look, SendMode::kWhole, tag); }},
    {"shutdown", [](Driver& d, OpTag tag) { d->shutdown_write(kEmpty, tag); }},
    {"close", [](Driver& d, OpTag tag) { d->close(kEmpty, tag); }},
    {"cancel", [](Driver& d, OpTag tag) { d->cancel(kEmpty, tag); }},
    {"poll", [](Driver& d, OpTag tag) { d->poll(kEmpty, Readiness::kInput, tag); }},
    {"install", [](Driver& d, OpTag tag) { d->install(kEmpty, tag); }},
    {"set_nodelay", [](Driver& d, OpTag tag) { d->set_nodelay(kEmpty, tag); }},
};

TEST_F(Stream, EveryVerbOnAnEmptySlotIsAnErrorAndNothingMore) {
  Driver driver;
  for (const EmptySlotRow& row : kEmptySlotRows) {
    SCOPED_TRACE(row.what);
    row.verb(driver, on(Op::kReply, kEmpty));
    const Completion done = driver.next(Op::kReply);
    EXPECT_EQ(done.result, -EBADF);
    EXPECT_EQ(done.tag.connection(), (ConnId{kEmpty, 0}));
    EXPECT_FALSE(done.more);
  }
}

}  // namespace
}  // namespace lychgate::ring
