// The slot table: ids that go stale, slots that start clean, and address counts that are exact,
// compared with a std::map over a million random operations (the seed is printed on failure).

#include "core/base/slots.h"

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace lychgate {
namespace {

constexpr SipKey kKey{0x0123456789abcdef, 0xfedcba9876543210};

SlotTable make_table(uint32_t count) {
  return std::move(SlotTable::create(count, kKey).value());
}

TEST(Slots, AStaleIdFindsNothing) {
  SlotTable table = make_table(kSlotsMin);
  table.open(5, Phase::kSilentWait);
  const ConnId first = table.id(5);
  EXPECT_EQ(table.find(first), &table[5]);
  table.release(5);
  EXPECT_EQ(table.find(first), nullptr) << "released";
  table.open(5, Phase::kSilentWait);
  EXPECT_EQ(table.find(first), nullptr) << "the slot belongs to the next client";
  EXPECT_NE(table.id(5), first);
  EXPECT_EQ(table.find(table.id(5)), &table[5]);
}

TEST(Slots, AnIdOutsideTheTableFindsNothing) {
  SlotTable table = make_table(kSlotsMin);
  EXPECT_EQ(table.find({kSlotsMin, 0}), nullptr);
  EXPECT_EQ(table.find(ConnId{}), nullptr);
  EXPECT_EQ(table.find({0, 0}), nullptr) << "a free slot is nobody";
}

TEST(Slots, OpenClearsWhatTheLastClientLeft) {
  SlotTable table = make_table(kSlotsMin);
  Slot& slot = table.open(0, Phase::kSilentWait);
  slot.address = IpAddress::from_v4(1);
  slot.port = 7;
  slot.evidence = kSpokeEarly;
  slot.score = -3;
  slot.listener = 2;
  slot.started = 99;
  slot.transfer = 1;
  table.release(0);
  const Slot& again = table.open(0, Phase::kLooking);
  EXPECT_EQ(again.address, IpAddress{});
  EXPECT_EQ(again.port, 0);
  EXPECT_EQ(again.evidence, 0);
  EXPECT_EQ(again.score, 0);
  EXPECT_EQ(again.listener, 0);
  EXPECT_EQ(again.started, 0U);
  EXPECT_EQ(again.transfer, kNoSlot);
  EXPECT_EQ(again.phase, Phase::kLooking);
}

TEST(Slots, CountsThoseInUse) {
  SlotTable table = make_table(kSlotsMin);
  for (uint32_t i = 0; i < kSlotsMin; ++i) table.open(i, Phase::kSilentWait);
  EXPECT_EQ(table.used(), kSlotsMin);
  for (uint32_t i = 0; i < kSlotsMin; ++i) table.release(i);
  EXPECT_EQ(table.used(), 0U);
}

TEST(Slots, SayWhatTheirPhasesAreCalled) {
  for (size_t i = 0; i < kPhaseCount; ++i) EXPECT_NE(kPhaseNames[i], nullptr) << i;
}

TEST(SlotsDeathTest, CatchOurMistakes) {
  SlotTable table = make_table(kSlotsMin);
  table.open(1, Phase::kSilentWait);
  EXPECT_DEATH(table.open(1, Phase::kSilentWait), "check failed") << "opened twice";
  EXPECT_DEATH(table.release(2), "check failed") << "never opened";
  EXPECT_DEATH(table[kSlotsMin], "check failed") << "outside";
  EXPECT_DEATH(table.address_drop(IpAddress::from_v4(1)), "check failed") << "never counted";
  table[1].in_flight = 1;
  EXPECT_DEATH(table.release(1), "check failed") << "the kernel still holds a request";
}

TEST(AddressCounts, FillTheWholeTable) {
  SlotTable table = make_table(kSlotsMin);
  for (uint32_t i = 0; i < kSlotsMin; ++i) {
    EXPECT_EQ(table.address_add(IpAddress::from_v4(i)), 1U) << "a cell for each slot";
  }
  for (uint32_t i = 0; i < kSlotsMin; ++i) {
    EXPECT_EQ(table.address_count(IpAddress::from_v4(i)), 1U);
    EXPECT_EQ(table.address_drop(IpAddress::from_v4(i)), 0U);
  }
  EXPECT_EQ(table.address_count(IpAddress::from_v4(0)), 0U);
}

TEST(AddressCounts, SurviveTheConnectionsInTheirSlots) {
  SlotTable table = make_table(kSlotsMin);
  for (uint32_t i = 0; i < kSlotsMin; ++i) table.address_add(IpAddress::from_v4(i % 7));
  for (uint32_t i = 0; i < kSlotsMin; ++i) {
    table.open(i, Phase::kSilentWait);
    table.release(i);
  }
  for (uint32_t i = 0; i < 7; ++i) {
    EXPECT_EQ(table.address_count(IpAddress::from_v4(i)), (kSlotsMin - i + 6) / 7) << i;
  }
}

// Clients come and go as in life: few addresses with many connections, many with one.
TEST(AddressCounts, AgreeWithAModelOverAMillionOperations) {
  for (const uint64_t seed : {11U, 12U}) {
    constexpr uint32_t kSize = 4096;
    std::mt19937_64 random(seed);
    SlotTable table = make_table(kSize);
    std::map<std::array<uint8_t, 16>, uint32_t> model;
    std::vector<IpAddress> present;
    for (int step = 0; step < 500'000; ++step) {
      // The fill level swings, so that the table is at times full and at times almost empty.
      const bool filling = step / 20'000 % 2 == 0;
      const bool add =
          present.empty() || (present.size() < kSize && (random() % 4 != 0) == filling);
      if (add) {
        IpAddress address = IpAddress::from_v4(static_cast<uint32_t>(random() % 50));
        if (random() % 2 == 0) address.bytes[3] = static_cast<uint8_t>(random());
        if (random() % 2 == 0) address.bytes[9] = static_cast<uint8_t>(random());
        present.push_back(address);
        ASSERT_EQ(table.address_add(address), ++model[address.bytes])
            << "seed " << seed << ", step " << step;
      } else {
        std::swap(present[random() % present.size()], present.back());
        const IpAddress address = present.back();
        present.pop_back();
        const auto found = model.find(address.bytes);
        ASSERT_EQ(table.address_drop(address), --found->second)
            << "seed " << seed << ", step " << step;
        if (found->second == 0) model.erase(found);
      }
      if (step % 50'000 != 0) continue;
      for (const auto& [bytes, count] : model) ASSERT_EQ(table.address_count({bytes}), count);
    }
  }
}

}  // namespace
}  // namespace lychgate
