// Attempts at `pass` services over the simulated kernel: what each failure counts as, and that a
// full service is not taken for a dead one.

#include "handoff/transfers.h"

#include <cerrno>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::handoff {
namespace {

// A service that answers a connect as told.
class Service : public sim::Server {
 public:
  void connecting(const sim::SocketPtr& socket) override {
    socket->far = &nobody_;
    connections.push_back(socket);
    answer(socket);
  }
  std::function<void(const sim::SocketPtr&)> answer;
  std::vector<sim::SocketPtr> connections;

 private:
  sim::Stranger nobody_;
};

class TransfersTest : public ::testing::Test {
 protected:
  TransfersTest() {
    config_.listens.push_back({.name = "smtp", .address = *Endpoint::parse("192.0.2.1:25")});
    config::Pool pool;
    pool.name = "friendly";
    config::Backend backend;
    backend.text = "pass:/run/friendly";
    backend.method = config::HandoffMethod::kPass;
    backend.address = *SocketAddress::unix_path("/run/friendly");
    pool.backends.push_back(backend);
    pool.wait = milliseconds(0);
    config_.pools.push_back(pool);
    world_.reactor.serve(config_.pools[0].backends[0].address, service_);
    pools_.emplace(config_, world_.counters.shards(), 0);
    transfers_.emplace(world_.connections, *pools_,
                       TransferOptions{.config = config_, .records = 4, .buffers = kRelayBuffers});
    client_ = world_.accept(slot_);
    world_.connections.set_phase(slot_, Phase::kHandoff);
  }

  // Hands the client over and runs until nothing more happens within a second.
  void run() {
    transfers_->begin(slot_, 0, world_.now());
    go_on();
  }
  void run_replay() {
    transfers_->begin_replay(slot_, 0, {.hello = "EHLO c", .pending = "STARTTLS", .cookie = 7},
                             world_.now());
    go_on();
  }
  void go_on() {
    for (int i = 0; i < 100; ++i) {
      for (const ring::Completion& completion : world_.turn(milliseconds(10))) {
        const auto slot = static_cast<uint32_t>(completion.tag.slot);
        if (world_.connections.take(completion) == nullptr) continue;
        if (world_.slots[slot].transfer == kNoSlot) continue;
        transfers_->complete(slot, completion, world_.now());
      }
    }
    EXPECT_TRUE(world_.reactor.violations().empty()) << world_.reactor.violations().front();
  }
  uint64_t count(HandoffOutcome outcome) {
    return world_.counters.shards()[0].outcomes[0][static_cast<size_t>(outcome)];
  }
  bool take(const sim::SocketPtr& connection) {
    if (connection->parcels.empty()) return false;
    connection->parcels.clear();
    world_.reactor.end(*connection);
    return true;
  }

  sim::SmallWorld world_;
  config::Config config_;
  Service service_;
  std::optional<Pools> pools_;
  std::optional<Transfers> transfers_;
  uint32_t slot_ = kNoSlot;
  sim::SocketPtr client_;
};

TEST_F(TransfersTest, HandsTheClientToAServiceWithRoom) {
  service_.answer = [this](const sim::SocketPtr& socket) {
    world_.reactor.connect_done(*socket, 0);
    world_.agenda.after(5, [this, socket] { EXPECT_TRUE(take(socket)); });
  };
  run();
  EXPECT_EQ(count(HandoffOutcome::kTaken), 1U);
  const auto outcome = transfers_->next_outcome();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->news, TransferNews::kTaken);
}

TEST_F(TransfersTest, LetsADeadServiceRest) {
  service_.answer = [this](const sim::SocketPtr& socket) {
    world_.reactor.connect_done(*socket, -ECONNREFUSED);
  };
  run();
  EXPECT_EQ(count(HandoffOutcome::kRefused), 1U);
  EXPECT_FALSE(pools_->choose(0, 0, 1).backend.has_value()) << "at rest";
  EXPECT_TRUE(transfers_->next_warning().has_value());
}

// The descriptor is sent in the turn of the connect. A service with a full backlog answers the
// connect by a worker thread, after the send has failed with -ENOTCONN, and that was taken for a
// refusal: the service, alive and busy, was left alone for up to ten seconds, with a warning.
TEST_F(TransfersTest, TakesAFullServiceForFull) {
  service_.answer = [this](const sim::SocketPtr& socket) {
    world_.agenda.after(1, [this, socket] { world_.reactor.connect_done(*socket, -EAGAIN); });
  };
  run();
  EXPECT_EQ(count(HandoffOutcome::kFull), 1U);
  EXPECT_EQ(count(HandoffOutcome::kRefused), 0U);
  EXPECT_TRUE(pools_->choose(0, 0, 1).backend.has_value()) << "no rest for a busy service";
  EXPECT_FALSE(transfers_->next_warning().has_value());
  const auto outcome = transfers_->next_outcome();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->news, TransferNews::kGaveUp);
}

TEST_F(TransfersTest, SendsTheDescriptorAgainWhenTheWorkerFoundRoom) {
  service_.answer = [this](const sim::SocketPtr& socket) {
    world_.agenda.after(1, [this, socket] { world_.reactor.connect_done(*socket, 0); });
    world_.agenda.after(9, [this, socket] { EXPECT_TRUE(take(socket)); });
  };
  run();
  EXPECT_EQ(count(HandoffOutcome::kTaken), 1U);
  EXPECT_EQ(count(HandoffOutcome::kRefused), 0U);
  EXPECT_EQ(world_.reactor.real_sockets(), 0U) << "the real descriptor is closed";
}

// The service gets an end of a socketpair in place of the client, and its death with it unread is
// the end of the stream: the client is offered to nobody twice and hears one refusal.
TEST_F(TransfersTest, AReplayPassesAnEndOfASocketpairAndNotTheClient) {
  service_.answer = [this](const sim::SocketPtr& socket) {
    world_.reactor.connect_done(*socket, 0);
    world_.agenda.after(5, [this, socket] {
      ASSERT_EQ(socket->parcels.size(), 1U);
      const sim::Parcel parcel = socket->parcels.front();
      socket->parcels.clear();
      EXPECT_TRUE(parcel.pair);
      EXPECT_NE(parcel.passed, client_);
      world_.reactor.end_of_pair(*parcel.passed);
    });
  };
  run_replay();
  EXPECT_EQ(count(HandoffOutcome::kTaken), 0U);
  EXPECT_EQ(count(HandoffOutcome::kRefused), 1U);
  const auto outcome = transfers_->next_outcome();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->news, TransferNews::kGaveUp);
  EXPECT_EQ(outcome->cookie, 7U);
  EXPECT_EQ(client_->claims, 0);
  EXPECT_EQ(world_.slots.used(), 1U) << "both sockets of the attempt are closed";
}

}  // namespace
}  // namespace lychgate::handoff
