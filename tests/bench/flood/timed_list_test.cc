// A list of equal waits: order, deadlines, and leaving from anywhere.

#include "bench/flood/timed_list.h"

#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

std::vector<uint32_t> all(const TimedList& list, const std::vector<Client>& clients) {
  std::vector<uint32_t> out;
  for (uint32_t at = list.first(); at != kNobody; at = clients[at].next) out.push_back(at);
  return out;
}

TEST(TimedList, KeepsTheOrderInWhichTimesAreUp) {
  std::vector<Client> clients(5);
  TimedList list(milliseconds(100));
  for (const uint32_t index : {3u, 1u, 4u}) list.add(clients, index, 1000 + index);
  EXPECT_EQ(all(list, clients), (std::vector<uint32_t>{3, 1, 4}));
  EXPECT_EQ(clients[3].deadline, 1104U) << "one more than the wait: it is never cut short";
}

TEST(TimedList, IsLeftFromBothEndsAndTheMiddle) {
  for (const uint32_t leaver : {0u, 1u, 2u}) {
    std::vector<Client> clients(3);
    TimedList list(milliseconds(100));
    for (uint32_t i = 0; i < 3; ++i) list.add(clients, i, 0);
    list.remove(clients, leaver);
    list.add(clients, leaver, 0);
    const auto got = all(list, clients);
    EXPECT_EQ(got.size(), 3U) << leaver;
    EXPECT_EQ(got.back(), leaver) << "whoever comes back is the last";
    for (uint32_t i = 0; i < 3; ++i) list.remove(clients, i);
    EXPECT_EQ(list.first(), kNobody) << leaver;
  }
}

}  // namespace
}  // namespace lychgate::flood
