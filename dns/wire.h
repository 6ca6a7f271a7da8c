// DNS messages as the gate needs them: a question for a client's address under a list's zone, and
// the reader of what comes back. Pure: no allocation, no I/O, no state; every length is checked
// before it is used (RFC 1035, 4343, 6891, 2308, 5782).

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/address.h"

namespace lychgate::dns {

enum class RecordType : uint16_t { kA = 1, kTxt = 16 };

inline constexpr size_t kNameBytesMax = 255;  // RFC 1035 section 2.3.4, wire form
inline constexpr size_t kHeaderBytes = 12;
inline constexpr uint16_t kUdpPayload = 1232;  // EDNS0 size: no fragments on any common path
// Header, name, type and class, OPT record.
inline constexpr size_t kQuestionBytesMax = kHeaderBytes + kNameBytesMax + 4 + 11;
inline constexpr size_t kAddressesMax = 32;   // A records read from one answer; more are malformed
inline constexpr size_t kTextBytesMax = 255;  // of TXT: the first record's strings, joined and cut
inline constexpr int kRecordsMax = 64;        // records walked in one message
inline constexpr int kCnamesMax = 8;          // links of one CNAME chain

// A zone in wire form (labels, root), ready to be put behind a reversed address. Its bytes live
// with the owner, in private memory when they hold a key.
struct ZoneName {
  std::span<const char> wire;
};
// Writes the wire form of a dotted name into `out`; returns the bytes used. nullopt: an empty or
// too long label, a name that leaves no room for 32 nibbles in front, or `out` too small.
std::optional<size_t> write_zone(std::string_view dotted, std::span<char> out);

// How an address is written in front of a zone.
enum class AddressForm : uint8_t {
  kOwn,      // octets of an IPv4 address, nibbles of an IPv6 one
  kNibbles,  // always nibbles: the test points of IPv6 lists are v4-mapped (RFC 5782 section 5)
};

struct Question {
  IpAddress address;
  ZoneName zone;
  RecordType type = RecordType::kA;
  AddressForm form = AddressForm::kOwn;
};

struct QuestionOptions {
  uint16_t id = 0;
  // Bits that choose the case of letters, in order, repeated when they run out (draft-vixie
  // dnsext-dns0x20); nullopt: lower case.
  std::optional<uint64_t> case_bits;
};

// Recursion desired, one question, EDNS0. Returns the bytes written.
// REQUIRES: out.size() >= kQuestionBytesMax.
size_t write_question(const Question& question, const QuestionOptions& options,
                      std::span<char> out);

enum class ReplyKind : uint8_t {
  kAnswer,     // NOERROR with at least one record of the asked type at the end of the chain
  kNothing,    // NXDOMAIN, or NOERROR without such a record: not listed
  kTruncated,  // ask again over TCP; nothing else was read
  kServfail,   // SERVFAIL, NOTIMP or FORMERR: the server could not
  kRefused,    // REFUSED, or NOTAUTH
  kMalformed,  // not a reply that can be used, or not to this question
};

struct Reply {
  ReplyKind kind = ReplyKind::kMalformed;
  uint32_t ttl = 0;  // seconds: least of the chain and records; kNothing: of the SOA, 0 without one
  bool has_soa = false;
  uint8_t address_count = 0;
  uint8_t text_size = 0;
  std::array<uint32_t, kAddressesMax> addresses{};  // host byte order
  std::array<char, kTextBytesMax> text{};           // bytes as they came: sanitize before use

  std::span<const uint32_t> codes() const { return {addresses.data(), address_count}; }
  std::string_view reason() const { return {text.data(), text_size}; }
};

// The id of a message; nullopt when it is shorter than a header.
std::optional<uint16_t> message_id(std::span<const char> message);

// Reads a reply to `question`, the bytes that were sent (write_question's). The echoed question
// must be equal byte for byte, case included, as must the id. `reply` is written whole.
void read_reply(std::span<const char> message, std::span<const char> question, Reply& reply);

}  // namespace lychgate::dns
