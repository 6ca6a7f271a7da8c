// What a reply means according to ldns: the reference that read_reply is compared with. Names,
// records and RDATA are read by ldns alone; where read_reply is stricter or laxer than ldns by
// contract, the reason is named here, and no difference is allowed without one.

#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dns/wire.h"

namespace lychgate::dns {

// Why a reply that ldns accepts is malformed to us.
enum class Stricter : uint8_t {
  kNotTheReply,       // id, QR, opcode, question: ldns does not know what was asked
  kTooManyRecords,    // kRecordsMax
  kTooManyAddresses,  // kAddressesMax
  kChainTooLong,      // kCnamesMax
  kChainLoops,
  kPointerNotBack,  // forward, or into the header
  kOtherClass,
  kOptTwice,
  kOptNotOfRoot,
  kRdataLength,  // RDATA of a type that is read is longer or shorter than its contents
};
inline constexpr size_t kStricterCount = 10;
extern const char* const kStricterNames[kStricterCount];

struct ReferenceReading {
  // ldns_wire2pkt accepts the message.
  bool whole = false;
  // ldns accepts every name and each record that is to be read, taken one by one. Differs from
  // `whole` only by RDATA whose contents do not fill it (ldns then goes on at the wrong place), and
  // behind a TSIG record (ldns then reads one record less).
  bool framed = false;
  bool odd_rdata = false;
  bool has_tsig = false;
  std::bitset<kStricterCount> stricter;

  bool malformed() const { return !framed || stricter.any(); }

  // When it is not malformed:
  ReplyKind kind = ReplyKind::kMalformed;
  uint32_t ttl = 0;
  bool has_soa = false;
  std::vector<uint32_t> addresses;
  std::string text;
};

ReferenceReading read_with_ldns(const std::vector<char>& message,
                                const std::vector<char>& question);

}  // namespace lychgate::dns
