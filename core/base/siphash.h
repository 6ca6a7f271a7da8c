// SipHash-1-3 of one address: the keyed hash that stops clients from choosing their bucket.

#pragma once

#include <array>
#include <cstdint>

namespace lychgate {

using SipKey = std::array<uint64_t, 2>;

// Keyed 64-bit hash of 16 bytes (Aumasson and Bernstein 2012, with 1 and 3 rounds).
uint64_t siphash(const SipKey& key, const std::array<uint8_t, 16>& bytes);

}  // namespace lychgate
