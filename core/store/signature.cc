// Two versions: of how clients are kept in the tree, and of their records.

#include "core/store/signature.h"

#include <array>

#include "core/base/client_record.h"
#include "core/store/environment.h"

namespace lychgate::store {
namespace {

// '!' is before the '4' and '6' that keys of clients begin with.
constexpr std::array<uint8_t, 9> kKey = {'!', 'l', 'y', 'c', 'h', 'g', 'a', 't', 'e'};
constexpr uint8_t kStoreVersion = 1;
constexpr std::array<uint8_t, 2> kValue = {kStoreVersion, ClientRecord::kVersion};

}  // namespace

MDB_val signature_key() {
  return value_of(kKey);
}

MDB_val signature_value() {
  return value_of(kValue);
}

Signature read_signature(std::span<const uint8_t> value) {
  if (value.size() < kValue.size() || value[0] == 0 || value[1] == 0) return Signature::kForeign;
  const bool is_newer = value[0] > kStoreVersion || value[1] > ClientRecord::kVersion;
  return is_newer ? Signature::kNewer : Signature::kOurs;
}

}  // namespace lychgate::store
