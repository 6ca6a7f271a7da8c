// SipHash-1-3 for inputs of exactly 16 bytes.

#include "core/base/siphash.h"

#include <bit>
#include <cstring>

namespace lychgate {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t siphash(const SipKey& key, const std::array<uint8_t, 16>& bytes) {
  uint64_t words[2];
  std::memcpy(words, bytes.data(), sizeof(words));
  State state{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL,
              key[0] ^ 0x6c7967656e657261ULL, key[1] ^ 0x7465646279746573ULL};
  state.absorb(words[0]);
  state.absorb(words[1]);
  state.absorb(uint64_t{16} << 56);  // the length byte that ends every SipHash input
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace lychgate
