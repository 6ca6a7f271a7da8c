// What shards and the steward say to each other over one SEQPACKET socket pair a shard, made by the
// supervisor, which keeps both ends open so that either side may die and come back. A message is a
// kind byte and what follows it. Nobody ever waits for the other: a full socket loses the message,
// counted.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/client_record.h"
#include "core/base/result.h"

namespace lychgate::daemon {

struct StewardLine {
  int shard_end = -1;
  int steward_end = -1;
};
// One for each shard; non-blocking, closed by exec.
Result<std::vector<StewardLine>> make_steward_lines(uint32_t shards);

enum class LineMessage : uint8_t {
  kVisits = 'V',  // shard: what it has learned, up to kVisitsPerMessage of them
  kOrder = 'O',   // steward: something to do or to tell; see core/daemon/orders.h
  kReport = 'R',  // shard: the answer to an order
};

// One visit on the wire: the key's size and kBytesMax bytes, then the record.
struct Visit {
  ClientKey key;
  ClientRecord record;
};
inline constexpr size_t kVisitBytes = 1 + ClientKey::kBytesMax + ClientRecord::kBytes;
inline constexpr size_t kVisitsPerMessage = 64;
inline constexpr size_t kLineMessageMax = 1 + kVisitsPerMessage * kVisitBytes;

void encode_visit(const Visit& visit, std::span<uint8_t, kVisitBytes> out);
// nullopt: bytes that encode_visit did not make.
std::optional<Visit> decode_visit(std::span<const uint8_t, kVisitBytes> bytes);

}  // namespace lychgate::daemon
