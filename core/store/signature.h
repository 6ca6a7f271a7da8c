// The line of the store that says whose file it is and of which version. Its key sorts before those
// of all clients.

#pragma once

#include <lmdb.h>

#include <cstdint>
#include <span>

namespace lychgate::store {

MDB_val signature_key();
MDB_val signature_value();

enum class Signature : uint8_t { kOurs, kNewer, kForeign };
Signature read_signature(std::span<const uint8_t> value);

}  // namespace lychgate::store
