// Fuzz target of read_reply and write_zone. The first byte chooses the question and whether the
// rest becomes a reply to it, so that chance need not guess 40 bytes; the rest is the message.
// What must hold for any input is checked here; the sanitizers see to the memory.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "dns/wire.h"
#include "tests/dns/wire_messages.h"
#include "tests/fuzz/targets.h"
#include "tests/fuzz/wire_fuzz.h"

namespace lychgate::fuzz {
namespace {

using namespace dns;

std::vector<char> chosen_question(uint8_t choice) {
  const auto address =
      (choice & kAskV6) != 0 ? IpAddress::parse("2001:db8::abcd") : IpAddress::parse("203.0.113.2");
  QuestionOptions options{.id = 0x4c47, .case_bits = {}};
  if ((choice & kMixCase) != 0) options.case_bits = 0x5a3c;
  const RecordType type = (choice & kAskText) != 0 ? RecordType::kTxt : RecordType::kA;
  return make_question(*address, "bl.example", type, options);
}

// Flags and counts stay as they are, but for the few that would end the reading.
void make_reply_to(const std::vector<char>& question, std::vector<char>& message) {
  const size_t echoed = question.size() - 11;
  if (message.size() < kHeaderBytes) message.resize(kHeaderBytes);
  message.insert(message.begin() + kHeaderBytes, question.begin() + kHeaderBytes,
                 question.begin() + static_cast<ptrdiff_t>(echoed));
  std::copy_n(question.begin(), 2, message.begin());
  message[2] = static_cast<char>((message[2] | 0x80) & ~0x78);
  message[4] = 0;
  message[5] = 1;
}

Reply poisoned(uint8_t byte) {
  Reply out;
  out.ttl = byte;
  out.has_soa = (byte & 1) != 0;
  out.address_count = byte;
  out.text_size = byte;
  out.addresses.fill(byte);
  out.text.fill(static_cast<char>(byte));
  return out;
}

void check_reply(const Reply& reply, RecordType asked) {
  const bool answer = reply.kind == ReplyKind::kAnswer;
  const bool nothing = reply.kind == ReplyKind::kNothing;
  LYCH_CHECK(reply.kind <= ReplyKind::kMalformed);
  LYCH_CHECK(reply.address_count <= kAddressesMax);
  LYCH_CHECK((reply.address_count > 0) == (answer && asked == RecordType::kA));
  LYCH_CHECK(reply.text_size == 0 || (answer && asked == RecordType::kTxt));
  LYCH_CHECK(!reply.has_soa || nothing);
  LYCH_CHECK(reply.ttl <= 0x7fffffff);
  LYCH_CHECK(reply.ttl == 0 || answer || (nothing && reply.has_soa));
}

// Twice over different remains: nothing of an earlier reply may show.
void check_message(const std::vector<char>& message, const std::vector<char>& question,
                   RecordType asked) {
  Reply one = poisoned(0x55);
  Reply other = poisoned(0xaa);
  read_reply(message, question, one);
  read_reply(message, question, other);
  check_reply(one, asked);
  LYCH_CHECK(one.kind == other.kind && one.ttl == other.ttl && one.has_soa == other.has_soa);
  LYCH_CHECK(std::ranges::equal(one.codes(), other.codes()));
  LYCH_CHECK(one.reason() == other.reason());
  LYCH_CHECK(message_id(message).has_value() == (message.size() >= kHeaderBytes));
}

void check_zone(std::string_view dotted) {
  std::array<char, kNameBytesMax> out;
  const std::optional<size_t> size = write_zone(dotted, out);
  if (!size) return;
  LYCH_CHECK(*size == dotted.size() + 2 && *size <= kNameBytesMax - 64);
  size_t at = 0;
  while (out[at] != 0) {
    LYCH_CHECK(out[at] > 0 && out[at] < 64);
    at += 1 + static_cast<size_t>(out[at]);
    LYCH_CHECK(at < *size);
  }
  LYCH_CHECK(at + 1 == *size);
}

}  // namespace

void fuzz_wire(std::span<const uint8_t> input) {
  if (input.empty()) return;
  const uint8_t choice = input[0];
  const auto* bytes = reinterpret_cast<const char*>(input.data());
  check_zone({bytes, input.size()});
  const std::vector<char> question = chosen_question(choice);
  std::vector<char> message(bytes + 1, bytes + input.size());
  if ((choice & kMakeReply) != 0) make_reply_to(question, message);
  // A copy of just its size: a byte read behind it is seen.
  const std::vector<char> exact(message.begin(), message.end());
  check_message(exact, question, (choice & kAskText) != 0 ? RecordType::kTxt : RecordType::kA);
}

}  // namespace lychgate::fuzz
