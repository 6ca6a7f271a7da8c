// DNS messages as a simulated server reads and writes them. Knows nothing of dns/wire: two readers
// of the same standard that must agree.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/address.h"

namespace lychgate::sim {

inline constexpr uint16_t kDnsTypeA = 1;
inline constexpr uint16_t kDnsTypeTxt = 16;

enum class Rcode : uint8_t { kNoError = 0, kServfail = 2, kNxDomain = 3, kRefused = 5 };

struct DnsQuestion {
  uint16_t id = 0;
  std::string name;  // lower case, dotted, without the final dot
  uint16_t type = 0;
  size_t end = 0;  // offset behind the question
};

// nullopt: not one question of class IN with an EDNS0 record behind it.
std::optional<DnsQuestion> read_question(std::span<const char> packet);

struct DnsAnswer {
  Rcode rcode = Rcode::kNoError;
  bool truncated = false;
  std::vector<uint32_t> codes{};  // A records, host byte order
  std::string text{};             // a TXT record; empty: none
  uint32_t ttl = 300;
  std::optional<uint32_t> soa_ttl{};
};

std::string write_answer(std::span<const char> packet, const DnsQuestion& question,
                         const DnsAnswer& answer);

// A reply of more than `bytes` bytes, all of it sound.
std::string write_long_answer(std::span<const char> packet, const DnsQuestion& question,
                              size_t bytes);

// The address in front of a zone, octets or nibbles reversed; nullopt: there is none.
std::optional<IpAddress> reversed_address(std::string_view labels);

}  // namespace lychgate::sim
