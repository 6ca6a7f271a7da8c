// Questions are written from parts that need no conversion (a table of octets, the zone's wire
// form); replies are walked once, record by record, and only what an answer needs is read.
//
// What is refused beyond what a lenient reader (ldns) refuses, because no server we would trust
// sends it: a compression pointer that does not go backwards (RFC 1035 section 4.1.4 says "prior
// occurrence", and it ends every walk), another class than IN in the answer and authority sections,
// a second OPT or one that is not of the root (RFC 6891 section 6.1.1), RDATA of a type that is
// read (CNAME, the asked type, SOA) that is longer or shorter than its contents, a loop of CNAMEs.
// What is accepted: bytes behind the counted records, as ldns, unbound and BIND do, for nothing
// is read from them; RDATA of types that are not read, whatever is in it.

#include "dns/wire.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/ascii.h"
#include "core/base/check.h"

namespace lychgate::dns {
namespace {

constexpr size_t kReversedV6Bytes = 64;  // 32 nibbles, each a label of one character
constexpr size_t kZoneBytesMax = kNameBytesMax - kReversedV6Bytes;
constexpr size_t kOptBytes = 11;
constexpr size_t kTypeAndClassBytes = 4;
constexpr size_t kLabelBytesMax = 63;
// Of one name: more pointers than labels would be pointers to pointers.
constexpr int kPointersMax = 127;

constexpr uint8_t kPointerMark = 0xc0;
constexpr uint16_t kPointerTarget = 0x3fff;
constexpr uint16_t kTypeCname = 5;
constexpr uint16_t kTypeSoa = 6;
constexpr uint16_t kTypeOpt = 41;
constexpr uint16_t kClassIn = 1;

// Of the header's 16 bits of flags.
constexpr uint16_t kFlagReply = 0x8000;
constexpr uint16_t kFlagsOpcode = 0x7800;
constexpr uint16_t kFlagTruncated = 0x0200;
constexpr uint16_t kFlagRecursionDesired = 0x0100;
constexpr uint16_t kFlagsRcode = 0x000f;

// RFC 1035 section 4.1.1, RFC 2136 section 2.2.
constexpr unsigned kRcodeNoError = 0;
constexpr unsigned kRcodeNxDomain = 3;
constexpr unsigned kRcodeRefused = 5;
constexpr unsigned kRcodeNotAuth = 9;

// --- Questions ---

struct OctetLabel {
  std::array<char, 4> wire;  // length, digits
};

constexpr std::array<OctetLabel, 256> make_octet_labels() {
  std::array<OctetLabel, 256> out{};
  for (unsigned octet = 0; octet < 256; ++octet) {
    std::array<char, 4>& wire = out[octet].wire;
    const unsigned digits = octet >= 100 ? 3 : octet >= 10 ? 2 : 1;
    wire[0] = static_cast<char>(digits);
    unsigned rest = octet;
    for (unsigned i = digits; i > 0; --i, rest /= 10) wire[i] = static_cast<char>('0' + rest % 10);
  }
  return out;
}
constexpr std::array<OctetLabel, 256> kOctetLabels = make_octet_labels();

char* put16(char* out, uint16_t value) {
  out[0] = static_cast<char>(value >> 8);
  out[1] = static_cast<char>(value & 0xff);
  return out + 2;
}

// RFC 5782 section 2.1: octets, last first.
char* put_reversed_v4(char* out, const IpAddress& address) {
  for (size_t i = 16; i > 12; --i) {
    const OctetLabel& label = kOctetLabels[address.bytes[i - 1]];
    std::memcpy(out, label.wire.data(), sizeof(label.wire));
    out += 1 + label.wire[0];
  }
  return out;
}

// RFC 5782 section 2.4: nibbles, last first.
char* put_reversed_v6(char* out, const IpAddress& address) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (size_t i = 16; i > 0; --i) {
    const uint8_t byte = address.bytes[i - 1];
    *out++ = 1;
    *out++ = kHex[byte & 0xf];
    *out++ = 1;
    *out++ = kHex[byte >> 4];
  }
  return out;
}

// Lengths are below 64, so that no length is taken for a letter.
void mix_case(std::span<char> name, uint64_t bits) {
  for (char& c : name) {
    if (c < 'a' || c > 'z') continue;
    if ((bits & 1) != 0) c = static_cast<char>(c - 'a' + 'A');
    bits = std::rotr(bits, 1);
  }
}

// --- Replies ---

uint16_t load16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
uint32_t load32(const uint8_t* at) {
  return uint32_t{load16(at)} << 16 | load16(at + 2);
}

// RFC 2181 section 8: a TTL with its top bit set is zero.
uint32_t seconds(uint32_t ttl) {
  return ttl > 0x7fffffff ? 0 : ttl;
}

struct Packet {
  const uint8_t* data;
  size_t size;
};

Packet bytes_of(std::span<const char> message) {
  return {reinterpret_cast<const uint8_t*>(message.data()), message.size()};
}

// Behind the labels at `at`: a root, a pointer, something that is refused, or the packet's end.
size_t labels_end(Packet packet, size_t at) {
  while (at < packet.size) {
    const size_t length = packet.data[at];
    if (length == 0 || length > kLabelBytesMax) break;
    at += length + 1;
  }
  return at;
}

// Whether labels and the pointer behind them, at `at`, make a name. Each pointer goes before the
// labels that it continues.
bool is_pointed_name(Packet packet, size_t labels, size_t at) {
  size_t bytes = 1;  // with the root
  for (int pointers = 0; pointers <= kPointersMax; ++pointers) {
    bytes += at - labels;
    if (bytes > kNameBytesMax || at >= packet.size) return false;
    if (packet.data[at] == 0) return true;
    if (packet.data[at] < kPointerMark || at + 1 >= packet.size) return false;
    const size_t target = load16(packet.data + at) & kPointerTarget;
    if (target >= labels || target < kHeaderBytes) return false;
    labels = target;
    at = labels_end(packet, target);
  }
  return false;
}

// The offset behind the name at `at`; 0: there is no name, or one that is refused. What a pointer
// leads to has no part in the offset, so that the processor need not wait for it.
size_t name_end(Packet packet, size_t at) {
  const size_t end = labels_end(packet, at);
  if (end >= packet.size) return 0;
  if (packet.data[end] == 0) return end - at < kNameBytesMax ? end + 1 : 0;
  return is_pointed_name(packet, at, end) ? end + 2 : 0;
}

// Past the pointers at `at`, to the label they mean.
size_t follow(Packet packet, size_t at) {
  while (packet.data[at] >= kPointerMark) at = load16(packet.data + at) & kPointerTarget;
  return at;
}

// RFC 4343: ASCII letters only. REQUIRES: name_end() has accepted both, or one is the question's.
bool same_name(Packet packet, size_t one, size_t other) {
  while (true) {
    one = follow(packet, one);
    other = follow(packet, other);
    if (one == other) return true;
    const size_t length = packet.data[one];
    if (length != packet.data[other]) return false;
    if (length == 0) return true;
    for (size_t i = 1; i <= length; ++i) {
      const char a = static_cast<char>(packet.data[one + i]);
      const char b = static_cast<char>(packet.data[other + i]);
      if (a != b && ascii_lower(a) != ascii_lower(b)) return false;
    }
    one += 1 + length;
    other += 1 + length;
  }
}

struct Record {
  size_t owner;  // offset
  bool wanted;   // the owner is the wanted name, and says so with a pointer to it
  uint16_t type;
  uint16_t record_class;
  uint32_t ttl;
  size_t rdata;  // offset
  size_t end;    // of the RDATA, and of the record
};

// One reply, walked once; twice or more only when its records are not in the order of the chain.
class ReplyReader {
 public:
  ReplyReader(const Packet& packet, RecordType asked, Reply& reply)
      : packet_(packet), asked_(static_cast<uint16_t>(asked)), reply_(reply) {}

  // Writes what belongs to the kind it returns. `at`: behind the question.
  ReplyKind read(size_t at);

 private:
  bool read_record(size_t at, Record& record) const;
  // Each returns the offset behind its section; 0: malformed.
  size_t read_answers(size_t at, size_t count);
  size_t walk_answers(size_t at, size_t count);
  size_t read_authority(size_t at, size_t count);
  size_t read_additional(size_t at, size_t count);

  bool is_sound(const Record& record) const;
  bool take_link(const Record& record);
  bool take_address(const Record& record);
  void take_text(const Record& record);
  bool take_soa(const Record& record);
  ReplyKind conclude(unsigned rcode);

  const Packet packet_;
  const uint16_t asked_;
  Reply& reply_;

  size_t name_ = kHeaderBytes;  // offset of the name whose records are wanted: the chain's end
  std::array<size_t, kCnamesMax> passed_;  // the names of the chain before it, links_ of them
  size_t links_ = 0;
  uint32_t chain_ttl_ = UINT32_MAX;  // least of the links
  size_t found_ = 0;                 // records of the asked type that name_ has
  uint32_t found_ttl_ = UINT32_MAX;  // least of them
  uint8_t text_size_ = 0;
  bool passed_over_ = false;  // in this walk: a record that another order of walking might take
  bool has_soa_ = false;
  uint32_t soa_ttl_ = 0;
  bool has_opt_ = false;
  uint8_t extended_rcode_ = 0;
};

[[gnu::always_inline]] inline bool ReplyReader::read_record(size_t at, Record& record) const {
  record.owner = at;
  // Nearly every record belongs to the wanted name and says so with one pointer, which then need
  // not be walked again: the wanted name has been.
  record.wanted =
      at + 1 < packet_.size && load16(packet_.data + at) == (size_t{kPointerMark} << 8) + name_;
  const size_t fields = record.wanted ? at + 2 : name_end(packet_, at);
  if (fields == 0 || packet_.size - fields < 10) return false;
  const uint8_t* data = packet_.data + fields;
  record.type = load16(data);
  record.record_class = load16(data + 2);
  record.ttl = load32(data + 4);
  record.rdata = fields + 10;
  record.end = record.rdata + load16(data + 8);
  return record.end <= packet_.size;
}

// Whether the RDATA of a CNAME or of the asked type is exactly what such RDATA is.
bool ReplyReader::is_sound(const Record& record) const {
  if (record.type == kTypeCname) return name_end(packet_, record.rdata) == record.end;
  if (asked_ == static_cast<uint16_t>(RecordType::kA)) return record.end - record.rdata == 4;
  size_t at = record.rdata;
  while (at < record.end) at += 1U + packet_.data[at];
  return at == record.end && at != record.rdata;  // RFC 1035 section 3.3.14: one string or more
}

// What was found for the name does not count: it is an alias (RFC 1034 section 3.6.2).
bool ReplyReader::take_link(const Record& record) {
  if (links_ == passed_.size()) return false;
  passed_[links_++] = name_;
  name_ = record.rdata;
  chain_ttl_ = std::min(chain_ttl_, seconds(record.ttl));
  found_ = 0;
  found_ttl_ = UINT32_MAX;
  for (size_t i = 0; i < links_; ++i) {
    if (same_name(packet_, passed_[i], name_)) return false;  // a loop
  }
  return true;
}

bool ReplyReader::take_address(const Record& record) {
  if (found_ == kAddressesMax) return false;
  reply_.addresses[found_] = load32(packet_.data + record.rdata);
  return true;
}

void ReplyReader::take_text(const Record& record) {
  size_t size = 0;
  for (size_t at = record.rdata; at < record.end; at += 1U + packet_.data[at]) {
    const size_t part = std::min<size_t>(packet_.data[at], kTextBytesMax - size);
    // Not memcpy: since the size is known to be small, GCC 12 writes `rep movs` for it, 30 ns.
    std::memmove(reply_.text.data() + size, packet_.data + at + 1, part);
    size += part;
  }
  text_size_ = static_cast<uint8_t>(size);
}

size_t ReplyReader::walk_answers(size_t at, size_t count) {
  Record record;
  passed_over_ = false;
  found_ = 0;
  found_ttl_ = UINT32_MAX;
  for (; count > 0; --count, at = record.end) {
    if (!read_record(at, record) || record.record_class != kClassIn) return 0;
    if (record.type != kTypeCname && record.type != asked_) continue;
    if (!is_sound(record)) return 0;
    if (!record.wanted && !same_name(packet_, record.owner, name_)) {
      passed_over_ = true;
      continue;
    }
    if (record.type == kTypeCname) {
      if (!take_link(record)) return 0;
      continue;
    }
    if (asked_ == static_cast<uint16_t>(RecordType::kA)) {
      if (!take_address(record)) return 0;
    } else if (found_ == 0) {
      take_text(record);
    }
    ++found_;
    found_ttl_ = std::min(found_ttl_, seconds(record.ttl));
  }
  return at;
}

// Servers put a chain in its order (RFC 1034 section 4.3.2), and one walk follows it. When a link
// was taken and something was passed over, what is passed over may belong to the new name: walk
// again until a walk takes no link, at most kCnamesMax + 1 times.
size_t ReplyReader::read_answers(size_t at, size_t count) {
  while (true) {
    const size_t links_before = links_;
    const size_t end = walk_answers(at, count);
    if (end == 0 || links_ == links_before || !passed_over_) return end;
  }
}

// RFC 2308 section 5: a negative answer lives as long as the SOA record, and its MINIMUM at most.
bool ReplyReader::take_soa(const Record& record) {
  constexpr size_t kNumbersBytes = 20;  // SERIAL, REFRESH, RETRY, EXPIRE, MINIMUM
  const size_t second_name = name_end(packet_, record.rdata);
  const size_t numbers = second_name == 0 ? 0 : name_end(packet_, second_name);
  if (numbers == 0 || numbers + kNumbersBytes != record.end) return false;
  if (has_soa_) return true;
  has_soa_ = true;
  soa_ttl_ = std::min(seconds(record.ttl), seconds(load32(packet_.data + record.end - 4)));
  return true;
}

size_t ReplyReader::read_authority(size_t at, size_t count) {
  Record record;
  for (; count > 0; --count, at = record.end) {
    if (!read_record(at, record) || record.record_class != kClassIn) return 0;
    if (record.type == kTypeSoa && !take_soa(record)) return 0;
  }
  return at;
}

// Only OPT is of interest, whose class and TTL are other things (RFC 6891 section 6.1.3).
size_t ReplyReader::read_additional(size_t at, size_t count) {
  Record record;
  for (; count > 0; --count, at = record.end) {
    if (!read_record(at, record)) return 0;
    if (record.type != kTypeOpt) continue;
    if (has_opt_ || packet_.data[record.owner] != 0) return 0;
    has_opt_ = true;
    extended_rcode_ = static_cast<uint8_t>(record.ttl >> 24);
  }
  return at;
}

ReplyKind ReplyReader::conclude(unsigned rcode) {
  // BADVERS, BADCOOKIE: nothing that asking elsewhere would not cure.
  if (extended_rcode_ != 0) return ReplyKind::kServfail;
  if (rcode == kRcodeRefused || rcode == kRcodeNotAuth) return ReplyKind::kRefused;
  if (rcode != kRcodeNoError && rcode != kRcodeNxDomain) return ReplyKind::kServfail;
  // NXDOMAIN speaks of the chain's end (RFC 6604 section 3); records beside it do not count.
  if (rcode == kRcodeNoError && found_ != 0) {
    const bool addresses = asked_ == static_cast<uint16_t>(RecordType::kA);
    reply_.address_count = addresses ? static_cast<uint8_t>(found_) : uint8_t{0};
    reply_.text_size = addresses ? uint8_t{0} : text_size_;
    reply_.ttl = std::min(chain_ttl_, found_ttl_);
    return ReplyKind::kAnswer;
  }
  // That there is nothing is no longer known than that the links lead there.
  reply_.has_soa = has_soa_;
  reply_.ttl = has_soa_ ? std::min(chain_ttl_, soa_ttl_) : 0;
  return ReplyKind::kNothing;
}

ReplyKind ReplyReader::read(size_t at) {
  const uint8_t* header = packet_.data;
  const size_t answers = load16(header + 6);
  const size_t authority = load16(header + 8);
  const size_t additional = load16(header + 10);
  if (answers + authority + additional > kRecordsMax) return ReplyKind::kMalformed;
  at = read_answers(at, answers);
  if (at != 0) at = read_authority(at, authority);
  if (at != 0) at = read_additional(at, additional);
  if (at == 0) return ReplyKind::kMalformed;
  return conclude(load16(header + 2) & kFlagsRcode);
}

}  // namespace

std::optional<size_t> write_zone(std::string_view dotted, std::span<char> out) {
  // One length for each dot and one in front, and the root.
  if (dotted.size() + 2 > std::min(out.size(), kZoneBytesMax)) return std::nullopt;
  size_t at = 0;
  while (true) {
    const size_t dot = std::min(dotted.find('.'), dotted.size());
    if (dot == 0 || dot > kLabelBytesMax) return std::nullopt;
    out[at++] = static_cast<char>(dot);
    for (const char c : dotted.substr(0, dot)) out[at++] = ascii_lower(c);
    if (dot == dotted.size()) break;
    dotted.remove_prefix(dot + 1);
  }
  out[at++] = '\0';
  return at;
}

size_t write_question(const Question& question, const QuestionOptions& options,
                      std::span<char> out) {
  const std::span<const char> zone = question.zone.wire;
  LYCH_CHECK(out.size() >= kQuestionBytesMax && zone.size() <= kZoneBytesMax);
  char* at = put16(out.data(), options.id);
  at = put16(at, kFlagRecursionDesired);
  constexpr std::array<char, 8> kCounts = {0, 1, 0, 0, 0, 0, 0, 1};  // a question and an OPT
  at = std::copy(kCounts.begin(), kCounts.end(), at);
  char* const name = at;
  const IpAddress& address = question.address;
  const bool octets = address.is_v4() && question.form == AddressForm::kOwn;
  at = octets ? put_reversed_v4(at, address) : put_reversed_v6(at, address);
  at = std::copy(zone.begin(), zone.end(), at);
  if (options.case_bits) mix_case({name, at}, *options.case_bits);
  at = put16(at, static_cast<uint16_t>(question.type));
  at = put16(at, kClassIn);
  // RFC 6891 section 6.1.2: root, type, UDP size, extended rcode and flags, no options.
  *at++ = '\0';
  at = put16(at, kTypeOpt);
  at = put16(at, kUdpPayload);
  at = std::fill_n(at, 6, '\0');
  return static_cast<size_t>(at - out.data());
}

std::optional<uint16_t> message_id(std::span<const char> message) {
  if (message.size() < kHeaderBytes) return std::nullopt;
  return load16(bytes_of(message).data);
}

void read_reply(std::span<const char> message, std::span<const char> question, Reply& reply) {
  // The arrays are not cleared: that would cost more than reading most replies.
  reply.kind = ReplyKind::kMalformed;
  reply.ttl = 0;
  reply.has_soa = false;
  reply.address_count = 0;
  reply.text_size = 0;
  constexpr size_t kShortest = kHeaderBytes + 1 + kTypeAndClassBytes + kOptBytes;
  if (question.size() < kShortest) return;
  const size_t echoed = question.size() - kOptBytes;
  if (message.size() < echoed) return;
  const Packet packet = bytes_of(message);
  const Packet sent = bytes_of(question);
  const uint16_t flags = load16(packet.data + 2);
  if (load16(packet.data) != load16(sent.data)) return;
  if ((flags & kFlagReply) == 0 || (flags & kFlagsOpcode) != 0) return;
  if (load16(packet.data + 4) != 1) return;
  if (std::memcmp(packet.data + kHeaderBytes, sent.data + kHeaderBytes, echoed - kHeaderBytes) != 0)
    return;
  if ((flags & kFlagTruncated) != 0) {
    reply.kind = ReplyKind::kTruncated;
    return;
  }
  const auto asked = static_cast<RecordType>(load16(sent.data + echoed - kTypeAndClassBytes));
  reply.kind = ReplyReader(packet, asked, reply).read(echoed);
}

}  // namespace lychgate::dns
