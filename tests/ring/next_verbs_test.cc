// Verbs of the dialogue, the tarpit and the hand-over within a session against the real kernel:
// taking, the next piece peeked at or received, a smaller receive buffer, and socketpairs.

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "ring/buffers.h"
#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class NextVerbs : public RingTest {};

std::string text_of(Driver& driver, const Completion& done) {
  if (done.result <= 0 || !done.buffer) return {};
  const BufferLease lease(driver.ring(), *done.buffer, static_cast<uint32_t>(done.result));
  return {lease.bytes().data(), lease.size()};
}

int32_t take(Driver& driver, uint32_t slot, std::span<char> into) {
  driver->take(slot, into, on(Op::kTake, slot));
  return driver.next(Op::kTake).result;
}

TEST_F(NextVerbs, TakesNoMoreThanItHasRoomFor) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  std::array<char, 6> into{};
  EXPECT_EQ(take(driver, pair.slot, into), -EAGAIN) << "silent";
  write_all(pair.client, "PROXY EHLO");
  ASSERT_EQ(take(driver, pair.slot, into), 6);
  EXPECT_EQ(std::string_view(into.data(), 6), "PROXY ");
  ASSERT_EQ(take(driver, pair.slot, into), 4) << "the rest is still there";
  EXPECT_EQ(std::string_view(into.data(), 4), "EHLO");
  pair.client.reset();
  EXPECT_EQ(take(driver, pair.slot, into), 0) << "the end";
}

TEST_F(NextVerbs, PeeksAtTheNextPieceAndLeavesItThere) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  for (int i = 0; i < 2; ++i) {
    driver->peek_next(pair.slot, on(Op::kHear, pair.slot));
    if (i == 0) {
      EXPECT_TRUE(driver.silent(Op::kHear));
      EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers) << "no buffer while it waits";
      write_all(pair.client, "NOOP\r\n");
    }
    const Completion done = driver.next(Op::kHear);
    EXPECT_FALSE(done.more);
    EXPECT_EQ(text_of(driver, done), "NOOP\r\n") << i;
  }
}

TEST_F(NextVerbs, ReceivesOnePieceAndNoMore) {
  Driver driver;
  const Listener listener = listen_tcp();
  Driver::Pair pair = driver.pair(listener);
  driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
  write_all(pair.client, "220 mx\r\n");
  const Completion first = driver.next(Op::kRelayReceive);
  EXPECT_FALSE(first.more);
  EXPECT_EQ(text_of(driver, first), "220 mx\r\n");
  write_all(pair.client, "later");
  EXPECT_TRUE(driver.silent(Op::kRelayReceive)) << "nothing is armed";
  pair.client.reset();
  driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
  EXPECT_EQ(text_of(driver, driver.next(Op::kRelayReceive)), "later");
  driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
  const Completion end = driver.next(Op::kRelayReceive);
  EXPECT_EQ(end.result, 0);
  EXPECT_FALSE(end.buffer.has_value());
  EXPECT_EQ(driver->buffers_free(), kSmallRing.buffers);
}

TEST_F(NextVerbs, WantOfABufferLosesNothing) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  std::vector<BufferLease> all;
  for (uint32_t i = 0; i < kSmallRing.buffers; ++i) {
    write_all(pair.client, "x");
    driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
    const Completion done = driver.next(Op::kRelayReceive);
    ASSERT_TRUE(done.buffer.has_value());
    all.emplace_back(driver.ring(), *done.buffer, static_cast<uint32_t>(done.result));
  }
  write_all(pair.client, "the line");
  driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
  EXPECT_EQ(driver.next(Op::kRelayReceive).result, -ENOBUFS);
  all.clear();
  driver->receive_next(pair.slot, on(Op::kRelayReceive, pair.slot));
  EXPECT_EQ(text_of(driver, driver.next(Op::kRelayReceive)), "the line");
}

TEST_F(NextVerbs, ShrinksTheReceiveBuffer) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair pair = driver.pair(listener);
  driver->shrink(pair.slot, kTarpitReceiveBuffer, on(Op::kShrink, pair.slot));
  EXPECT_EQ(driver.next(Op::kShrink).result, 0);
  const Fd real = driver.real(pair.slot);
  int bytes = 0;
  socklen_t size = sizeof(bytes);
  ASSERT_EQ(getsockopt(real.get(), SOL_SOCKET, SO_RCVBUF, &bytes, &size), 0);
  EXPECT_EQ(bytes, 2 * kTarpitReceiveBuffer) << "socket(7): the kernel doubles it";
}

TEST_F(NextVerbs, ASocketpairHasASlotAtOneEndAndAnyHolderAtTheOther) {
  Driver driver;
  const auto pair = driver->make_socketpair();
  ASSERT_TRUE(pair.has_value());
  Fd ours(pair->ours);
  Fd theirs(pair->theirs);
  int adopted = ours.get();
  driver->adopt(0, std::span(&adopted, 1), OpTag::of(Op::kBackendPair));
  ASSERT_EQ(driver.next(Op::kBackendPair).result, 1);
  ours.reset();
  const auto slot = static_cast<uint32_t>(adopted);
  driver->receive_next(slot, on(Op::kRelayReceive, slot));
  write_all(theirs, "220 mx\r\n");
  EXPECT_EQ(text_of(driver, driver.next(Op::kRelayReceive)), "220 mx\r\n");
  driver->send(slot, std::string_view("QUIT\r\n"), SendMode::kWhole, on(Op::kRelaySend, slot));
  EXPECT_EQ(driver.next(Op::kRelaySend).result, 6);
  EXPECT_EQ(read_some(theirs, 6), "QUIT\r\n");
  driver->receive_next(slot, on(Op::kRelayReceive, slot));
  theirs.reset();
  EXPECT_EQ(driver.next(Op::kRelayReceive).result, 0) << "their death is the end of the stream";
}

}  // namespace
}  // namespace lychgate::ring
