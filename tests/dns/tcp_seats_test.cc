// The seats of questions over TCP by themselves: what is closed when, and who is told what, when a
// question lets go in the middle of something.

#include "dns/tcp_seats.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::dns {
namespace {

using ring::Op;

const Endpoint kServer{IpAddress::from_v4(0xc6336401), 53};

// Takes every connection; the test speaks for it.
class Silent : public sim::Server {
 public:
  explicit Silent(sim::SimReactor& reactor) : reactor_(reactor) {}
  void connecting(const sim::SocketPtr& socket) override {
    socket->far = &stranger_;
    last = socket;
    if (answers) reactor_.connect_done(*socket, 0);
  }
  bool answers = true;
  sim::SocketPtr last;

 private:
  sim::SimReactor& reactor_;
  sim::Stranger stranger_;
};

class TcpSeatsTest : public testing::Test {
 protected:
  TcpSeatsTest()
      : server_(world_.reactor),
        seats_(world_.connections, *PrivateMemory::create(TcpSeats::kMemoryBytes)) {
    world_.reactor.serve(SocketAddress::from(kServer), server_);
  }

  // What the seats say to a few turns; the last of it.
  std::optional<TcpSeats::Ended> turns() {
    std::optional<TcpSeats::Ended> last;
    for (int i = 0; i < 10; ++i) {
      for (const ring::Completion& completion : world_.turn(milliseconds(1))) {
        const bool socket = completion.tag.operation() == Op::kDnsTcpSocket;
        if (!socket && world_.connections.take(completion) == nullptr) continue;
        if (const auto ended = seats_.complete(completion)) last = ended;
      }
    }
    return last;
  }
  void expect_all_closed() {
    turns();
    EXPECT_EQ(seats_.used(), 0u);
    EXPECT_EQ(world_.reactor.slots_open(), 0u);
    EXPECT_EQ(world_.slots.used(), 0u);
    EXPECT_TRUE(world_.reactor.all_buffers_back());
    EXPECT_TRUE(world_.reactor.violations().empty());
  }

  sim::SmallWorld world_;
  Silent server_;
  TcpSeats seats_;
  const std::string question_ = "a question";
};

TEST_F(TcpSeatsTest, OneQuestionOneAnswer) {
  ASSERT_TRUE(seats_.begin(7, kServer, question_));
  EXPECT_EQ(turns(), std::nullopt);
  char asked[32] = {};
  EXPECT_EQ(world_.reactor.take(*server_.last, asked), 2 + question_.size());
  EXPECT_EQ(std::string(asked + 2), question_);
  const std::string half(
      "\0\x06"
      "abc",
      5);
  world_.reactor.deliver(*server_.last, half);
  EXPECT_EQ(turns(), std::nullopt);
  world_.reactor.deliver(*server_.last, std::string_view("def and more"));
  const auto ended = turns();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->query, 7u);
  EXPECT_EQ(std::string(ended->message.begin(), ended->message.end()), "abcdef");
  EXPECT_EQ(std::string(ended->question.begin(), ended->question.end()), question_);
  expect_all_closed();
}

TEST_F(TcpSeatsTest, ALengthOfNothingIsAnEmptyMessage) {
  ASSERT_TRUE(seats_.begin(7, kServer, question_));
  turns();
  world_.reactor.deliver(*server_.last, std::string_view("\0\0", 2));
  const auto ended = turns();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->message.empty());
  expect_all_closed();
}

TEST_F(TcpSeatsTest, LettingGoClosesTheStreamWhereverItIs) {
  for (int after = 0; after < 6; ++after) {
    SCOPED_TRACE(after);
    server_.answers = after % 2 == 0;
    ASSERT_TRUE(seats_.begin(7, kServer, question_));
    for (int i = 0; i < after; ++i) {
      for (const ring::Completion& completion : world_.turn(milliseconds(0))) {
        const bool socket = completion.tag.operation() == Op::kDnsTcpSocket;
        if (!socket && world_.connections.take(completion) == nullptr) continue;
        EXPECT_FALSE(seats_.complete(completion));
      }
    }
    seats_.let_go(7);
    seats_.let_go(7);
    EXPECT_EQ(turns(), std::nullopt) << "nobody waits any more";
    expect_all_closed();
  }
}

TEST_F(TcpSeatsTest, ASeatWhoseSocketIsStillOnItsWayIsNotGivenToAnother) {
  for (uint32_t i = 0; i < kDnsTcpMax; ++i) {
    const bool room = world_.connections.free_slots() > 0;
    ASSERT_EQ(seats_.begin(i, kServer, question_), room);
  }
  EXPECT_EQ(seats_.used(), kDnsTcpMax);
  EXPECT_FALSE(seats_.begin(99, kServer, question_));
  for (uint32_t i = 0; i < kDnsTcpMax; ++i) seats_.let_go(i);
  EXPECT_FALSE(seats_.begin(99, kServer, question_));
  turns();
  EXPECT_TRUE(seats_.begin(99, kServer, question_));
  seats_.let_go(99);
  expect_all_closed();
}

TEST_F(TcpSeatsTest, ASeatIsNotGivenToAnotherWhileItsBytesMayBeSent) {
  ASSERT_TRUE(seats_.begin(1, kServer, question_));
  turns();
  seats_.let_go(1);  // its connection is closed by the next turns
  ASSERT_TRUE(seats_.begin(2, kServer, question_));
  std::vector<uint32_t> seats;
  for (const ring::Completion& completion : world_.turn(milliseconds(1))) {
    const bool socket = completion.tag.operation() == Op::kDnsTcpSocket;
    if (socket) seats.push_back(static_cast<uint32_t>(completion.tag.slot));
    if (!socket && world_.connections.take(completion) == nullptr) continue;
    seats_.complete(completion);
  }
  EXPECT_EQ(seats, std::vector<uint32_t>{1}) << "not seat 0";
  seats_.let_go(2);
  expect_all_closed();
}

TEST_F(TcpSeatsTest, AStreamThatFindsNoBufferFailsAtOnce) {
  sim::KernelOptions options;
  options.buffers = 2;
  sim::SmallWorld world(options);
  Silent server(world.reactor);
  TcpSeats seats(world.connections, *PrivateMemory::create(TcpSeats::kMemoryBytes));
  world.reactor.serve(SocketAddress::from(kServer), server);
  // A client's bytes take both buffers, and are kept.
  uint32_t slot = 0;
  const sim::SocketPtr client = world.accept(slot);
  world.reactor.receive_multishot(slot, world.connections.begin(Op::kRelayReceive, slot));
  for (int i = 0; i < 2; ++i) {
    world.turn();
    world.reactor.deliver(*client, std::string_view("bytes"));
  }
  world.turn();
  ASSERT_EQ(world.reactor.buffers_free(), 0u);
  ASSERT_TRUE(seats.begin(1, kServer, question_));
  std::optional<bool> answered;
  for (int i = 0; i < 10; ++i) {
    for (const ring::Completion& completion : world.turn(milliseconds(1))) {
      const bool socket = completion.tag.operation() == Op::kDnsTcpSocket;
      if (!socket && world.connections.take(completion) == nullptr) continue;
      if (completion.tag.operation() == Op::kRelayReceive) continue;
      if (const auto ended = seats.complete(completion)) answered = !ended->message.empty();
    }
    if (i == 5) world.reactor.deliver(*server.last, std::string_view("\0\x02ok", 4));
  }
  EXPECT_EQ(answered, false);
  EXPECT_EQ(seats.used(), 0u);
}

}  // namespace
}  // namespace lychgate::dns
