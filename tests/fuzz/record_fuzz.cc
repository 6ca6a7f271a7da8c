// Fuzz target of keys and records: what is decoded is what was encoded, byte for byte, and merging
// keeps its laws whatever is in the records.

#include <algorithm>
#include <array>
#include <span>

#include "core/base/check.h"
#include "core/base/client_record.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {
namespace {

void check_key(std::span<const uint8_t> bytes) {
  const auto key = ClientKey::decode(bytes);
  if (!key) return;
  LYCH_CHECK(std::ranges::equal(key->encoded(), bytes));
  const IpAddress address = key->address();
  const bool of_client = ClientKey::of(address, {.ipv4 = 32, .ipv6 = 128}) == *key;
  LYCH_CHECK(of_client || ClientKey::of_network(address) == *key);
}

void check_laws(const ClientRecord& a, const ClientRecord& b) {
  const ClientRecord both = merge(a, b);
  LYCH_CHECK(merge(b, a) == both);
  LYCH_CHECK(merge(both, a) == both && merge(both, b) == both);
  LYCH_CHECK(merge(a, a) == a);
  LYCH_CHECK(useful_until(both) == std::max(useful_until(a), useful_until(b)));
}

}  // namespace

void fuzz_record(std::span<const uint8_t> input) {
  check_key(input.first(std::min<size_t>(input.size(), ClientKey::kBytesMax)));
  const auto whole = ClientRecord::decode(input);
  if (!whole) {
    if (input.size() != 2 * ClientRecord::kBytes) return;
    const auto a = ClientRecord::decode(input.first(ClientRecord::kBytes));
    const auto b = ClientRecord::decode(input.last(ClientRecord::kBytes));
    if (a && b) check_laws(*a, *b);
    return;
  }
  std::array<uint8_t, ClientRecord::kBytes> bytes{};
  whole->encode(bytes);
  LYCH_CHECK(std::ranges::equal(bytes, input));
}

}  // namespace lychgate::fuzz
