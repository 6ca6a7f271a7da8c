// Version 1: "PROXY TCP4 source destination sport dport\r\n", at most 107 bytes.
// Version 2: 12 signature bytes | version and command | family and transport | length (2) |
// addresses | TLVs of type (1), length (2), value; numbers in network byte order.
// (haproxy.org, proxy-protocol.txt.) Who may send one is a trusted peer, but we take nothing that
// the text does not allow: a wrong address is worse than a refused connection.

#include "core/smtp/proxy_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "core/base/limits.h"

namespace lychgate::smtp {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
static_assert(kSignature.size() == 12);
constexpr std::string_view kWord = "PROXY ";
constexpr size_t kTextMax = 107;
constexpr size_t kFixedBytes = 16;
constexpr size_t kPortBytes = 2;
constexpr uint8_t kLocal = 0x20;
constexpr uint8_t kProxied = 0x21;
constexpr uint8_t kUnspecified = 0x00;
constexpr uint8_t kTcp4 = 0x11;
constexpr uint8_t kTcp6 = 0x21;
constexpr uint8_t kChecksumTlv = 0x03;
constexpr size_t kTlvHeadBytes = 3;
constexpr size_t kChecksumBytes = 4;

// CRC-32C (RFC 3720 appendix B.4), reflected, four bits a step. Ours, because no library of Debian
// is worth the dependency for a few bytes of a header that few balancers send (zlib's is another
// polynomial).
constexpr std::array<uint32_t, 16> kChecksumTable = [] {
  std::array<uint32_t, 16> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 4; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = value;
  }
  return table;
}();

uint32_t checksum_step(uint32_t sum, uint8_t byte) {
  sum = sum >> 4 ^ kChecksumTable[(sum ^ byte) & 15];
  return sum >> 4 ^ kChecksumTable[(sum ^ byte >> 4) & 15];
}

// Bytes of the header with an index that is in it; the caller has asked.
class Bytes {
 public:
  explicit Bytes(std::span<const char> bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size(); }
  uint8_t u8(size_t at) const { return static_cast<uint8_t>(bytes_[at]); }
  uint16_t u16(size_t at) const { return static_cast<uint16_t>(u8(at) << 8 | u8(at + 1)); }
  uint32_t u32(size_t at) const { return uint32_t{u16(at)} << 16 | u16(at + 2); }
  IpAddress v4(size_t at) const { return IpAddress::from_v4(u32(at)); }
  IpAddress v6(size_t at) const {
    IpAddress out;
    for (size_t i = 0; i < out.bytes.size(); ++i) out.bytes[i] = u8(at + i);
    return out;
  }

 private:
  std::span<const char> bytes_;
};

bool is_prefix_of_each_other(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

ReadProxy told(ProxyOutcome outcome) {
  return {.outcome = outcome, .size = 0, .client = {}, .server = {}};
}

ReadProxy without_addresses(size_t size) {
  return {.outcome = ProxyOutcome::kComplete, .size = size, .client = {}, .server = {}};
}

ReadProxy with_addresses(size_t size, const Endpoint& client, const Endpoint& server) {
  if (client.address.is_unspecified()) return told(ProxyOutcome::kMalformed);
  return {.outcome = ProxyOutcome::kComplete, .size = size, .client = client, .server = server};
}

// The text up to the next blank, which is used up.
std::string_view next_field(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return field;
}

std::optional<uint16_t> port_of(std::string_view text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  const bool padded = text.size() > 1 && text.front() == '0';
  if (read.ec != std::errc{} || read.ptr != end || padded) return std::nullopt;
  return port;
}

std::optional<IpAddress> address_of_family(std::string_view text, bool v6) {
  const bool is_v6 = text.find(':') != std::string_view::npos;
  return is_v6 == v6 ? IpAddress::parse(text) : std::nullopt;
}

// Of the line without its end; size is that of the whole header.
ReadProxy read_line(std::string_view line, size_t size) {
  line.remove_prefix(kWord.size());
  const std::string_view family = next_field(line);
  if (family == "UNKNOWN") return without_addresses(size);
  const bool v6 = family == "TCP6";
  if (!v6 && family != "TCP4") return told(ProxyOutcome::kMalformed);
  const auto client = address_of_family(next_field(line), v6);
  const auto server = address_of_family(next_field(line), v6);
  const auto client_port = port_of(next_field(line));
  // The rest, so that a further field is seen.
  const auto server_port = port_of(line);
  if (!client || !server || !client_port || !server_port) return told(ProxyOutcome::kMalformed);
  return with_addresses(size, {*client, *client_port}, {*server, *server_port});
}

ReadProxy read_v1(std::string_view bytes) {
  const std::string_view seen = bytes.substr(0, kTextMax);
  const size_t newline = seen.find('\n');
  if (newline == std::string_view::npos) {
    return told(seen.size() < kTextMax ? ProxyOutcome::kNeedMore : ProxyOutcome::kTooLong);
  }
  // It is longer than the word that it begins with, which has no LF.
  if (seen[newline - 1] != '\r') return told(ProxyOutcome::kMalformed);
  return read_line(seen.substr(0, newline - 1), newline + 1);
}

// Whether the TLVs from `begin` on fill the header and their checksum, if there is one, is right.
ProxyOutcome check_tlvs(const Bytes& header, size_t begin) {
  size_t checksum_at = 0;
  for (size_t at = begin; at < header.size();) {
    if (header.size() - at < kTlvHeadBytes) return ProxyOutcome::kMalformed;
    const size_t length = header.u16(at + 1);
    const size_t value = at + kTlvHeadBytes;
    if (header.size() - value < length) return ProxyOutcome::kMalformed;
    if (header.u8(at) == kChecksumTlv) {
      if (length != kChecksumBytes || checksum_at != 0) return ProxyOutcome::kMalformed;
      checksum_at = value;
    }
    at = value + length;
  }
  if (checksum_at == 0) return ProxyOutcome::kComplete;
  uint32_t sum = 0xffffffff;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool is_field = i >= checksum_at && i < checksum_at + kChecksumBytes;
    sum = checksum_step(sum, is_field ? 0 : header.u8(i));
  }
  return ~sum == header.u32(checksum_at) ? ProxyOutcome::kComplete : ProxyOutcome::kChecksum;
}

// Of a whole header.
ReadProxy read_addresses(const Bytes& header, uint8_t family) {
  const size_t address_bytes = family == kTcp4 ? 4 : 16;
  const size_t ports = kFixedBytes + 2 * address_bytes;
  const size_t tlvs = ports + 2 * kPortBytes;
  if (header.size() < tlvs) return told(ProxyOutcome::kMalformed);
  const ProxyOutcome outcome = check_tlvs(header, tlvs);
  if (outcome != ProxyOutcome::kComplete) return told(outcome);
  const auto end = [&](size_t index) {
    const size_t at = kFixedBytes + index * address_bytes;
    return Endpoint{.address = family == kTcp4 ? header.v4(at) : header.v6(at),
                    .port = header.u16(ports + index * kPortBytes)};
  };
  return with_addresses(header.size(), end(0), end(1));
}

ReadProxy read_v2(std::span<const char> bytes) {
  const Bytes seen(bytes);
  const size_t command_at = kSignature.size();
  const size_t family_at = command_at + 1;
  const size_t length_at = family_at + 1;
  if (seen.size() <= command_at) return told(ProxyOutcome::kNeedMore);
  const uint8_t command = seen.u8(command_at);
  if (command != kLocal && command != kProxied) return told(ProxyOutcome::kMalformed);
  if (seen.size() <= family_at) return told(ProxyOutcome::kNeedMore);
  const uint8_t family = seen.u8(family_at);
  const bool has_addresses = command == kProxied && family != kUnspecified;
  // No UDP and no Unix sockets. Of LOCAL the text says that the family is not to be looked at.
  if (has_addresses && family != kTcp4 && family != kTcp6) return told(ProxyOutcome::kMalformed);
  if (seen.size() < kFixedBytes) return told(ProxyOutcome::kNeedMore);
  const size_t size = kFixedBytes + seen.u16(length_at);
  if (size > kProxyHeaderReadMax) return told(ProxyOutcome::kTooLong);
  if (seen.size() < size) return told(ProxyOutcome::kNeedMore);
  if (!has_addresses) return without_addresses(size);
  return read_addresses(Bytes(bytes.first(size)), family);
}

}  // namespace

ReadProxy read_proxy_header(std::span<const char> bytes) {
  const std::string_view text(bytes.data(), bytes.size());
  if (text.empty()) return told(ProxyOutcome::kNeedMore);
  if (is_prefix_of_each_other(text, kWord)) return read_v1(text);
  if (is_prefix_of_each_other(text, kSignature)) return read_v2(bytes);
  return told(ProxyOutcome::kMalformed);
}

}  // namespace lychgate::smtp
