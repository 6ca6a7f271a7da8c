// One relay over the simulated kernel: both ways, half-close, bulk, and want of pipes.

#include "handoff/relay.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/bytes.h"
#include "tests/sim/small_world.h"

namespace lychgate::handoff {
namespace {

using ring::Op;

class RelayTest : public ::testing::Test {
 protected:
  explicit RelayTest(uint32_t pipes = kPipesMax) : world_(options(pipes)) {
    client_ = world_.accept(ends_.client);
    backend_ = world_.accept(ends_.backend);
    world_.reactor.deliver(*backend_, std::string_view("220 x\r\n"));
    world_.reactor.receive_multishot(ends_.backend,
                                     world_.connections.begin(Op::kRelayReceive, ends_.backend));
    const ring::Completion greeting = world_.turn().front();
    ends_.backend_receiving = greeting.more;
    relay_.start(context_, ends_,
                 {world_.reactor, *greeting.buffer, static_cast<uint32_t>(greeting.result)}, 0);
  }
  ~RelayTest() override {
    if (!relay_.finished()) relay_.abort(context_);
    for (int i = 0; i < 5; ++i) turn();
    relay_.stop(context_);
    EXPECT_EQ(world_.reactor.buffers_free(), kRelayBuffers) << "all buffers are back";
    EXPECT_EQ(context_.pipes.leased(), 0U);
    EXPECT_EQ(context_.bulk_relays, 0U);
    EXPECT_TRUE(world_.reactor.violations().empty()) << world_.reactor.violations().front();
  }

  static sim::KernelOptions options(uint32_t pipes) {
    sim::KernelOptions out;
    out.faults.pipes_max = pipes;
    return out;
  }
  void turn() {
    for (const ring::Completion& completion : world_.turn()) {
      if (world_.connections.take(completion) != nullptr) relay_.complete(context_, completion, 0);
    }
    const std::vector<uint32_t> starved = std::exchange(context_.starved, {});
    for (size_t i = 0; i < starved.size(); ++i) relay_.resume(context_);
  }
  // What arrives at the far end of `to` when `bytes` are written at that of `from`.
  std::string pass_on(sim::Socket& from, sim::Socket& to, std::string_view bytes) {
    std::string out;
    char chunk[16384];
    for (int i = 0; i < 400 && (out.size() < bytes.size() || i < 3); ++i) {
      sent_ += world_.reactor.deliver(from, bytes.substr(std::min(sent_, bytes.size())));
      turn();
      while (const size_t got = world_.reactor.take(to, chunk)) out.append(chunk, got);
    }
    sent_ = 0;
    return out;
  }
  std::string drain(sim::Socket& socket) {
    char chunk[64];
    return {chunk, world_.reactor.take(socket, chunk)};
  }
  void make_bulk() {
    const std::string stream(3 * kBulkThresholdBytes, 's');
    EXPECT_EQ(pass_on(*client_, *backend_, stream), stream);
  }
  uint64_t count(Counter counter) { return world_.counters.shards()[0].get(counter); }

  sim::SmallWorld world_;
  RelayContext context_{
      world_.connections, BufferLinks(kRelayBuffers), PipePool(world_.reactor), 0, 1, {}};
  Relay::Ends ends_;
  sim::SocketPtr client_;
  sim::SocketPtr backend_;
  Relay relay_;
  size_t sent_ = 0;
};

TEST_F(RelayTest, PassesTheGreetingAndTheDialogueOn) {
  turn();
  turn();
  EXPECT_EQ(drain(*client_), "220 x\r\n");
  EXPECT_EQ(pass_on(*client_, *backend_, "EHLO x\r\n"), "EHLO x\r\n");
  EXPECT_EQ(pass_on(*backend_, *client_, "250 x\r\n"), "250 x\r\n");
  EXPECT_EQ(count(Counter::kRelayBulk), 0U);
}

TEST_F(RelayTest, KeepsAHalfClose) {
  world_.reactor.end(*client_);
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_TRUE(backend_->near_shut) << "the backend hears of the end";
  EXPECT_FALSE(client_->near_shut);
  drain(*client_);
  EXPECT_EQ(pass_on(*backend_, *client_, "221 bye\r\n"), "221 bye\r\n");
  world_.reactor.end(*backend_);
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_TRUE(relay_.finished()) << "the client hears of the end by the close that follows";
}

TEST_F(RelayTest, TurnsAStreamIntoBulkAndBackIsTheSameStream) {
  make_bulk();
  EXPECT_EQ(count(Counter::kRelayBulk), 1U);
  EXPECT_GT(world_.reactor.bulk_bytes(), 0U);
  EXPECT_EQ(context_.pipes.leased(), 0U) << "an idle bulk relay holds no pipe";
  drain(*client_);
  EXPECT_EQ(pass_on(*backend_, *client_, "250 ok\r\n"), "250 ok\r\n");
}

class PipelessRelayTest : public RelayTest {
 protected:
  PipelessRelayTest() : RelayTest(0) {}
};

// A bulk relay that got no pipe for either direction stood in the list of the starved once for
// each, and was put there twice more for each entry that was tried in vain: twice as many every
// turn, until memory was full.
TEST_F(PipelessRelayTest, StandsInTheListOfTheStarvedOnce) {
  world_.reactor.deliver(*client_, std::string(kBulkThresholdBytes - 1, 'c'));
  for (int i = 0; i < 20; ++i) turn();
  char chunk[16384];
  while (world_.reactor.take(*backend_, chunk) > 0) turn();
  world_.reactor.deliver(*client_, std::string(1000, 'c'));
  for (int i = 0; i < 40; ++i) {
    world_.reactor.deliver(*client_, "c");
    turn();
    ASSERT_LE(context_.starved.size(), 1U) << "in turn " << i;
  }
  EXPECT_EQ(count(Counter::kRelayBulk), 1U);
  EXPECT_EQ(context_.starved.size(), 1U);
  EXPECT_EQ(count(Counter::kRelayStarved), 2U) << "each direction waits once";
}

TEST(PipePool, ReservesTheFirstPipeOrSaysThatThereIsNone) {
  sim::KernelOptions none;
  none.faults.pipes_max = 0;
  sim::SmallWorld poor(none);
  EXPECT_FALSE(PipePool(poor.reactor).reserve());
  sim::SmallWorld rich;
  PipePool pool(rich.reactor);
  EXPECT_TRUE(pool.reserve());
  EXPECT_EQ(pool.leased(), 0U);
  EXPECT_EQ(rich.reactor.pipes(), 1U);
  EXPECT_TRUE(pool.lease().has_value());
  EXPECT_EQ(rich.reactor.pipes(), 1U) << "the reserved one is used first";
}

}  // namespace
}  // namespace lychgate::handoff
