// Queues of leased buffers: order, sharing of the links, and every buffer back.

#include "handoff/buffer_queue.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::handoff {
namespace {

using ring::Op;

constexpr uint32_t kBuffers = 8;

class BufferQueueTest : public ::testing::Test {
 protected:
  // A buffer with these bytes, as a receive would bring it.
  ring::BufferLease lease(std::string_view bytes) {
    uint32_t slot = kNoSlot;
    const sim::SocketPtr socket = world_.accept(slot);
    world_.reactor.deliver(*socket, bytes);
    world_.reactor.receive_multishot(slot, world_.connections.begin(Op::kRelayReceive, slot));
    const ring::Completion got = world_.turn().front();
    return {world_.reactor, got.buffer.value(), static_cast<uint32_t>(got.result)};
  }
  std::string front(const BufferQueue& queue) {
    const auto bytes = queue.front(links_, world_.reactor);
    return {bytes.begin(), bytes.end()};
  }

  sim::SmallWorld world_{{.slots = 64, .buffers = kBuffers, .faults = {}}};
  BufferLinks links_{kBuffers};
};

struct Step {
  char what;         // '+' push to queue, '-' pop from it, '!' clear it
  int queue;         // 0 or 1
  const char* want;  // the front afterwards, "" when empty
  const char* bytes = "";
};

struct Row {
  const char* what;
  std::vector<Step> steps;
};

const Row kRows[] = {
    {"first in, first out",
     {{'+', 0, "a", "a"}, {'+', 0, "a", "bc"}, {'-', 0, "bc"}, {'-', 0, ""}}},
    {"emptied and used again",
     {{'+', 0, "a", "a"}, {'-', 0, ""}, {'+', 0, "b", "b"}, {'-', 0, ""}}},
    {"two queues share the links",
     {{'+', 0, "a", "a"},
      {'+', 1, "x", "x"},
      {'+', 0, "a", "b"},
      {'+', 1, "x", "y"},
      {'-', 0, "b"},
      {'-', 1, "y"},
      {'+', 0, "b", "c"},
      {'-', 0, "c"},
      {'-', 0, ""},
      {'-', 1, ""}}},
    {"cleared in the middle",
     {{'+', 0, "a", "a"}, {'+', 1, "x", "x"}, {'+', 0, "a", "b"}, {'!', 0, ""}, {'-', 1, ""}}},
    {"clearing an empty one is nothing", {{'!', 0, ""}}},
};

TEST_F(BufferQueueTest, KeepsOrderAndGivesEveryBufferBack) {
  for (const Row& row : kRows) {
    BufferQueue queues[2];
    for (const Step& step : row.steps) {
      BufferQueue& queue = queues[step.queue];
      if (step.what == '+') queue.push(links_, lease(step.bytes));
      if (step.what == '-') queue.pop(links_, world_.reactor);
      if (step.what == '!') queue.clear(links_, world_.reactor);
      EXPECT_EQ(queue.empty() ? "" : front(queue), step.want) << row.what;
    }
    EXPECT_EQ(world_.reactor.buffers_free(), kBuffers) << row.what;
  }
  EXPECT_TRUE(world_.reactor.violations().empty());
}

TEST_F(BufferQueueTest, MayHoldEveryBufferThereIs) {
  BufferQueue queue;
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < kBuffers; ++i) texts.push_back(std::string(i + 1, 'x'));
  for (const std::string& text : texts) queue.push(links_, lease(text));
  EXPECT_EQ(queue.size(), kBuffers);
  EXPECT_EQ(world_.reactor.buffers_free(), 0U);
  for (const std::string& text : texts) {
    EXPECT_EQ(front(queue), text);
    queue.pop(links_, world_.reactor);
  }
  EXPECT_EQ(world_.reactor.buffers_free(), kBuffers);
}

using BufferQueueDeathTest = BufferQueueTest;

TEST_F(BufferQueueDeathTest, DiesRatherThanLeakOrReadNothing) {
  BufferQueue queue;
  EXPECT_DEATH(queue.pop(links_, world_.reactor), "count_ > 0");
  EXPECT_DEATH(front(queue), "count_ > 0");
  EXPECT_DEATH(
      {
        BufferQueue left;
        left.push(links_, lease("a"));
      },
      "count_ == 0");
}

}  // namespace
}  // namespace lychgate::handoff
