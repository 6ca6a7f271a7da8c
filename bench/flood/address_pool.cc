// Index to address: the host part is counted, the last byte in steps of 254.

#include "bench/flood/address_pool.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::flood {
namespace {

// Hosts in one value of the last byte but one: 1 to 254.
constexpr uint64_t kHostsPerByte = 254;
// Of a larger network only the first 2^32 blocks of 254 are used; no flood is that wide.
constexpr uint32_t kBlockBitsMost = 32;

uint64_t usable(uint32_t host_bits) {
  if (host_bits < 2) return uint64_t{1} << host_bits;
  if (host_bits < 8) return (uint64_t{1} << host_bits) - 2;
  return kHostsPerByte << std::min(host_bits - 8, kBlockBitsMost);
}

uint64_t host_part(uint32_t host_bits, uint64_t index) {
  if (host_bits < 2) return index;
  if (host_bits < 8) return index + 1;
  return index / kHostsPerByte << 8 | (index % kHostsPerByte + 1);
}

}  // namespace

AddressPool::AddressPool(const std::vector<Network>& networks) {
  for (const Network& network : networks) {
    blocks_.push_back({network, usable(128u - network.prefix)});
    size_ += blocks_.back().size;
  }
}

IpAddress AddressPool::at(uint64_t index) const {
  LYCH_CHECK(size_ > 0);
  index %= size_;
  const Block* block = blocks_.data();
  while (index >= block->size) index -= (block++)->size;
  // At most 40 bits, so the upper half of the address is the network's.
  const uint64_t low = block->network.base.low() | host_part(128u - block->network.prefix, index);
  IpAddress out = block->network.base;
  for (size_t i = 0; i < 8; ++i) out.bytes[15 - i] = static_cast<uint8_t>(low >> (8 * i));
  return out;
}

}  // namespace lychgate::flood
