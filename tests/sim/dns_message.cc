// RFC 1035 section 4.1, with RFC 2308 section 3 for what is not there and RFC 5782 for the names.

#include "tests/sim/dns_message.h"

#include <array>
#include <charconv>

namespace lychgate::sim {

namespace {

constexpr size_t kHeader = 12;
constexpr uint16_t kTypeSoa = 6;
constexpr uint16_t kTypeOpt = 41;

uint16_t get16(std::span<const char> bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void put16(std::string& out, uint32_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}
void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

// Of the name that was asked about.
void put_record(std::string& out, uint16_t type, uint32_t ttl, std::string_view data) {
  put16(out, 0xc000 | kHeader);
  put16(out, type);
  put16(out, 1);
  put32(out, ttl);
  put16(out, static_cast<uint32_t>(data.size()));
  out += data;
}

std::string soa_data(uint32_t minimum) {
  std::string data(2, '\0');  // of the root, by the root
  for (const uint32_t value : {1u, 3600u, 600u, 86400u, minimum}) put32(data, value);
  return data;
}

}  // namespace

std::optional<DnsQuestion> read_question(std::span<const char> packet) {
  if (packet.size() < kHeader || get16(packet, 4) != 1 || get16(packet, 10) != 1) {
    return std::nullopt;
  }
  DnsQuestion out;
  out.id = get16(packet, 0);
  size_t at = kHeader;
  while (at < packet.size() && packet[at] != 0) {
    const auto length = static_cast<uint8_t>(packet[at]);
    if (length > 63 || at + 1 + length >= packet.size()) return std::nullopt;
    if (!out.name.empty()) out.name += '.';
    for (const char c : packet.subspan(at + 1, length)) {
      out.name += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    at += 1u + length;
  }
  if (at + 1 + 4 + 11 != packet.size() || out.name.size() > 253) return std::nullopt;
  out.type = get16(packet, at + 1);
  if (get16(packet, at + 3) != 1 || get16(packet, at + 6) != kTypeOpt) return std::nullopt;
  out.end = at + 5;
  return out;
}

std::string write_answer(std::span<const char> packet, const DnsQuestion& question,
                         const DnsAnswer& answer) {
  std::string out;
  put16(out, question.id);
  put16(out, 0x8180u | (answer.truncated ? 0x0200u : 0u) | static_cast<uint32_t>(answer.rcode));
  const bool bare = answer.truncated;
  const bool text = question.type == kDnsTypeTxt && !answer.text.empty();
  const size_t addresses = question.type == kDnsTypeA ? answer.codes.size() : 0;
  put16(out, 1);
  put16(out, bare ? 0 : static_cast<uint32_t>(addresses + (text ? 1 : 0)));
  put16(out, !bare && answer.soa_ttl ? 1 : 0);
  put16(out, 0);
  out.append(packet.data() + kHeader, question.end - kHeader);
  if (bare) return out;
  for (size_t i = 0; i < addresses; ++i) {
    std::string data;
    put32(data, answer.codes[i]);
    put_record(out, kDnsTypeA, answer.ttl, data);
  }
  if (text) {
    const std::string string = answer.text.substr(0, 255);
    put_record(out, kDnsTypeTxt, answer.ttl, static_cast<char>(string.size()) + string);
  }
  if (answer.soa_ttl) put_record(out, kTypeSoa, *answer.soa_ttl, soa_data(*answer.soa_ttl));
  return out;
}

std::string write_long_answer(std::span<const char> packet, const DnsQuestion& question,
                              size_t bytes) {
  std::string out = write_answer(packet, question, {});
  const std::string text(100, 'x');
  uint8_t records = 0;
  for (; out.size() <= bytes; ++records) {
    put_record(out, kDnsTypeTxt, 300, static_cast<char>(text.size()) + text);
  }
  out[7] = static_cast<char>(records);
  return out;
}

std::optional<IpAddress> reversed_address(std::string_view labels) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= labels.size();) {
    const size_t dot = std::min(labels.find('.', at), labels.size());
    parts.push_back(labels.substr(at, dot - at));
    at = dot + 1;
  }
  const int base = parts.size() == 4 ? 10 : 16;
  if (parts.size() != 4 && parts.size() != 32) return std::nullopt;
  std::array<uint8_t, 32> values{};
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[parts.size() - 1 - i];
    const auto [end, error] =
        std::from_chars(part.data(), part.data() + part.size(), values[i], base);
    if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
  }
  if (parts.size() == 4) {
    return IpAddress::from_v4(uint32_t{values[0]} << 24 | uint32_t{values[1]} << 16 |
                              uint32_t{values[2]} << 8 | values[3]);
  }
  IpAddress out;
  for (size_t i = 0; i < 16; ++i) {
    out.bytes[i] = static_cast<uint8_t>(values[2 * i] << 4 | values[2 * i + 1]);
  }
  return out;
}

}  // namespace lychgate::sim
