// What two shards say to each other about held clients: all of it comes through, and nothing that
// is cut or damaged is taken for a client.

#include "core/daemon/carry.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "core/base/slots.h"

namespace lychgate::daemon {
namespace {

CarriedClient some_client(uint8_t answers) {
  CarriedClient client{.address = *IpAddress::parse("2001:db8::7"),
                       .started = 0xfffffff0,
                       .deadline = 5984,
                       .port = 40025,
                       .evidence = kTeased | kLookedEarly | kAskingLists,
                       .score = -12,
                       .listener = 3,
                       .past = 0x81,
                       .answer_count = answers};
  for (uint8_t i = 0; i < answers; ++i) {
    client.answers[i] = {.code = 0x7f000002U + i,
                         .seconds = 300U + i,
                         .weight = static_cast<int16_t>(-i),
                         .cell = static_cast<uint8_t>(kListsMax - 1 - i),
                         .epoch = 255};
  }
  return client;
}

std::vector<uint8_t> lot_of(const std::vector<CarriedClient>& clients) {
  std::vector<uint8_t> lot;
  begin_lot(lot);
  for (const CarriedClient& client : clients) add_to_lot(client, lot);
  return lot;
}

void expect_same(const CarriedClient& got, const CarriedClient& want) {
  EXPECT_EQ(got.address, want.address);
  EXPECT_EQ(got.started, want.started);
  EXPECT_EQ(got.deadline, want.deadline);
  EXPECT_EQ(got.port, want.port);
  EXPECT_EQ(got.evidence, want.evidence);
  EXPECT_EQ(got.score, want.score);
  EXPECT_EQ(got.listener, want.listener);
  EXPECT_EQ(got.past, want.past);
  EXPECT_TRUE(std::ranges::equal(got.said(), want.said()));
}

TEST(Carry, ALotComesThroughWhole) {
  const std::vector<CarriedClient> clients = {some_client(0), some_client(kListsMax),
                                              some_client(2)};
  const std::vector<uint8_t> lot = lot_of(clients);
  EXPECT_EQ(lot.size(),
            kLotHeadBytes + 3 * kCarriedClientBytes + (kListsMax + 2) * kCarriedAnswerBytes);
  std::vector<CarriedClient> got(7);
  ASSERT_TRUE(decode_lot(lot, got));
  ASSERT_EQ(got.size(), clients.size());
  for (size_t i = 0; i < got.size(); ++i) expect_same(got[i], clients[i]);
}

TEST(Carry, TheLargestLotFitsIntoItsMessage) {
  for (const uint8_t lists : {uint8_t{0}, uint8_t{3}, uint8_t{kListsMax}}) {
    const std::vector<CarriedClient> clients(lot_size(lists), some_client(lists));
    std::vector<CarriedClient> got;
    EXPECT_TRUE(decode_lot(lot_of(clients), got)) << int{lists};
    EXPECT_EQ(got.size(), clients.size());
    EXPECT_LE(got.size(), ring::kDescriptorsPerMessage);
  }
}

TEST(Carry, WhatIsCutIsNoLot) {
  const std::vector<uint8_t> lot = lot_of({some_client(2), some_client(1)});
  const size_t first = kLotHeadBytes + kCarriedClientBytes + 2 * kCarriedAnswerBytes;
  std::vector<CarriedClient> got;
  for (size_t size = 0; size < lot.size(); ++size) {
    const bool whole_client = size == first;
    EXPECT_EQ(decode_lot(std::span(lot).first(size), got), whole_client) << size;
    EXPECT_EQ(got.size(), whole_client ? 1U : 0U);
  }
}

struct Damage {
  const char* what;
  void (*damage)(CarriedClient& client);
};

TEST(Carry, WhoeverCannotBeWaitingIsRefused) {
  const Damage damages[] = {
      {"a client that has hung up", [](CarriedClient& c) { c.evidence |= kHungUp; }},
      {"a socket of ours", [](CarriedClient& c) { c.evidence |= kOurSocket; }},
      {"a listener that cannot be", [](CarriedClient& c) { c.listener = kListenersMax; }},
      {"a list that cannot be", [](CarriedClient& c) { c.answers[0].cell = kListsMax; }},
  };
  for (const Damage& row : damages) {
    CarriedClient client = some_client(1);
    row.damage(client);
    std::vector<CarriedClient> got;
    EXPECT_FALSE(decode_lot(lot_of({some_client(0), client}), got)) << row.what;
    EXPECT_TRUE(got.empty()) << row.what;
  }
}

TEST(Carry, AnotherVersionIsRefused) {
  std::vector<uint8_t> lot = lot_of({some_client(0)});
  ++lot[0];
  std::vector<CarriedClient> got;
  EXPECT_FALSE(decode_lot(lot, got));
}

TEST(Carry, MoreClientsThanDescriptorsAreRefused) {
  const std::vector<CarriedClient> clients(ring::kDescriptorsPerMessage + 1, some_client(0));
  std::vector<CarriedClient> got;
  EXPECT_FALSE(decode_lot(lot_of(clients), got));
}

TEST(Carry, AnOrderThatNamesNoListenersCarriesNobody) {
  const CarryOrder order;
  for (const uint8_t listener : order.listeners) EXPECT_EQ(listener, kNoListener);
}

TEST(Carry, OnlyAWaitOfTheSameKindGoesOn) {
  using config::Hold;
  EXPECT_TRUE(may_carry(Hold::kGate, Hold::kGate));
  EXPECT_TRUE(may_carry(Hold::kKernel, Hold::kKernel));
  EXPECT_FALSE(may_carry(Hold::kGate, Hold::kKernel));
  EXPECT_FALSE(may_carry(Hold::kKernel, Hold::kGate));
}

}  // namespace
}  // namespace lychgate::daemon
