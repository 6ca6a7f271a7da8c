// The acceptor over the simulated kernel: batches follow the load, the table never fills, failures
// are retried and a stop leaves nothing behind.

#include "core/daemon/acceptor.h"

#include <cerrno>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using ring::Op;

class AcceptorTest : public ::testing::Test {
 protected:
  explicit AcceptorTest(const sim::KernelOptions& options = {})
      : world_(options), acceptor_(world_.connections, {world_.listener}, kReserve) {
    acceptor_.start();
  }

  void come(int clients) {
    for (int i = 0; i < clients; ++i) world_.arrive();
  }
  // One turn of a shard's loop; how many accepts came back, successful or not.
  uint32_t turn() {
    uint32_t accepts = 0;
    for (const ring::Completion& completion : world_.turn(milliseconds(10))) {
      if (completion.tag.operation() == Op::kListenerPoll) acceptor_.poll_completed(completion);
      if (completion.tag.operation() != Op::kAccept) continue;
      ++accepts;
      const auto arrival = acceptor_.accepted(completion, world_.now());
      if (!arrival) continue;
      world_.connections.open_client(*arrival, world_.now());
      clients_.push_back(arrival->slot);
    }
    acceptor_.submit(world_.now());
    return accepts;
  }
  void close(size_t clients) {
    for (; clients > 0; --clients) {
      world_.connections.retire(clients_.back());
      clients_.pop_back();
    }
    for (const ring::Completion& completion : world_.turn()) world_.connections.take(completion);
    acceptor_.submit(world_.now());
  }
  uint64_t count(Counter counter) { return world_.counters.shards()[0].get(counter); }

  static constexpr uint32_t kReserve = 4;
  sim::SmallWorld world_;
  Acceptor acceptor_;
  std::vector<uint32_t> clients_;  // slots
};

TEST_F(AcceptorTest, AsksForOneClientAtATimeWhenCalm) {
  turn();
  for (int i = 0; i < 5; ++i) {
    come(1);
    EXPECT_EQ(turn(), 0U) << "the poll wakes it";
    const uint32_t accepts = turn();
    EXPECT_EQ(accepts, 1U) << "none in vain";
    while (turn() > 0) {
    }
    EXPECT_EQ(clients_.size(), static_cast<size_t>(i + 1));
  }
}

TEST_F(AcceptorTest, DoublesTheBatchWhileEveryAcceptSucceeds) {
  turn();
  come(20);
  turn();
  std::vector<uint32_t> batches;
  while (const uint32_t accepts = turn()) batches.push_back(accepts);
  EXPECT_EQ(batches, (std::vector<uint32_t>{1, 2, 4, 8, 8}));
  EXPECT_EQ(clients_.size(), 20U) << "the last batch found five and then nobody";
}

TEST_F(AcceptorTest, NeverFillsTheTableAndGoesOnWhenThereIsRoom) {
  turn();
  come(100);
  for (int i = 0; i < 20; ++i) turn();
  EXPECT_EQ(clients_.size(), world_.slots.size() - kReserve);
  EXPECT_EQ(count(Counter::kAcceptPaused), 1U) << "told once, not each turn";
  EXPECT_EQ(world_.reactor.waiting_clients(), 100 - clients_.size()) << "nobody is lost";
  close(30);
  for (int i = 0; i < 20; ++i) turn();
  EXPECT_EQ(clients_.size(), world_.slots.size() - kReserve) << "without a new wake-up";
  EXPECT_TRUE(world_.reactor.violations().empty());
}

// More hand-offs than free slots may be begun in one turn, since the kernel refuses those without
// one. The count of free slots went below zero then, became huge, and the next batch of accepts
// filled the table, which killed a client.
TEST_F(AcceptorTest, AsksForNobodyWhenMoreSlotsAreExpectedThanFree) {
  turn();
  come(100);
  for (int i = 0; i < 20; ++i) turn();
  for (uint32_t i = 0; i < kReserve + 1; ++i) {
    world_.connections.expect_slot();
    world_.reactor.open_socket(AF_INET, world_.connections.begin(Op::kBackendSocket, clients_[i]));
  }
  EXPECT_EQ(world_.connections.free_slots(), 0U);
  acceptor_.submit(world_.now());
  turn();
  EXPECT_TRUE(world_.reactor.violations().empty());
}

class FailingAcceptorTest : public AcceptorTest {
 protected:
  FailingAcceptorTest() : AcceptorTest({.slots = 64, .buffers = 1, .faults = always()}) {}
  static sim::Faults always() {
    sim::Faults faults;
    faults.no_descriptor_percent = 100;
    return faults;
  }
};

TEST_F(FailingAcceptorTest, TriesAgainAfterAWhileAndDoesNotSpin) {
  turn();
  come(1);
  turn();
  EXPECT_EQ(turn(), 1U);
  EXPECT_EQ(count(Counter::kAcceptFailed), 1U);
  ASSERT_TRUE(acceptor_.next_wake().has_value());
  const Tick retry = *acceptor_.next_wake();
  EXPECT_EQ(retry, world_.now() + 100);
  while (!tick_reached(world_.now(), retry)) EXPECT_EQ(turn(), 0U);
  acceptor_.submit(world_.now());
  EXPECT_EQ(turn(), 1U) << "no wake-up of the listener was needed";
}

// The time of the retry outlived the stop, was due for ever, and a stopping gate whose last accept
// had failed took a whole core until its drain was over.
TEST_F(FailingAcceptorTest, WaitsForNothingAfterAStop) {
  turn();
  come(1);
  turn();
  turn();
  ASSERT_TRUE(acceptor_.next_wake().has_value());
  acceptor_.stop();
  EXPECT_FALSE(acceptor_.next_wake().has_value());
  turn();
  EXPECT_FALSE(acceptor_.next_wake().has_value());
}

// When the answers to one batch came in two turns, with the retry of a failed one due in between,
// the end of the batch took the retry for done and the queue was forgotten until the next client.
TEST_F(AcceptorTest, RemembersTheRetryOfABatchAnsweredInParts) {
  turn();
  come(3);
  turn();
  std::vector<ring::Completion> batch;
  turn();  // one accept succeeded, two are on their way
  for (ring::Completion& completion : world_.turn()) batch.push_back(completion);
  ASSERT_EQ(batch.size(), 2U);
  batch[0].result = -ENOMEM;
  acceptor_.accepted(batch[0], 1000);
  acceptor_.submit(1000);
  acceptor_.submit(1200);  // the second answer is still not here
  acceptor_.accepted(batch[1], 1201);
  acceptor_.submit(1201);
  size_t asked = 0;
  for (const ring::Completion& completion : world_.turn()) {
    asked += completion.tag.operation() == Op::kAccept ? 1 : 0;
  }
  EXPECT_GT(asked, 0U);
}

TEST_F(AcceptorTest, StopsPollingButTakesWhoWasAskedFor) {
  turn();
  come(3);
  turn();  // the wake-up; one accept is on its way now
  acceptor_.stop();
  EXPECT_EQ(turn(), 1U);
  EXPECT_EQ(clients_.size(), 1U);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(turn(), 0U);
  EXPECT_EQ(world_.reactor.waiting_clients(), 2U) << "for those who come after";
}

}  // namespace
}  // namespace lychgate::daemon
