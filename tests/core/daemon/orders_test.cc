// Orders and reports: what is encoded comes back, what is not ours does not; who matches a filter.

#include "core/daemon/orders.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/random.h"

namespace lychgate::daemon {
namespace {

Order some_order() {
  return {.id = 7,
          .from_slot = 4096,
          .slots_max = 100,
          .rows_max = 5,
          .kill = true,
          .filter = {.phases = 6,
                     .network = *Network::parse("192.0.2.0/24"),
                     .age_min = 1000,
                     .pool = 3,
                     .backend = 1,
                     .generation = 9}};
}

TEST(Orders, AnOrderComesBackAsItWas) {
  const Order order = some_order();
  const auto bytes = encode(order);
  EXPECT_EQ(bytes.size(), kOrderBytes);
  const auto back = decode_order(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), bytes);
  EXPECT_EQ(back->filter.generation, 9U);
  EXPECT_EQ(back->filter.network.text(), "192.0.2.0/24");
  EXPECT_TRUE(back->kill);
  EXPECT_EQ(back->slots_max, 100U);
}

TEST(Orders, AReportOfAnySizeComesBackAsItWas) {
  for (const size_t rows : {size_t{0}, size_t{1}, kRowsPerReport}) {
    Report report{.order = 3, .next_slot = 77, .matched = 12, .rows = {}};
    for (size_t i = 0; i < rows; ++i) {
      report.rows.push_back({.id = {static_cast<uint32_t>(i), 5},
                             .address = IpAddress::from_v4(0x7f000001),
                             .age = 99,
                             .port = 25,
                             .evidence = kTeased,
                             .score = -4,
                             .phase = Phase::kRelay,
                             .listener = 1,
                             .pool = 2,
                             .backend = 3,
                             .killed = i % 2 == 0});
    }
    const auto bytes = encode(report);
    EXPECT_LE(bytes.size(), kLineMessageMax);
    const auto back = decode_report(bytes);
    ASSERT_TRUE(back) << rows << " rows";
    EXPECT_EQ(back->order, 3U);
    EXPECT_EQ(back->next_slot, 77U);
    EXPECT_EQ(back->matched, 12U);
    EXPECT_EQ(back->rows, report.rows);
  }
}

TEST(Orders, OtherBytesAreRefused) {
  const auto order = encode(some_order());
  const auto report = encode(Report{.order = 1, .rows = std::vector<SessionRow>(3)});
  for (size_t size = 0; size < report.size(); ++size) {
    EXPECT_FALSE(decode_report(std::span(report).first(size))) << size;
    const size_t less = std::min(size, order.size() - 1);
    EXPECT_FALSE(decode_order(std::span(order).first(less))) << less;
  }
  EXPECT_FALSE(decode_order(report));
  EXPECT_FALSE(decode_report(order));
  sim::Random random(20260921);
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> noise(random.between(0, kLineMessageMax + 10));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random.next());
    if (!noise.empty()) noise[0] = random.one_in(2) ? 'O' : 'R';
    const auto order_of_noise = decode_order(noise);
    EXPECT_LE(order_of_noise ? order_of_noise->slots_max : 0, kSlotsPerOrder);
    const auto report_of_noise = decode_report(noise);
    EXPECT_LE(report_of_noise ? report_of_noise->rows.size() : 0, kRowsPerReport);
  }
}

TEST(Orders, SessionsMatchWhatIsGiven) {
  Slot slot;
  slot.address = IpAddress::from_v4(0xc0000201);
  slot.phase = Phase::kSilentWait;
  slot.started = 1000;
  slot.generation = 4;
  constexpr Tick kNow = 6000;
  struct Row {
    const char* what;
    SessionFilter filter;
    bool want;
  };
  const auto phase = [](Phase one) {
    return static_cast<uint16_t>(1U << static_cast<unsigned>(one));
  };
  const Row rows[] = {
      {"everybody", {}, true},
      {"its state", {.phases = phase(Phase::kSilentWait)}, true},
      {"another state", {.phases = phase(Phase::kRelay)}, false},
      {"its network", {.network = *Network::parse("192.0.2.0/24")}, true},
      {"another network", {.network = *Network::parse("198.51.100.0/24")}, false},
      {"old enough", {.age_min = 5000}, true},
      {"not old enough", {.age_min = 5001}, false},
      {"its generation", {.generation = 4}, true},
      {"the slot's client before", {.generation = 3}, false},
  };
  for (const Row& row : rows) EXPECT_EQ(matches(row.filter, slot, kNow), row.want) << row.what;
  slot.evidence = kOurSocket;
  EXPECT_FALSE(matches({}, slot, kNow)) << "a socket of ours";
  slot.evidence = 0;
  slot.phase = Phase::kFree;
  EXPECT_FALSE(matches({}, slot, kNow)) << "nobody";
}

}  // namespace
}  // namespace lychgate::daemon
