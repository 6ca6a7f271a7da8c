// Bytes of keys and records, and the arithmetic of records. Every time and count is a plain number
// here: nothing is refused for its value.

#include "core/base/client_record.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"

namespace lychgate {
namespace {

constexpr uint8_t kIpv4 = '4';
constexpr uint8_t kIpv6 = '6';
constexpr uint8_t kNetwork4 = 'g';  // greylist
constexpr uint8_t kNetwork6 = 'h';
constexpr PrefixLengths kNetworks{.ipv4 = 24, .ipv6 = 64};
constexpr size_t kIpv4Bytes = 1 + 4;
constexpr size_t kIpv6Bytes = 1 + 16;
static_assert(kIpv6Bytes == ClientKey::kBytesMax);

// Clears what is behind the first `bits`.
void clear_behind(std::span<uint8_t> bytes, size_t bits) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t kept = std::min<size_t>(bits - std::min(bits, i * 8), 8);
    bytes[i] &= static_cast<uint8_t>(0xff00U >> kept);
  }
}

// Numbers one after the other, little-endian.
class Output {
 public:
  explicit Output(std::span<uint8_t> bytes) : bytes_(bytes) {}
  template <typename T>
  void put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
      bytes_[at_++] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i));
    }
  }
  size_t written() const { return at_; }

 private:
  std::span<uint8_t> bytes_;
  size_t at_ = 0;
};

class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  template <typename T>
  void get(T& value) {
    uint64_t whole = 0;
    for (size_t i = 0; i < sizeof(T); ++i) whole |= uint64_t{bytes_[at_++]} << (8 * i);
    value = static_cast<T>(whole);
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

uint32_t add_up_to_max(uint32_t a, uint32_t b) {
  return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

Seconds earlier_known(Seconds a, Seconds b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

ClientKey ClientKey::of(const IpAddress& address, PrefixLengths prefixes) {
  ClientKey key;
  const bool is_v4 = address.is_v4();
  const size_t skipped = is_v4 ? 12 : 0;
  key.size = static_cast<uint8_t>(is_v4 ? kIpv4Bytes : kIpv6Bytes);
  key.bytes[0] = is_v4 ? kIpv4 : kIpv6;
  const std::span<uint8_t> network(key.bytes.data() + 1, key.size - 1U);
  std::memcpy(network.data(), address.bytes.data() + skipped, network.size());
  clear_behind(network, is_v4 ? prefixes.ipv4 : prefixes.ipv6);
  return key;
}

ClientKey ClientKey::of_network(const IpAddress& address) {
  ClientKey key = of(address, kNetworks);
  key.bytes[0] = address.is_v4() ? kNetwork4 : kNetwork6;
  return key;
}

std::optional<ClientKey> ClientKey::decode(std::span<const uint8_t> bytes) {
  const bool is_v4 = bytes.size() == kIpv4Bytes && (bytes[0] == kIpv4 || bytes[0] == kNetwork4);
  const bool is_v6 = bytes.size() == kIpv6Bytes && (bytes[0] == kIpv6 || bytes[0] == kNetwork6);
  if (!is_v4 && !is_v6) return std::nullopt;
  ClientKey key;
  key.size = static_cast<uint8_t>(bytes.size());
  std::ranges::copy(bytes, key.bytes.begin());
  if (is_v6 && key.address().is_v4()) return std::nullopt;
  const bool is_network = bytes[0] == kNetwork4 || bytes[0] == kNetwork6;
  if (is_network && !(of_network(key.address()) == key)) return std::nullopt;
  return key;
}

IpAddress ClientKey::address() const {
  LYCH_CHECK(size == kIpv4Bytes || size == kIpv6Bytes);
  IpAddress out;
  if (size == kIpv4Bytes) out = IpAddress::from_v4(0);
  std::memcpy(out.bytes.data() + out.bytes.size() - (size - 1U), bytes.data() + 1, size - 1U);
  return out;
}

bool ClientKey::operator==(const ClientKey& other) const {
  return size == other.size && std::ranges::equal(encoded(), other.encoded());
}

void ClientRecord::encode(std::span<uint8_t, kBytes> out) const {
  Output output(out);
  output.put(kVersion);
  output.put(failed);
  output.put(static_cast<uint16_t>(score));
  for (const Seconds until : passed_until) output.put(until);
  for (const uint32_t number :
       {first_seen, last_seen, passes, failures, failed_until, allowed_until, denied_until}) {
    output.put(number);
  }
  LYCH_CHECK(output.written() == kBytes);
}

std::optional<ClientRecord> ClientRecord::decode(std::span<const uint8_t> bytes) {
  if (bytes.size() != kBytes || bytes[0] != kVersion) return std::nullopt;
  ClientRecord record;
  Input input(bytes.subspan(1));
  input.get(record.failed);
  input.get(record.score);
  for (Seconds& until : record.passed_until) input.get(until);
  for (uint32_t* number : {&record.first_seen, &record.last_seen, &record.passes, &record.failures,
                           &record.failed_until, &record.allowed_until, &record.denied_until}) {
    input.get(*number);
  }
  return record;
}

ClientRecord merge(const ClientRecord& a, const ClientRecord& b) {
  ClientRecord out;
  for (size_t i = 0; i < kScreenTestCount; ++i) {
    out.passed_until[i] = std::max(a.passed_until[i], b.passed_until[i]);
  }
  out.first_seen = earlier_known(a.first_seen, b.first_seen);
  out.last_seen = std::max(a.last_seen, b.last_seen);
  out.passes = std::max(a.passes, b.passes);
  out.failures = std::max(a.failures, b.failures);
  out.failed_until = std::max(a.failed_until, b.failed_until);
  out.allowed_until = std::max(a.allowed_until, b.allowed_until);
  out.denied_until = std::max(a.denied_until, b.denied_until);
  if (a.last_seen == b.last_seen) {
    out.score = std::max(a.score, b.score);
  } else {
    out.score = a.last_seen > b.last_seen ? a.score : b.score;
  }
  if (a.failed_until == b.failed_until) {
    out.failed = a.failed | b.failed;
  } else {
    out.failed = a.failed_until > b.failed_until ? a.failed : b.failed;
  }
  return out;
}

ClientRecord with_visit(const ClientRecord& record, const ClientRecord& visit) {
  ClientRecord out = merge(record, visit);
  out.passes = add_up_to_max(record.passes, visit.passes);
  out.failures = add_up_to_max(record.failures, visit.failures);
  return out;
}

Seconds useful_until(const ClientRecord& record) {
  const Seconds tests = *std::ranges::max_element(record.passed_until);
  return std::max(
      {tests, record.last_seen, record.failed_until, record.allowed_until, record.denied_until});
}

}  // namespace lychgate
