// Inquiries: joined by address, kept after the last client, evicted oldest first; compared with a
// model of standard containers over random steps (the seed is printed on failure).

#include "dns/inquiries.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <list>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/slots.h"

namespace lychgate::dns {
namespace {

constexpr SipKey kKey{0x0123456789abcdef, 0xfedcba9876543210};
constexpr uint32_t kNoRecord = InquiryId::kNoRecord;

IpAddress client(uint32_t number) {
  return IpAddress::from_v4(0x0a000000 + number);
}

std::set<uint32_t> waiters_of(const Inquiries& inquiries, uint32_t record) {
  std::set<uint32_t> out;
  for (uint32_t slot = inquiries.first_waiter(record); slot != kNoSlot;
       slot = inquiries.next_waiter(slot)) {
    EXPECT_TRUE(out.insert(slot).second) << "slot " << slot << " twice";
  }
  return out;
}

std::set<uint32_t> awaited_of(const Inquiries& inquiries) {
  std::set<uint32_t> out;
  for (uint32_t record = inquiries.first_awaited(); record != kNoRecord;
       record = inquiries.next_awaited(record)) {
    EXPECT_TRUE(out.insert(record).second) << "record " << record << " twice";
  }
  return out;
}

TEST(Inquiries, ClientsOfOneAddressShareARecord) {
  Inquiries inquiries({.slots = 8, .cached = 2, .lists = 3, .key = kKey});
  const uint32_t record = inquiries.join(3, client(1));
  EXPECT_EQ(inquiries.join(5, client(1)), record);
  EXPECT_NE(inquiries.join(0, client(2)), record);
  EXPECT_EQ(inquiries.record_of(3), record);
  EXPECT_EQ(inquiries.record_of(1), kNoRecord) << "slot 1 never joined";
  EXPECT_EQ(inquiries.address(record), client(1));
  EXPECT_EQ(waiters_of(inquiries, record), (std::set<uint32_t>{3, 5}));
  EXPECT_EQ(inquiries.waiting(), 3U);
  EXPECT_EQ(inquiries.known(), 2U);
  inquiries.leave(3);
  EXPECT_EQ(waiters_of(inquiries, record), (std::set<uint32_t>{5}));
  EXPECT_EQ(inquiries.record_of(3), kNoRecord);
  inquiries.leave(3);
  EXPECT_EQ(inquiries.waiting(), 2U) << "leaving twice is leaving once";
  inquiries.check_invariants();
}

TEST(Inquiries, ANewRecordHasNoAnswers) {
  Inquiries inquiries({.slots = 1, .cached = 0, .lists = 4, .key = kKey});
  for (uint32_t number = 0; number < 3; ++number) {
    const uint32_t record = inquiries.join(0, client(number));
    ASSERT_EQ(inquiries.answers(record).size(), 4U);
    for (ListAnswer& answer : inquiries.answers(record)) {
      EXPECT_EQ(answer.state, AnswerState::kNone) << "client " << number;
      EXPECT_EQ(answer.code, 0U);
      answer = {.code = 0x7f000002, .weight = 5, .state = AnswerState::kAnswered};
    }
    inquiries.leave(0);
  }
  EXPECT_EQ(inquiries.evicted(), 2U) << "one record for three addresses";
}

TEST(Inquiries, AnswersOutliveTheirClients) {
  Inquiries inquiries({.slots = 4, .cached = 4, .lists = 2, .key = kKey});
  const uint32_t record = inquiries.join(0, client(1));
  inquiries.answers(record)[1].weight = -7;
  inquiries.leave(0);
  EXPECT_EQ(inquiries.first_awaited(), kNoRecord);
  EXPECT_EQ(inquiries.find(client(1)), record);
  EXPECT_EQ(inquiries.find(client(2)), std::nullopt);
  ASSERT_EQ(inquiries.join(2, client(1)), record);
  EXPECT_EQ(inquiries.answers(record)[1].weight, -7);
  EXPECT_EQ(inquiries.first_awaited(), record);
}

TEST(Inquiries, TheAddressUnusedForLongestIsEvicted) {
  Inquiries inquiries({.slots = 2, .cached = 1, .lists = 1, .key = kKey});
  for (const uint32_t number : {1U, 2U, 3U}) {
    inquiries.join(0, client(number));
    inquiries.leave(0);
  }
  EXPECT_EQ(inquiries.evicted(), 0U) << "unused records come first";
  inquiries.join(0, client(1));  // used again: 2 is now the oldest
  inquiries.leave(0);
  inquiries.join(1, client(2));  // awaited: 3 is now the oldest that is not
  const InquiryId third = inquiries.id(*inquiries.find(client(3)));
  inquiries.join(0, client(4));
  EXPECT_EQ(inquiries.evicted(), 1U);
  EXPECT_EQ(inquiries.find(client(3)), std::nullopt);
  EXPECT_TRUE(inquiries.find(client(1)).has_value());
  EXPECT_TRUE(inquiries.find(client(2)).has_value());
  EXPECT_EQ(inquiries.find(third), std::nullopt) << "its id is stale";
  EXPECT_EQ(inquiries.record_of(0), third.index) << "the record serves the next address";
  inquiries.check_invariants();
}

TEST(Inquiries, AnExpectedClientsRecordIsKeptLikeThatOfOneWhoHasLeft) {
  Inquiries inquiries({.slots = 2, .cached = 1, .lists = 1, .key = kKey});
  const uint32_t record = inquiries.keep(client(1));
  EXPECT_EQ(inquiries.first_waiter(record), kNoSlot);
  EXPECT_EQ(inquiries.first_awaited(), kNoRecord) << "nobody is there to be told";
  EXPECT_EQ(inquiries.waiting(), 0U);
  inquiries.keep(client(2));
  inquiries.keep(client(3));
  EXPECT_EQ(inquiries.keep(client(1)), record) << "expected again: 2 is now the oldest";
  inquiries.keep(client(4));
  EXPECT_EQ(inquiries.find(client(2)), std::nullopt);
  EXPECT_EQ(inquiries.join(0, client(1)), record) << "the client has come";
  EXPECT_EQ(inquiries.keep(client(1)), record) << "and another is expected";
  EXPECT_EQ(waiters_of(inquiries, record), (std::set<uint32_t>{0}));
  inquiries.check_invariants();
}

TEST(Inquiries, NobodyIsExpectedWhereEveryRecordIsAwaited) {
  Inquiries inquiries({.slots = 2, .cached = 0, .lists = 1, .key = kKey});
  inquiries.join(0, client(1));
  inquiries.join(1, client(2));
  EXPECT_EQ(inquiries.keep(client(3)), kNoRecord);
  EXPECT_NE(inquiries.keep(client(2)), kNoRecord) << "known already";
  inquiries.leave(0);
  EXPECT_NE(inquiries.keep(client(3)), kNoRecord);
  EXPECT_EQ(inquiries.find(client(1)), std::nullopt) << "evicted for it";
  inquiries.check_invariants();
}

TEST(Inquiries, AnIdOfNothingFindsNothing) {
  Inquiries inquiries({.slots = 2, .cached = 2, .lists = 1, .key = kKey});
  EXPECT_EQ(inquiries.find(InquiryId{}), std::nullopt);
  EXPECT_EQ(inquiries.find(InquiryId{.index = 0}), std::nullopt) << "never used";
  const uint32_t record = inquiries.join(0, client(1));
  EXPECT_EQ(inquiries.find(inquiries.id(record)), record);
  EXPECT_EQ(inquiries.find(InquiryId{.index = 1000}), std::nullopt) << "outside";
}

TEST(Inquiries, AWaiterMayLeaveOnceTheNextIsKnown) {
  Inquiries inquiries({.slots = 5, .cached = 0, .lists = 1, .key = kKey});
  for (uint32_t slot = 0; slot < 5; ++slot) inquiries.join(slot, client(1));
  const uint32_t record = inquiries.record_of(0);
  uint32_t seen = 0;
  for (uint32_t slot = inquiries.first_waiter(record); slot != kNoSlot; ++seen) {
    const uint32_t next = inquiries.next_waiter(slot);
    inquiries.leave(slot);
    slot = next;
  }
  EXPECT_EQ(seen, 5U);
  EXPECT_EQ(inquiries.waiting(), 0U);
  inquiries.check_invariants();
}

TEST(Inquiries, ThereIsRoomForEverySlot) {
  Inquiries inquiries({.slots = 100, .cached = 0, .lists = 1, .key = kKey});
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t slot = 0; slot < 100; ++slot) inquiries.join(slot, client(100 * round + slot));
    EXPECT_EQ(awaited_of(inquiries).size(), 100U);
    for (uint32_t slot = 0; slot < 100; ++slot) inquiries.leave(slot);
  }
  EXPECT_EQ(inquiries.evicted(), 200U);
  inquiries.check_invariants();
}

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t whole = 0;
  size_t resident = 0;
  statm >> whole >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(Inquiries, WhatIsNotUsedCostsNothing) {
  const size_t before = resident_bytes();
  ASSERT_GT(before, 0U);
  // Some 450 MB if it were all touched.
  Inquiries inquiries({.slots = 1'000'000, .cached = 65'536, .lists = 32, .key = kKey});
  EXPECT_LT(resident_bytes(), before + (1 << 20)) << "reserved only";
  for (uint32_t slot = 0; slot < 1000; ++slot) inquiries.join(slot, client(slot));
  // Buckets lie apart, so each address touches a page of them; no more for huge pages.
  EXPECT_LT(resident_bytes(), before + (24 << 20)) << "1,000 clients";
}

// What Inquiries should be, of standard containers and slow.
class Model {
 public:
  Model(uint32_t slots, uint32_t cached) : records_(slots + cached) {}

  void join(uint32_t slot, uint32_t number) {
    if (!known_.contains(number)) {
      if (known_.size() == records_) {
        known_.erase(kept_.front());
        kept_.pop_front();
        ++evicted_;
      }
      known_[number] = {};
    }
    kept_.remove(number);
    known_[number].insert(slot);
    slots_[slot] = number;
  }
  bool keep(uint32_t number) {
    if (!known_.contains(number)) {
      if (known_.size() == records_) {
        if (kept_.empty()) return false;
        known_.erase(kept_.front());
        kept_.pop_front();
        ++evicted_;
      }
      known_[number] = {};
    }
    if (!known_[number].empty()) return true;
    kept_.remove(number);
    kept_.push_back(number);
    return true;
  }
  void leave(uint32_t slot) {
    const auto at = slots_.find(slot);
    if (at == slots_.end()) return;
    auto& waiters = known_[at->second];
    waiters.erase(slot);
    if (waiters.empty()) kept_.push_back(at->second);
    slots_.erase(at);
  }

  bool waits(uint32_t slot) const { return slots_.contains(slot); }
  bool knows(uint32_t number) const { return known_.contains(number); }

  // Everything that both can say.
  void compare(const Inquiries& inquiries) const {
    EXPECT_EQ(inquiries.waiting(), slots_.size());
    EXPECT_EQ(inquiries.known(), known_.size());
    EXPECT_EQ(inquiries.evicted(), evicted_);
    std::set<uint32_t> awaited;
    for (const auto& [number, waiters] : known_) {
      const auto record = inquiries.find(client(number));
      ASSERT_TRUE(record.has_value()) << "client " << number;
      EXPECT_EQ(inquiries.address(*record), client(number));
      EXPECT_EQ(waiters_of(inquiries, *record), waiters) << "client " << number;
      if (!waiters.empty()) awaited.insert(*record);
    }
    EXPECT_EQ(awaited_of(inquiries), awaited);
  }

 private:
  size_t records_;
  std::map<uint32_t, std::set<uint32_t>> known_;  // waiters of each address
  std::map<uint32_t, uint32_t> slots_;            // address each slot waits on
  std::list<uint32_t> kept_;                      // the least recently used first
  uint64_t evicted_ = 0;
};

struct World {
  const char* what;
  uint32_t slots;
  uint32_t cached;
  uint32_t addresses;
};

// The answer that a record of this address is given, to see that nobody else's record has it.
uint32_t mark(uint32_t number) {
  return number + 1;
}

void walk(const World& world, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  Inquiries inquiries(
      {.slots = world.slots, .cached = world.cached, .lists = 2, .key = {random(), random()}});
  Model model(world.slots, world.cached);
  std::map<uint32_t, InquiryId> last_id;  // of each address when it was last seen
  for (int step = 0; step < 100'000 && !testing::Test::HasFailure(); ++step) {
    const uint32_t slot = below(world.slots);
    const uint32_t number = below(world.addresses);
    if (below(4) == 0) {
      const bool was_known = model.knows(number);
      const uint32_t record = inquiries.keep(client(number));
      EXPECT_EQ(record != kNoRecord, model.keep(number));
      if (record == kNoRecord) continue;
      EXPECT_EQ(inquiries.answers(record)[1].code, was_known ? mark(number) : 0U);
      inquiries.answers(record)[1].code = mark(number);
      last_id[number] = inquiries.id(record);
    } else if (model.waits(slot)) {
      model.leave(slot);
      inquiries.leave(slot);
    } else {
      const bool was_known = model.knows(number);
      model.join(slot, number);
      const uint32_t record = inquiries.join(slot, client(number));
      EXPECT_EQ(inquiries.answers(record)[1].code, was_known ? mark(number) : 0U);
      inquiries.answers(record)[1].code = mark(number);
      EXPECT_EQ(was_known, last_id.contains(number) && inquiries.id(record) == last_id[number]);
      last_id[number] = inquiries.id(record);
    }
    const uint32_t other = below(world.addresses);
    EXPECT_EQ(inquiries.find(client(other)).has_value(), model.knows(other));
    if (const auto id = last_id.find(other); id != last_id.end()) {
      EXPECT_EQ(inquiries.find(id->second).has_value(), model.knows(other)) << "stale ids";
    }
    if (step % 500 != 0) continue;
    inquiries.check_invariants();
    model.compare(inquiries);
  }
  EXPECT_GT(inquiries.evicted(), 0U) << "the walk has tried eviction";
}

TEST(Inquiries, DoAsTheModelDoes) {
  constexpr std::array<World, 4> kWorlds = {{
      {"many clients of few addresses", 64, 16, 100},
      {"few clients of many addresses", 8, 64, 400},
      {"no cache", 16, 0, 64},
      {"one slot", 1, 3, 8},
  }};
  for (const World& world : kWorlds) {
    const uint64_t seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << world.what << ", seed " << seed);
    walk(world, seed);
  }
}

}  // namespace
}  // namespace lychgate::dns
