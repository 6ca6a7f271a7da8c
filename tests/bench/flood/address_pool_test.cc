// Which addresses of a network are used, in what order, and how sources meet targets.

#include "bench/flood/address_pool.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

AddressPool pool(const std::vector<std::string>& networks) {
  std::vector<Network> out;
  out.reserve(networks.size());
  for (const std::string& text : networks) out.push_back(*Network::parse(text));
  return AddressPool(out);
}

TEST(AddressPool, TakesTheUsableHostsOfEachNetworkInTurn) {
  struct Row {
    const char* what;
    std::vector<std::string> networks;
    uint64_t size;
    uint64_t index;
    const char* want;
  };
  const Row rows[] = {
      {"a host", {"127.0.0.1/32"}, 1, 0, "127.0.0.1"},
      {"a host again", {"127.0.0.1"}, 1, 7, "127.0.0.1"},
      {"two hosts, the second", {"127.0.0.2/31"}, 2, 1, "127.0.0.3"},
      {"a small network begins after its own address", {"127.0.0.16/28"}, 14, 0, "127.0.0.17"},
      {"and ends before its broadcast", {"127.0.0.16/28"}, 14, 13, "127.0.0.30"},
      {"a /24 begins with .1", {"127.0.5.0/24"}, 254, 0, "127.0.5.1"},
      {"and ends with .254", {"127.0.5.0/24"}, 254, 253, "127.0.5.254"},
      {"then begins again", {"127.0.5.0/24"}, 254, 254, "127.0.5.1"},
      {"a /16 goes on in the next 256", {"127.1.0.0/16"}, 254ull * 256, 254, "127.1.1.1"},
      {"a /8", {"127.0.0.0/8"}, 254ull << 16, (254ull << 16) - 1, "127.255.255.254"},
      {"the second of two networks", {"127.0.0.1", "127.0.1.0/24"}, 255, 1, "127.0.1.1"},
      {"an IPv6 host", {"::1"}, 1, 3, "::1"},
      {"an IPv6 /112", {"fd00::/112"}, 254ull * 256, 255, "fd00::102"},
      {"an IPv6 /64 is as wide as can be used", {"fd00::/64"}, 254ull << 32, 0, "fd00::1"},
  };
  for (const Row& row : rows) {
    const AddressPool got = pool(row.networks);
    EXPECT_EQ(got.size(), row.size) << row.what;
    EXPECT_EQ(got.at(row.index).text(), row.want) << row.what;
  }
  EXPECT_TRUE(pool({}).empty());
}

TEST(AddressPool, MeetsEveryPairOnceBeforeOneComesAgain) {
  for (const auto& [targets, sources] :
       std::vector<std::pair<uint64_t, uint64_t>>{{1, 6}, {6, 1}, {4, 4}, {4, 6}, {5, 3}}) {
    std::set<std::pair<uint64_t, uint64_t>> pairs;
    for (uint64_t n = 0; n < targets * sources; ++n) {
      pairs.insert({n % targets, source_turn(n, targets) % sources});
    }
    EXPECT_EQ(pairs.size(), targets * sources) << targets << " targets, " << sources;
  }
}

}  // namespace
}  // namespace lychgate::flood
