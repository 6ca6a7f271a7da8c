// Tables that hold, on the real kernel: what their verbs answer and when, and the move of a
// connection to the main table.

#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

constexpr ReactorOptions kThreeTables = {.slots = kSlotsMin,
                                         .tables = 3,
                                         .buffers = 16,
                                         .buffer_bytes = 4096,
                                         .submission_entries = 64,
                                         .completion_entries = 256};

class HoldTables : public RingTest {
 protected:
  // The only completion of one turn that waits for nothing.
  Completion now() {
    const auto came = driver_->turn(milliseconds(0));
    EXPECT_EQ(came.size(), 1U);
    return came.empty() ? Completion{} : came.front();
  }
  Driver::Pair pair(uint32_t table) {
    Fd client = connect_client(listener_);
    PeerAddress peer;
    driver_->accept_direct(listener_.fd.get(), table, peer, OpTag::of(Op::kAccept));
    const Completion done = now();
    EXPECT_GE(done.result, 0) << errno_text(-done.result);
    EXPECT_EQ(Endpoint::from_sockaddr(&peer.any), local_endpoint_of(client));
    return {std::move(client), static_cast<uint32_t>(done.result)};
  }

  Driver driver_{kThreeTables};
  Listener listener_ = listen_tcp({.backlog = 1024});
};

TEST_F(HoldTables, AnswerEveryVerbTheyKnowInTheNextTurn) {
  for (const uint32_t table : {1U, 2U}) {
    SCOPED_TRACE(table);
    const Driver::Pair pair = this->pair(table);
    const uint32_t slot = pair.slot;
    EXPECT_EQ(slot / kSlotsMin, table);
    std::array<char, 16> look;
    driver_->peek(slot, look, on(Op::kLook, slot));
    EXPECT_EQ(now().result, -EAGAIN) << "a silent client";
    write_all(pair.client, "EHLO");
    driver_->peek(slot, look, on(Op::kLook, slot));
    EXPECT_EQ(now().result, 4);
    driver_->discard(slot, on(Op::kDiscard, slot));
    EXPECT_EQ(now().result, 4);
    driver_->peek(slot, look, on(Op::kLook, slot));
    EXPECT_EQ(now().result, -EAGAIN) << "all was thrown away";
    driver_->send(slot, std::string_view("550 \r\n"), SendMode::kWhole, on(Op::kReply, slot));
    EXPECT_EQ(now().result, 6);
    EXPECT_EQ(read_some(pair.client, 6), "550 \r\n");
    driver_->cancel(slot, on(Op::kCancel, slot));
    EXPECT_EQ(now().tag.operation(), Op::kCancel);
    driver_->shutdown_write(slot, on(Op::kShutdown, slot));
    EXPECT_EQ(now().result, 0);
    EXPECT_EQ(read_some(pair.client, 1), "") << "the end of our stream";
    driver_->close(slot, on(Op::kClose, slot));
    EXPECT_EQ(now().result, 0);
  }
  EXPECT_EQ(driver_->stats().hold_late, 0U);
}

TEST_F(HoldTables, AResetIsAnsweredInTheNextTurnToo) {
  const Driver::Pair pair = this->pair(1);
  driver_->close_by_reset(pair.slot, on(Op::kClose, pair.slot));
  const auto came = driver_->turn(milliseconds(0));
  ASSERT_EQ(came.size(), 2U) << "the option and the close";
  EXPECT_EQ(came.back().tag.operation(), Op::kClose);
  EXPECT_EQ(came.back().result, 0);
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kReset);
  EXPECT_EQ(driver_->stats().hold_late, 0U);
}

TEST_F(HoldTables, NobodyWaitingIsAnsweredToo) {
  PeerAddress peer;
  driver_->accept_direct(listener_.fd.get(), 1, peer, OpTag::of(Op::kAccept));
  EXPECT_EQ(now().result, -EAGAIN);
}

// A send that does not fit must not stay behind in a ring that nothing waits for.
TEST_F(HoldTables, AReplyThatDoesNotFitIsCutNotAwaited) {
  const Driver::Pair pair = this->pair(1);
  const std::string much(64U << 20, 'x');
  driver_->send(pair.slot, much, SendMode::kWhole, on(Op::kReply, pair.slot));
  const Completion done = now();
  EXPECT_GT(done.result, 0);
  EXPECT_LT(done.result, static_cast<int32_t>(much.size()));
  driver_->send(pair.slot, much, SendMode::kWhole, on(Op::kReply, pair.slot));
  EXPECT_EQ(now().result, -EAGAIN);
}

TEST_F(HoldTables, AMovedConnectionLivesOnInTheMainTable) {
  const Driver::Pair pair = this->pair(2);
  driver_->move_to_main(pair.slot, on(Op::kMove, pair.slot));
  const Completion moved = now();
  EXPECT_EQ(moved.tag.connection().slot, pair.slot) << "the tag is the old slot's";
  ASSERT_GE(moved.result, 0) << errno_text(-moved.result);
  const auto slot = static_cast<uint32_t>(moved.result);
  EXPECT_LT(slot, kSlotsMin);
  driver_->close(pair.slot, on(Op::kClose, pair.slot));
  EXPECT_EQ(now().result, 0);
  EXPECT_EQ(peer_sees(pair.client), PeerSees::kNothing) << "closing the old slot ends nothing";
  driver_->receive_multishot(slot, on(Op::kRelayReceive, slot));
  EXPECT_TRUE(driver_.silent(Op::kRelayReceive));
  write_all(pair.client, "HELO");
  const Completion got = driver_.next(Op::kRelayReceive);
  ASSERT_TRUE(got.buffer.has_value());
  EXPECT_EQ(std::string_view(driver_->buffer(*got.buffer).data(), 4), "HELO");
}

TEST_F(HoldTables, AFullMainTableRefusesTheMove) {
  const Driver::Pair held = this->pair(1);
  std::vector<Driver::Pair> main;
  for (uint32_t i = 0; i < kSlotsMin; ++i) main.push_back(this->pair(0));
  driver_->move_to_main(held.slot, on(Op::kMove, held.slot));
  EXPECT_EQ(now().result, -ENFILE);
  driver_.close(main.back().slot);
  driver_->move_to_main(held.slot, on(Op::kMove, held.slot));
  EXPECT_EQ(now().result, static_cast<int32_t>(main.back().slot));
}

TEST_F(HoldTables, ManyMovesAndClosesInOneTurnAreAllAnswered) {
  std::vector<Driver::Pair> held;
  for (uint32_t i = 0; i < kSlotsMin; ++i) held.push_back(this->pair(1 + i % 2));
  for (const Driver::Pair& pair : held) {
    driver_->move_to_main(pair.slot, on(Op::kMove, pair.slot));
  }
  std::set<int32_t> slots;
  for (uint32_t i = 0; i < kSlotsMin; ++i) slots.insert(driver_.next(Op::kMove).result);
  EXPECT_EQ(slots.size(), kSlotsMin) << "each its own";
  EXPECT_EQ(*slots.begin(), 0);
  // More requests than the queue of a ring that holds has entries.
  std::array<char, 16> look;
  constexpr uint32_t kLooks = kHoldSubmissionEntries * 3;
  for (uint32_t i = 0; i < kLooks; ++i) {
    const uint32_t slot = held[i % kSlotsMin].slot;
    driver_->peek(slot, look, on(Op::kLook, slot));
  }
  for (uint32_t i = 0; i < kLooks; ++i) EXPECT_EQ(driver_.next(Op::kLook).result, -EAGAIN);
  EXPECT_EQ(driver_->stats().hold_late, 0U);
  EXPECT_GT(driver_->stats().submit_full, 0U) << "counted";
}

// RLIMIT_NOFILE bounds each table by itself, so tables together hold more than the limit.
TEST_F(HoldTables, TogetherHoldMoreThanTheDescriptorLimit) {
  const std::string told = in_child([] {
    const rlimit limit{kSlotsMin, kSlotsMin};
    setrlimit(RLIMIT_NOFILE, &limit);
    auto more = UringReactor::create(
        {.slots = kSlotsMin + 1, .buffers = 16, .buffer_bytes = 4096, .packets = 0});
    if (more) return std::string("a table beyond the limit was allowed");
    auto tables = UringReactor::create(
        {.slots = kSlotsMin, .tables = 8, .buffers = 16, .buffer_bytes = 4096, .packets = 0});
    return tables ? std::string("good") : tables.error().text;
  });
  EXPECT_EQ(told, "good");
}

}  // namespace
}  // namespace lychgate::ring
