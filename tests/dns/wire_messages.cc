// See the header. The writer checks nothing: broken messages are half of its use.

#include "tests/dns/wire_messages.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <utility>

#include "core/base/check.h"

namespace lychgate::dns {
namespace {

constexpr size_t kQuestionTail = 4 + 11;  // type and class, OPT

std::string read_plain_name(const std::vector<char>& message, size_t at) {
  std::string out;
  while (message[at] != 0) {
    const size_t length = static_cast<uint8_t>(message[at]);
    if (!out.empty()) out += '.';
    out.append(message.data() + at + 1, length);
    at += 1 + length;
  }
  return out;
}

void add16(std::vector<char>& bytes, size_t at, int difference) {
  const auto high = static_cast<uint8_t>(bytes[at]);
  const auto low = static_cast<uint8_t>(bytes[at + 1]);
  const auto value = static_cast<uint16_t>((high << 8 | low) + difference);
  bytes[at] = static_cast<char>(value >> 8);
  bytes[at + 1] = static_cast<char>(value & 0xff);
}

}  // namespace

// --- The writer ---

MessageWriter::MessageWriter(const std::vector<char>& question)
    : bytes_(question.begin(), question.end() - 11),
      asked_name_(read_plain_name(question, kHeaderBytes)) {
  set_flags(0x8180);
  std::fill(bytes_.begin() + 6, bytes_.begin() + kHeaderBytes, '\0');
  size_t at = kHeaderBytes;
  for (std::string_view rest = asked_name_; !rest.empty();) {
    offsets_.emplace(rest, at);
    const size_t dot = std::min(rest.find('.'), rest.size());
    at += 1 + dot;
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
}

void MessageWriter::set_flags(uint16_t flags) {
  bytes_[2] = static_cast<char>(flags >> 8);
  bytes_[3] = static_cast<char>(flags & 0xff);
}

void MessageWriter::put16(uint16_t value) {
  put8(static_cast<uint8_t>(value >> 8));
  put8(static_cast<uint8_t>(value & 0xff));
}

void MessageWriter::put32(uint32_t value) {
  put16(static_cast<uint16_t>(value >> 16));
  put16(static_cast<uint16_t>(value & 0xffff));
}

void MessageWriter::put_name(std::string_view name, Form form) {
  while (!name.empty()) {
    const auto known = offsets_.find(std::string(name));
    if (form == Form::kCompressed && known != offsets_.end()) {
      put16(static_cast<uint16_t>(0xc000 | known->second));
      return;
    }
    if (bytes_.size() < 0x4000) offsets_.emplace(name, bytes_.size());
    const size_t dot = std::min(name.find('.'), name.size());
    put8(static_cast<uint8_t>(dot));
    put_bytes(name.substr(0, dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  put8(0);
}

void MessageWriter::begin_record(Section section, const Head& head) {
  add16(bytes_, 6 + 2 * static_cast<size_t>(section), 1);
  put_name(head.owner, head.form);
  put16(head.type);
  put16(head.record_class);
  put32(head.ttl);
  length_at_ = bytes_.size();
  put16(0);
}

void MessageWriter::end_record() {
  add16(bytes_, length_at_, static_cast<int>(bytes_.size() - length_at_ - 2));
}

void MessageWriter::put_address(const Head& head, uint32_t code) {
  begin_record(Section::kAnswer, head);
  put32(code);
  end_record();
}

void MessageWriter::put_cname(const Head& head, std::string_view target) {
  Head cname = head;
  cname.type = kTypeCname;
  begin_record(Section::kAnswer, cname);
  put_name(target, head.form);
  end_record();
}

void MessageWriter::put_text(const Head& head, const std::vector<std::string>& strings) {
  Head text = head;
  text.type = kTypeTxt;
  begin_record(Section::kAnswer, text);
  for (const std::string& string : strings) {
    put8(static_cast<uint8_t>(string.size()));
    put_bytes(string);
  }
  end_record();
}

void MessageWriter::put_soa(const Head& head, uint32_t minimum) {
  Head soa = head;
  soa.type = kTypeSoa;
  begin_record(Section::kAuthority, soa);
  put_name("ns.example.org", head.form);
  put_name("hostmaster.example.org", head.form);
  for (const uint32_t number : {20240101U, 3600U, 600U, 86400U, minimum}) put32(number);
  end_record();
}

void MessageWriter::put_opt(uint8_t extended_rcode, std::string_view owner) {
  begin_record(Section::kAdditional, {.owner = owner,
                                      .type = kTypeOpt,
                                      .ttl = uint32_t{extended_rcode} << 24,
                                      .record_class = kUdpPayload});
  end_record();
}

std::vector<char> make_question(const IpAddress& address, std::string_view zone, RecordType type,
                                const QuestionOptions& options) {
  std::array<char, kNameBytesMax> wire;
  const std::optional<size_t> size = write_zone(zone, wire);
  LYCH_CHECK(size.has_value());
  std::vector<char> out(kQuestionBytesMax);
  const Question question{.address = address, .zone = {{wire.data(), *size}}, .type = type};
  out.resize(write_question(question, options, out));
  return out;
}

// --- The source ---

IpAddress MessageSource::address() {
  if (random_.chance(70)) return IpAddress::from_v4(static_cast<uint32_t>(random_.next()));
  IpAddress out;
  for (uint8_t& byte : out.bytes) byte = static_cast<uint8_t>(random_.next());
  return out;
}

std::string MessageSource::zone() {
  if (random_.chance(50)) return random_.pick({"zen.example.org", "bl.example", "list.dnswl.test"});
  std::string out;
  const uint64_t labels = random_.between(1, 5);
  for (uint64_t label = 0; label < labels; ++label) {
    if (label != 0) out += '.';
    const uint64_t most = random_.one_in(20) ? 34 : 12;
    for (uint64_t left = random_.between(1, most); left > 0; --left) {
      out +=
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[random_.next() % 64];
    }
  }
  return out;
}

std::vector<char> MessageSource::question() {
  QuestionOptions options;
  options.id = static_cast<uint16_t>(random_.next());
  if (random_.chance(70)) options.case_bits = random_.next();
  const RecordType type = random_.chance(65) ? RecordType::kA : RecordType::kTxt;
  const IpAddress client = address();
  return make_question(client, zone(), type, options);
}

MessageWriter::Head MessageSource::head(std::string_view owner, uint16_t type) {
  MessageWriter::Head out;
  out.owner = owner;
  out.type = type;
  out.ttl = static_cast<uint32_t>(random_.between(0, 4000));
  if (random_.one_in(40)) out.ttl = static_cast<uint32_t>(random_.next());
  if (random_.one_in(300)) out.record_class = 3;
  if (random_.one_in(8)) out.form = MessageWriter::Form::kPlain;
  return out;
}

std::string MessageSource::name() {
  return "n" + std::to_string(random_.between(0, 9999)) + random_.pick({".example.org", ".test"});
}

std::string MessageSource::bytes(size_t most) {
  std::string out(random_.between(0, most), '\0');
  for (char& c : out) c = static_cast<char>(random_.next());
  return out;
}

// Something that no question asked for.
void MessageSource::put_stranger(MessageWriter& writer, Section section) {
  const std::string owner = random_.chance(50) ? writer.asked_name() : name();
  const uint16_t type = random_.pick<uint16_t>({kTypePrivate, 1, 2, 15, 28, kTypeTxt});
  writer.begin_record(section, head(owner, type));
  if (type == 15) writer.put16(10);
  if (type == 2 || type == 15) writer.put_name(name(), MessageWriter::Form::kCompressed);
  if (type == 1) writer.put32(static_cast<uint32_t>(random_.next()));
  for (int i = 0; type == 28 && i < 4; ++i) writer.put32(static_cast<uint32_t>(random_.next()));
  if (type == kTypePrivate) writer.put_bytes(bytes(40));
  if (type == kTypeTxt)
    writer.put_bytes(
        "\x03"
        "two\x05"
        "parts");
  writer.end_record();
}

void MessageSource::put_chain_end(MessageWriter& writer, const std::string& name, RecordType type) {
  uint64_t count = random_.chance(90) ? random_.between(1, 4) : random_.between(0, 8);
  if (random_.one_in(60)) count = random_.between(kAddressesMax - 1, kAddressesMax + 1);
  for (uint64_t i = 0; i < count; ++i) {
    std::string owner = name;
    if (random_.one_in(8)) {
      for (char& c : owner) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    if (random_.one_in(20)) put_stranger(writer, Section::kAnswer);
    if (type == RecordType::kA) {
      const auto code = static_cast<uint32_t>(0x7f000000 | random_.between(0, 0xffff));
      writer.put_address(head(owner, 1), code);
      continue;
    }
    std::vector<std::string> strings(random_.chance(70) ? 1 : random_.between(0, 4));
    for (std::string& string : strings) string = bytes(random_.one_in(10) ? 255 : 60);
    writer.put_text(head(owner, kTypeTxt), strings);
  }
}

void MessageSource::put_answers(MessageWriter& writer, RecordType type) {
  uint64_t links = random_.chance(75) ? 0 : random_.between(1, 3);
  if (random_.one_in(40)) links = random_.between(4, kCnamesMax + 1);
  std::vector<std::string> names = {writer.asked_name()};
  for (uint64_t i = 0; i < links; ++i) names.push_back(name());
  if (links > 0 && random_.one_in(30)) names.back() = names[random_.next() % (names.size() - 1)];
  std::vector<size_t> order;
  for (size_t i = 0; i < names.size(); ++i) order.push_back(i);
  if (random_.one_in(5)) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.next() % i]);
  }
  for (const size_t i : order) {
    if (i + 1 < names.size()) {
      writer.put_cname(head(names[i], kTypeCname), names[i + 1]);
    } else {
      put_chain_end(writer, names[i], type);
    }
    if (random_.one_in(30)) put_stranger(writer, Section::kAnswer);
  }
}

// Authority and additional sections.
void MessageSource::put_rest(MessageWriter& writer) {
  const bool soa = random_.chance(60);
  if (random_.one_in(10)) put_stranger(writer, Section::kAuthority);
  if (soa) {
    const auto minimum = static_cast<uint32_t>(random_.between(0, 4000));
    writer.put_soa(head("example.org", kTypeSoa), minimum);
  }
  if (random_.one_in(50)) writer.put_soa(head("test", kTypeSoa), 1);
  if (random_.one_in(10)) put_stranger(writer, Section::kAdditional);
  const auto extended = static_cast<uint8_t>(random_.one_in(30) ? random_.next() : 0);
  if (random_.chance(60)) writer.put_opt(extended, random_.one_in(100) ? "test" : "");
  if (random_.one_in(100)) writer.put_opt(0);
  for (uint64_t i = random_.one_in(100) ? random_.between(50, 70) : 0; i > 0; --i) {
    put_stranger(writer, Section::kAdditional);
  }
  if (random_.one_in(30)) writer.put_bytes(bytes(20));
}

std::vector<char> MessageSource::reply(const std::vector<char>& question) {
  MessageWriter writer(question);
  auto flags = static_cast<uint16_t>(0x8100 | (random_.next() & 0x04b0));
  uint64_t rcode = random_.chance(50) ? 0 : 3;
  if (random_.one_in(8)) rcode = random_.between(0, 15);
  if (random_.one_in(30)) flags |= 0x0200;
  writer.set_flags(static_cast<uint16_t>(flags | rcode));
  const auto type = static_cast<RecordType>(question[question.size() - kQuestionTail + 1]);
  if (random_.chance(rcode == 0 ? 85 : 10)) put_answers(writer, type);
  put_rest(writer);
  return std::move(writer.bytes());
}

void MessageSource::damage_once(std::vector<char>& message) {
  if (message.size() < kHeaderBytes + 2) return;
  // Most messages have their question in the first 40 bytes; damage there ends the reading early.
  const size_t low = message.size() > 60 && random_.chance(80) ? 40 : 0;
  const size_t at = random_.between(low, message.size() - 2);
  switch (random_.next() % 9) {
    case 0:
      message[at] = static_cast<char>(message[at] ^ (1 << random_.next() % 8));
      break;
    case 1:
      message[at] = static_cast<char>(random_.next());
      break;
    case 2:
      message.resize(at);
      break;
    case 3:
      message.insert(message.begin() + static_cast<ptrdiff_t>(at), 1, '\x01');
      break;
    case 4:
      message.erase(message.begin() + static_cast<ptrdiff_t>(at));
      break;
    case 5:
      add16(message, 6 + 2 * (random_.next() % 3), random_.chance(50) ? 1 : -1);
      break;
    case 6:
      add16(message, at, random_.pick({-4, -1, 1, 4, 256}));
      break;
    case 7: {  // a pointer, near or far, sometimes forward
      const uint64_t target = random_.between(0, message.size());
      message[at] = static_cast<char>(0xc0 | (target >> 8 & 0x3f));
      message[at + 1] = static_cast<char>(target & 0xff);
      break;
    }
    default: {  // some bytes again, elsewhere
      const size_t length = std::min<size_t>(random_.between(1, 16), message.size() - at);
      const size_t target = random_.between(0, message.size() - length);
      std::memmove(message.data() + target, message.data() + at, length);
    }
  }
}

void MessageSource::damage(std::vector<char>& message) {
  for (uint64_t left = random_.between(1, 3); left > 0; --left) damage_once(message);
}

}  // namespace lychgate::dns
