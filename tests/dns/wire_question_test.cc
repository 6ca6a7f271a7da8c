// Zones and questions, byte by byte and as ldns reads them.

#include <array>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <ldns/ldns.h>
#include <strings.h>

#include "dns/wire.h"
#include "tests/dns/wire_messages.h"

namespace lychgate::dns {
namespace {

const IpAddress kClient = IpAddress::from_v4(0xcb007102);  // 203.0.113.2

std::vector<char> question() {
  return make_question(kClient, "bl.example", RecordType::kA, {.id = 0x1234, .case_bits = {}});
}

TEST(Zone, IsWrittenInWireForm) {
  const std::string label63(63, 'a');
  // Three labels of 63 with their lengths and the root are 193 bytes; room is for 191.
  const std::string widest = label63 + "." + label63 + "." + std::string(61, 'b');
  struct Row {
    const char* what;
    std::string dotted;
    std::optional<std::string> want;
  };
  using namespace std::string_literals;
  const Row rows[] = {
      {"two labels", "bl.example", "\2bl\7example\0"s},
      {"one label", "test", "\4test\0"s},
      {"letters become small", "Zen.EXAMPLE", "\3zen\7example\0"s},
      {"an empty name", "", {}},
      {"an empty label", "bl..example", {}},
      {"a dot in front", ".example", {}},
      {"a dot at the end", "example.", {}},
      {"a label of 63", label63, "\x3f" + label63 + "\0"s},
      {"a label of 64", label63 + "a", {}},
      {"191 bytes leave room for 32 nibbles", widest,
       "\x3f" + label63 + "\x3f" + label63 + "\x3d" + std::string(61, 'b') + "\0"s},
      {"192 do not", widest + "b", {}},
  };
  for (const Row& row : rows) {
    std::array<char, kNameBytesMax> out;
    const auto size = write_zone(row.dotted, out);
    ASSERT_EQ(size.has_value(), row.want.has_value()) << row.what;
    const std::string got = size ? std::string(out.data(), *size) : "";
    EXPECT_EQ(got, row.want.value_or("")) << row.what;
  }
  std::array<char, 11> tight;
  EXPECT_FALSE(write_zone("bl.example", tight)) << "the root does not fit";
  EXPECT_TRUE(write_zone("b.example", tight));
}

// "2.113.0.203." or 32 nibbles, made from the address in another way than write_question does.
std::string reversed(const IpAddress& address) {
  std::string out;
  if (address.is_v4()) {
    for (int shift = 0; shift < 32; shift += 8) {
      out += fmt::format("{}.", address.v4() >> shift & 0xff);
    }
    return out;
  }
  for (const uint64_t half : {address.low(), address.high()}) {
    for (int shift = 0; shift < 64; shift += 4) out += fmt::format("{:x}.", half >> shift & 0xf);
  }
  return out;
}

TEST(Question, HasTheseBytes) {
  using namespace std::string_literals;
  const std::string want =
      "\x12\x34\x01\0\0\1\0\0\0\0\0\1"s
      "\1\x32\3\x31\x31\x33\1\x30\3\x32\x30\x33\2bl\7example\0"s
      "\0\1\0\1"s
      "\0\0\x29\4\xd0\0\0\0\0\0\0"s;
  const std::vector<char> got = question();
  EXPECT_EQ(std::string(got.begin(), got.end()), want);
}

TEST(Question, MixesTheCaseOfLettersInOrder) {
  const auto name = [](const IpAddress& address, const char* zone, std::optional<uint64_t> bits) {
    const auto bytes = make_question(address, zone, RecordType::kA, {.case_bits = bits});
    std::string out;
    for (const char c : bytes) {
      if (std::isalpha(static_cast<unsigned char>(c)) != 0) out += c;
    }
    return out;
  };
  EXPECT_EQ(name(kClient, "BL.Example", {}), "blexample");
  EXPECT_EQ(name(kClient, "bl.example", 0), "blexample");
  EXPECT_EQ(name(kClient, "bl.example", 0b100000101), "BlExamplE");
  const std::string long_zone = std::string(60, 'a') + "." + std::string(10, 'b');
  EXPECT_EQ(name(kClient, long_zone.c_str(), 0b10001),
            "AaaaA" + std::string(55, 'a') + "bbbbBbbbBb")
      << "64 bits, then from the first";
  const IpAddress v6 = *IpAddress::parse("2001:db8::abcd");
  EXPECT_EQ(name(v6, "x.test", 0b1001), "DcbAbdxtest") << "nibbles are letters too";
}

// The test points of IPv6 lists are v4-mapped, which every other question writes as octets.
TEST(Question, WritesAMappedAddressInNibblesWhenTold) {
  std::array<char, kQuestionBytesMax> bytes{};
  const std::string zone("\1x\0", 3);
  const size_t size = write_question({.address = *IpAddress::parse("::ffff:7f00:2"),
                                      .zone = {zone},
                                      .type = RecordType::kA,
                                      .form = AddressForm::kNibbles},
                                     {.id = 0, .case_bits = {}}, bytes);
  std::string want;
  for (const char nibble : std::string("200000f7ffff") + std::string(20, '0')) {
    want += '\1';
    want += nibble;
  }
  EXPECT_EQ(std::string(bytes.data(), size).substr(kHeaderBytes, want.size()), want);
}

struct Freed {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(char* text) const { std::free(text); }
};

TEST(Question, IsReadByLdns) {
  MessageSource source(1);
  for (int i = 0; i < 5000; ++i) {
    const IpAddress address = source.address();
    const std::string zone = source.zone();
    const auto id = static_cast<uint16_t>(source.random().next());
    const RecordType type = source.random().chance(50) ? RecordType::kA : RecordType::kTxt;
    const auto bytes =
        make_question(address, zone, type, {.id = id, .case_bits = source.random().next()});
    ldns_pkt* raw = nullptr;
    ASSERT_EQ(ldns_wire2pkt(&raw, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()),
              LDNS_STATUS_OK);
    const std::unique_ptr<ldns_pkt, Freed> packet(raw);
    EXPECT_EQ(ldns_pkt_id(raw), id);
    EXPECT_FALSE(ldns_pkt_qr(raw));
    EXPECT_TRUE(ldns_pkt_rd(raw));
    EXPECT_EQ(ldns_pkt_get_opcode(raw), LDNS_PACKET_QUERY);
    ASSERT_EQ(ldns_rr_list_rr_count(ldns_pkt_question(raw)), 1U);
    const ldns_rr* asked = ldns_rr_list_rr(ldns_pkt_question(raw), 0);
    const std::unique_ptr<char, Freed> name(ldns_rdf2str(ldns_rr_owner(asked)));
    const std::string want = reversed(address) + zone + ".";
    EXPECT_EQ(strcasecmp(name.get(), want.c_str()), 0) << name.get() << " " << want;
    EXPECT_EQ(static_cast<uint16_t>(ldns_rr_get_type(asked)), static_cast<uint16_t>(type));
    EXPECT_EQ(ldns_rr_get_class(asked), LDNS_RR_CLASS_IN);
    EXPECT_EQ(ldns_pkt_edns_udp_size(raw), kUdpPayload);
    EXPECT_EQ(ldns_pkt_edns_version(raw), 0);
    EXPECT_EQ(ldns_pkt_edns_z(raw), 0);
    EXPECT_EQ(ldns_pkt_ancount(raw) + ldns_pkt_nscount(raw) + ldns_pkt_arcount(raw), 0);
  }
}

TEST(Message, HasAnIdWhenItHasAHeader) {
  const std::vector<char> bytes = question();
  EXPECT_EQ(message_id(bytes), 0x1234);
  EXPECT_EQ(message_id(std::span(bytes).first(12)), 0x1234);
  EXPECT_FALSE(message_id(std::span(bytes).first(11)));
  EXPECT_FALSE(message_id({}));
}

}  // namespace
}  // namespace lychgate::dns
