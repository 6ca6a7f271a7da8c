// SipHash-1-3 of 16 bytes: against a second implementation written from the paper's description
// for input of any length, and the properties the address index relies on.

#include "core/base/siphash.h"

#include <bit>
#include <cstddef>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate {
namespace {

using Bytes = std::array<uint8_t, 16>;

// SipHash-c-d as published (Aumasson and Bernstein 2012, section 2.1), byte by byte.
uint64_t reference(const SipKey& key, const std::vector<uint8_t>& input, int c, int d) {
  uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                   key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v[0] += v[1], v[2] += v[3];
      v[1] = std::rotl(v[1], 13), v[3] = std::rotl(v[3], 16);
      v[1] ^= v[0], v[3] ^= v[2];
      v[0] = std::rotl(v[0], 32);
      v[2] += v[1], v[0] += v[3];
      v[1] = std::rotl(v[1], 17), v[3] = std::rotl(v[3], 21);
      v[1] ^= v[2], v[3] ^= v[0];
      v[2] = std::rotl(v[2], 32);
    }
  };
  const size_t words = input.size() / 8 + 1;
  for (size_t word = 0; word < words; ++word) {
    uint64_t m = 0;
    for (size_t i = 0; i < 8 && word * 8 + i < input.size(); ++i) {
      m |= uint64_t{input[word * 8 + i]} << (8 * i);
    }
    if (word == words - 1) m |= uint64_t{input.size() & 0xff} << 56;
    v[3] ^= m;
    rounds(c);
    v[0] ^= m;
  }
  v[2] ^= 0xff;
  rounds(d);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

TEST(SipHash, TheReferenceIsRight) {
  // The example of the paper, appendix A: SipHash-2-4 of the bytes 0..14 under the key 0..15.
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::vector<uint8_t> input;
  for (uint8_t i = 0; i < 15; ++i) input.push_back(i);
  EXPECT_EQ(reference(key, input, 2, 4), 0xa129ca6149be45e5U);
}

TEST(SipHash, AgreesWithTheReference) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 1000; ++i) {
    const SipKey key{random(), random()};
    Bytes bytes;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    ASSERT_EQ(siphash(key, bytes), reference(key, {bytes.begin(), bytes.end()}, 1, 3))
        << "seed 3, round " << i;
  }
}

TEST(SipHash, DependsOnEachBitOfInputAndKey) {
  const SipKey key{1, 2};
  const Bytes bytes{};
  std::set<uint64_t> seen{siphash(key, bytes)};
  for (size_t bit = 0; bit < 128; ++bit) {
    Bytes other = bytes;
    other[bit / 8] = static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_TRUE(seen.insert(siphash(key, other)).second) << "input bit " << bit;
    SipKey turned = key;
    turned[bit / 64] ^= uint64_t{1} << (bit % 64);
    EXPECT_TRUE(seen.insert(siphash(turned, bytes)).second) << "key bit " << bit;
  }
}

}  // namespace
}  // namespace lychgate
