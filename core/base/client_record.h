// What is remembered of a client between its visits: which tests it has passed and until when, what
// it failed, how often it came. Values only: how they are kept is core/store, what follows from
// them core/admission/history.h. Told the time; seconds of the wall clock, since records outlive
// the machine's uptime.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.h"

namespace lychgate {

// Since 1970; enough until 2106. 0: never.
using Seconds = uint32_t;
inline constexpr Seconds kForever = UINT32_MAX;

// The tests whose passing is remembered. The order is that of the record and must not change.
enum class ScreenTest : uint8_t { kPregreet, kLists, kPipelining, kNonSmtp, kBareNewline };
inline constexpr size_t kScreenTestCount = 5;
constexpr uint8_t bit_of(ScreenTest test) {
  return static_cast<uint8_t>(1U << static_cast<unsigned>(test));
}

// Clients of one network prefix are one client: an IPv4 address alone and an IPv6 /64 by default.
struct PrefixLengths {
  uint8_t ipv4 = 32;  // 8..32
  uint8_t ipv6 = 64;  // 16..128
};

// A client's name in the store: the family and the address with the bits behind the prefix 0.
// Sorts by family, then address. An IPv4-mapped IPv6 address is its IPv4 address.
struct ClientKey {
  static constexpr size_t kBytesMax = 17;

  static ClientKey of(const IpAddress& address, PrefixLengths prefixes);
  // Not the client but its network, /24 or /64: what the action `defer` remembers. Never the key of
  // a client.
  static ClientKey of_network(const IpAddress& address);
  // nullopt: no key that these make.
  static std::optional<ClientKey> decode(std::span<const uint8_t> bytes);
  std::span<const uint8_t> encoded() const { return {bytes.data(), size}; }
  IpAddress address() const;  // the first of its network

  bool operator==(const ClientKey& other) const;

  std::array<uint8_t, kBytesMax> bytes{};  // '4' or 'g' and 4 bytes, '6' or 'h' and 16
  uint8_t size = 0;
};

struct ClientRecord {
  // Version 1, little-endian: version, failed, score, passed_until, then the rest in this order.
  static constexpr uint8_t kVersion = 1;
  static constexpr size_t kBytes = 52;

  std::array<Seconds, kScreenTestCount> passed_until{};
  Seconds first_seen = 0;
  Seconds last_seen = 0;
  uint32_t passes = 0;        // visits that were let on; stays at the maximum
  uint32_t failures = 0;      // visits that failed a test whose action is not ignore
  Seconds failed_until = 0;   // until then the client is refused without another test
  Seconds allowed_until = 0;  // by command
  Seconds denied_until = 0;   // by command; wins over allowed_until
  int16_t score = 0;          // of the DNS lists when it was last seen
  uint8_t failed = 0;         // bits of ScreenTest: what failed_until is about

  void encode(std::span<uint8_t, kBytes> out) const;
  // nullopt for another size or version. Every value of every field is allowed.
  static std::optional<ClientRecord> decode(std::span<const uint8_t> bytes);

  bool operator==(const ClientRecord&) const = default;
};

// What two gates know of one client. Commutative, associative and idempotent, so that records may
// meet in any order and more than once: the later of all times (of first_seen the earlier, 0 not
// counted), the larger of all counts; `score` goes with last_seen and `failed` with failed_until:
// the later one's, of equally late ones the larger score and all failed tests.
ClientRecord merge(const ClientRecord& a, const ClientRecord& b);

// One more visit: merged, but its counts are added to those of the record.
ClientRecord with_visit(const ClientRecord& record, const ClientRecord& visit);

// The last second at which anything in it still counts: when it may be forgotten, once `retention`
// has passed as well.
Seconds useful_until(const ClientRecord& record);

}  // namespace lychgate
