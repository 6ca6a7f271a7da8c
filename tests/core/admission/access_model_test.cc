// The access list against a model: random lists with negation and nested if blocks, of which the
// model walks the entries one by one as Postfix's cidr_match_execute() does. Seeds are fixed and
// printed on failure, with the list.

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/admission/access_list.h"

namespace lychgate::admission {
namespace {

struct Entry {
  enum class Kind : uint8_t { kRule, kIf, kEndif };
  Kind kind = Kind::kRule;
  bool v4 = true;
  bool negated = false;
  IpAddress base;
  unsigned prefix = 0;  // of its family
  AccessResult result = AccessResult::kDunno;
};

using Random = std::mt19937_64;

uint64_t below(Random& random, uint64_t bound) {
  return random() % bound;
}

// Few distinct bits near the top, in the middle and at the end, so that patterns often overlap,
// touch, or reach the first and the last address.
IpAddress random_address(Random& random, bool v4) {
  static constexpr uint8_t kBytes[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
  IpAddress out = IpAddress::from_v4(0);
  for (size_t i = v4 ? 12 : 0; i < 16; ++i) {
    const bool edge = i < 2 || i == 7 || i == 8 || i >= 12;
    out.bytes[i] = edge ? kBytes[below(random, 6)] : (below(random, 8) == 0 ? 0xff : 0x00);
  }
  // Not ::ffff:a.b.c.d, which is an IPv4 address to the gate but an IPv6 pattern in the list.
  if (!v4) out.bytes[10] = 0;
  return out;
}

bool bit(const IpAddress& address, size_t index) {
  return (address.bytes[index / 8] & (0x80u >> (index % 8))) != 0;
}

bool prefix_matches(const Entry& entry, const IpAddress& address) {
  const size_t start = entry.v4 ? 96 : 0;
  for (size_t i = start; i < start + entry.prefix; ++i) {
    if (bit(entry.base, i) != bit(address, i)) return false;
  }
  return true;
}

Entry random_pattern(Random& random) {
  Entry out;
  out.v4 = below(random, 2) == 0;
  out.negated = below(random, 5) == 0;
  out.base = random_address(random, out.v4);
  const unsigned bits = out.v4 ? 32 : 128;
  out.prefix = below(random, 4) == 0 ? bits : static_cast<unsigned>(below(random, bits + 1));
  for (size_t i = 128 - bits + out.prefix; i < 128; ++i) {
    out.base.bytes[i / 8] = static_cast<uint8_t>(out.base.bytes[i / 8] & ~(0x80u >> (i % 8)));
  }
  return out;
}

std::vector<Entry> random_list(Random& random) {
  std::vector<Entry> out;
  const size_t size = 1 + below(random, below(random, 4) == 0 ? 400 : 30);
  size_t open = 0;
  for (size_t i = 0; i < size; ++i) {
    const uint64_t dice = below(random, 10);
    if (dice == 0 && open < 8) {
      Entry entry = random_pattern(random);
      entry.kind = Entry::Kind::kIf;
      entry.prefix = entry.prefix > 9 ? 0 : entry.prefix;  // wide, or else few rules ever count
      if (entry.prefix == 0) entry.base = entry.v4 ? IpAddress::from_v4(0) : IpAddress{};
      if (entry.prefix == 0) entry.negated = false;
      out.push_back(entry);
      ++open;
    } else if (dice == 1 && open > 0) {
      out.push_back({.kind = Entry::Kind::kEndif, .base = {}});
      --open;
    } else {
      Entry entry = random_pattern(random);
      entry.result = static_cast<AccessResult>(below(random, 3));
      out.push_back(entry);
    }
  }
  for (; open > 0; --open) out.push_back({.kind = Entry::Kind::kEndif, .base = {}});
  return out;
}

std::string text_of(const std::vector<Entry>& list) {
  static const char* const kResults[] = {"dunno", "permit", "reject"};
  std::string out;
  for (const Entry& entry : list) {
    const std::string pattern =
        fmt::format("{}{}/{}", entry.negated ? "!" : "", entry.base.text(), entry.prefix);
    switch (entry.kind) {
      case Entry::Kind::kRule:
        out += fmt::format("{} {}\n", pattern, kResults[static_cast<size_t>(entry.result)]);
        break;
      case Entry::Kind::kIf:
        out += fmt::format("if {}\n", pattern);
        break;
      case Entry::Kind::kEndif:
        out += "endif\n";
        break;
    }
  }
  return out;
}

AccessResult model(const std::vector<Entry>& list, const IpAddress& address) {
  size_t skipping = 0;  // if blocks open since one whose condition did not hold
  for (const Entry& entry : list) {
    const bool matches =
        entry.v4 == address.is_v4() && prefix_matches(entry, address) != entry.negated;
    switch (entry.kind) {
      case Entry::Kind::kIf:
        if (skipping > 0 || !matches) ++skipping;
        break;
      case Entry::Kind::kEndif:
        if (skipping > 0) --skipping;
        break;
      case Entry::Kind::kRule:
        if (skipping == 0 && matches) return entry.result;
        break;
    }
  }
  return AccessResult::kDunno;
}

// The first and last address of each pattern and its neighbours, where mistakes live.
std::vector<IpAddress> edges_of(const Entry& entry) {
  const auto step = [](IpAddress address, bool up) {
    for (size_t i = 16; i-- > 0;) {
      address.bytes[i] = static_cast<uint8_t>(address.bytes[i] + (up ? 1 : 0xff));
      if (address.bytes[i] != (up ? 0x00 : 0xff)) break;
    }
    return address;
  };
  IpAddress last = entry.base;
  for (size_t i = (entry.v4 ? 96 : 0) + entry.prefix; i < 128; ++i) {
    last.bytes[i / 8] = static_cast<uint8_t>(last.bytes[i / 8] | (0x80u >> (i % 8)));
  }
  return {entry.base, step(entry.base, false), last, step(last, true)};
}

TEST(AccessModel, AgreesOnRandomLists) {
  size_t found[3] = {0, 0, 0};
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    Random random(seed);
    const std::vector<Entry> list = random_list(random);
    const std::string text = text_of(list);
    const auto parsed = AccessList::parse(text);
    ASSERT_TRUE(parsed.has_value()) << "seed " << seed << ", line " << parsed.error()[0].line
                                    << ": " << parsed.error()[0].text << "\n"
                                    << text;
    std::vector<IpAddress> probes;
    probes.reserve(200);
    for (int i = 0; i < 200; ++i) probes.push_back(random_address(random, i % 2 == 0));
    for (const Entry& entry : list) {
      for (const IpAddress& edge : edges_of(entry)) probes.push_back(edge);
    }
    for (const IpAddress& address : probes) {
      const AccessResult want = model(list, address);
      ASSERT_EQ(parsed->lookup(address), want)
          << "seed " << seed << ", address " << address.text() << "\n"
          << text;
      ++found[static_cast<size_t>(want)];
    }
  }
  for (const size_t count : found) EXPECT_GT(count, 10000U) << "each result must be common";
}

}  // namespace
}  // namespace lychgate::admission
