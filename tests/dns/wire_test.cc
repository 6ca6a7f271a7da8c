// What is read from replies, one property at a time. Random ones: wire_differential_test.cc.

#include "dns/wire.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/dns/wire_messages.h"

namespace lychgate::dns {
namespace {

using Form = MessageWriter::Form;
using Head = MessageWriter::Head;

constexpr uint32_t kListed = 0x7f000002;
constexpr const char* kZone = "bl.example";
const IpAddress kClient = IpAddress::from_v4(0xcb007102);  // 203.0.113.2

std::vector<char> question(RecordType type = RecordType::kA) {
  return make_question(kClient, kZone, type, {.id = 0x1234, .case_bits = {}});
}

using Write = std::function<void(MessageWriter&)>;

Reply read(const std::vector<char>& message, RecordType type = RecordType::kA) {
  Reply reply;
  // What is not written would show.
  reply.addresses.fill(0xdeadbeef);
  reply.text.fill('#');
  reply.kind = ReplyKind::kTruncated;
  reply.ttl = 4711;
  reply.has_soa = true;
  reply.address_count = 7;
  reply.text_size = 7;
  read_reply(message, question(type), reply);
  return reply;
}

// Kind, ttl, "soa", codes in hex, text.
std::string words(const Reply& reply) {
  constexpr const char* kKinds[] = {"answer",   "nothing", "truncated",
                                    "servfail", "refused", "malformed"};
  std::string out = kKinds[static_cast<size_t>(reply.kind)];
  if (reply.ttl != 0) out += fmt::format(" ttl {}", reply.ttl);
  if (reply.has_soa) out += " soa";
  for (const uint32_t code : reply.codes()) out += fmt::format(" {:x}", code);
  if (!reply.reason().empty()) out += fmt::format(" '{}'", reply.reason());
  return out;
}

struct Row {
  const char* what;
  Write write;
  const char* want;
};

void check(const std::vector<Row>& rows, RecordType type = RecordType::kA) {
  for (const Row& row : rows) {
    MessageWriter writer(question(type));
    row.write(writer);
    EXPECT_EQ(words(read(writer.bytes(), type)), row.want) << row.what;
  }
}

TEST(Reply, IsOfThisQuestion) {
  const auto byte = [](size_t at, int value) {
    return [=](MessageWriter& m) { m.bytes()[at] = static_cast<char>(value); };
  };
  check({
      {"as it should be", [](MessageWriter&) {}, "nothing"},
      {"another id", byte(1, 0x35), "malformed"},
      {"no reply but a question", byte(2, 0x01), "malformed"},
      {"another opcode", byte(2, 0x89), "malformed"},
      {"no question", byte(5, 0), "malformed"},
      {"two questions", byte(5, 2), "malformed"},
      {"another name", byte(13, '3'), "malformed"},
      {"a letter of another case", byte(25, 'B'), "malformed"},
      {"another type", [](MessageWriter& m) { m.bytes().rbegin()[2] = 16; }, "malformed"},
      {"another class", [](MessageWriter& m) { m.bytes().rbegin()[0] = 3; }, "malformed"},
      {"cut in the question", [](MessageWriter& m) { m.bytes().pop_back(); }, "malformed"},
      {"cut in the header", [](MessageWriter& m) { m.bytes().resize(11); }, "malformed"},
      {"empty", [](MessageWriter& m) { m.bytes().clear(); }, "malformed"},
      {"bytes behind the last record", [](MessageWriter& m) { m.put32(1); }, "nothing"},
  });
}

TEST(Reply, IsTakenByItsRcode) {
  const auto rcode = [](int code, uint8_t extended = 0) {
    return [=](MessageWriter& m) {
      m.set_flags(static_cast<uint16_t>(0x8180 | code));
      m.put_address({.owner = m.asked_name()}, kListed);
      m.put_opt(extended);
    };
  };
  check({
      {"NOERROR", rcode(0), "answer ttl 300 7f000002"},
      {"FORMERR", rcode(1), "servfail"},
      {"SERVFAIL", rcode(2), "servfail"},
      {"NXDOMAIN denies the records beside it", rcode(3), "nothing"},
      {"NOTIMP", rcode(4), "servfail"},
      {"REFUSED", rcode(5), "refused"},
      {"YXDOMAIN, which nobody sends here", rcode(6), "servfail"},
      {"NOTAUTH", rcode(9), "refused"},
      {"BADVERS is NOERROR in the header", rcode(0, 1), "servfail"},
      {"BADCOOKIE", rcode(7, 1), "servfail"},
      {"truncated before anything else",
       [](MessageWriter& m) {
         m.set_flags(0x8382);
         m.bytes()[7] = 9;  // answers that are not there
       },
       "truncated"},
  });
}

TEST(Reply, GivesAddressesAndTheLeastTtl) {
  check({
      {"one", [](MessageWriter& m) { m.put_address({.owner = m.asked_name()}, kListed); },
       "answer ttl 300 7f000002"},
      {"three, in order",
       [](MessageWriter& m) {
         m.put_address({.owner = m.asked_name(), .ttl = 90}, 0x7f00000a);
         m.put_address({.owner = m.asked_name(), .ttl = 60}, 0x7f000002);
         m.put_address({.owner = m.asked_name(), .ttl = 120}, 0x7f000004);
       },
       "answer ttl 60 7f00000a 7f000002 7f000004"},
      {"the owner without compression and in capitals",
       [](MessageWriter& m) {
         m.put_address({.owner = "2.113.0.203.BL.eXample", .form = Form::kPlain}, kListed);
       },
       "answer ttl 300 7f000002"},
      {"another owner does not count",
       [](MessageWriter& m) { m.put_address({.owner = "3.113.0.203.bl.example"}, kListed); },
       "nothing"},
      {"nor does the zone itself",
       [](MessageWriter& m) { m.put_address({.owner = "bl.example"}, kListed); }, "nothing"},
      {"a TTL with its top bit is zero (RFC 2181)",
       [](MessageWriter& m) {
         m.put_address({.owner = m.asked_name(), .ttl = 0x80000001}, kListed);
       },
       "answer 7f000002"},
      {"another class",
       [](MessageWriter& m) {
         m.put_address({.owner = m.asked_name(), .record_class = 3}, kListed);
       },
       "malformed"},
      {"other types are passed over, whatever is in them",
       [](MessageWriter& m) {
         m.begin_record(Section::kAnswer, {.owner = m.asked_name(), .type = 46});
         m.put_bytes("???");
         m.end_record();
         m.put_address({.owner = m.asked_name()}, kListed);
       },
       "answer ttl 300 7f000002"},
  });
  for (const size_t length : {0U, 3U, 5U, 16U}) {
    MessageWriter writer(question());
    writer.begin_record(Section::kAnswer, {.owner = writer.asked_name()});
    writer.put_bytes(std::string(length, '\x7f'));
    writer.end_record();
    EXPECT_EQ(words(read(writer.bytes())), "malformed") << length << " bytes of address";
  }
}

// n1 -> n2 -> ... from the asked name, `links` of them; returns the last.
std::string put_links(MessageWriter& m, int links) {
  std::string name = m.asked_name();
  for (int i = 1; i <= links; ++i) {
    const std::string next = fmt::format("n{}.example", i);
    m.put_cname({.owner = name, .ttl = 200}, next);
    name = next;
  }
  return name;
}

TEST(Reply, FollowsChains) {
  check({
      {"one link, whose TTL is less",
       [](MessageWriter& m) { m.put_address({.owner = put_links(m, 1)}, kListed); },
       "answer ttl 200 7f000002"},
      {"as many links as are followed",
       [](MessageWriter& m) { m.put_address({.owner = put_links(m, kCnamesMax)}, kListed); },
       "answer ttl 200 7f000002"},
      {"one more",
       [](MessageWriter& m) { m.put_address({.owner = put_links(m, kCnamesMax + 1)}, kListed); },
       "malformed"},
      {"a chain that ends outside", [](MessageWriter& m) { put_links(m, 2); }, "nothing"},
      {"a record of a link does not count",
       [](MessageWriter& m) {
         put_links(m, 2);
         m.put_address({.owner = "n1.example"}, kListed);
       },
       "nothing"},
      {"what an alias has beside does not count",
       [](MessageWriter& m) {
         m.put_address({.owner = m.asked_name(), .ttl = 1}, 0x7f000063);
         m.put_address({.owner = put_links(m, 1)}, kListed);
       },
       "answer ttl 200 7f000002"},
      {"not in its order",
       [](MessageWriter& m) {
         m.put_address({.owner = "n2.example", .ttl = 50}, kListed);
         m.put_cname({.owner = "n1.example"}, "n2.example");
         m.put_cname({.owner = m.asked_name()}, "N1.example");
         m.put_address({.owner = "n2.example", .ttl = 60}, 0x7f000003);
       },
       "answer ttl 50 7f000002 7f000003"},
      {"an alias of itself",
       [](MessageWriter& m) { m.put_cname({.owner = m.asked_name()}, m.asked_name()); },
       "malformed"},
      {"a longer loop",
       [](MessageWriter& m) { m.put_cname({.owner = put_links(m, 3)}, "N1.EXAMPLE"); },
       "malformed"},
      {"a target that does not fill its RDATA",
       [](MessageWriter& m) {
         m.begin_record(Section::kAnswer, {.owner = m.asked_name(), .type = kTypeCname});
         m.put_name("n1.example", Form::kPlain);
         m.put8(0);
         m.end_record();
       },
       "malformed"},
  });
}

TEST(Reply, KnowsHowLongThereIsNothing) {
  const auto nothing = [](const Write& write) {
    return [=](MessageWriter& m) {
      m.set_flags(0x8183);
      write(m);
    };
  };
  const Head soa = {.owner = "example", .type = kTypeSoa, .ttl = 100};
  check({
      {"without an SOA", nothing([](MessageWriter&) {}), "nothing"},
      {"MINIMUM is less", nothing([&](MessageWriter& m) { m.put_soa(soa, 30); }),
       "nothing ttl 30 soa"},
      {"its TTL is less", nothing([&](MessageWriter& m) { m.put_soa(soa, 900); }),
       "nothing ttl 100 soa"},
      {"zero is known", nothing([&](MessageWriter& m) { m.put_soa(soa, 0); }), "nothing soa"},
      {"the first of two", nothing([&](MessageWriter& m) {
         m.put_soa(soa, 50);
         m.put_soa(soa, 30);
       }),
       "nothing ttl 50 soa"},
      {"behind a link that lives less long", nothing([&](MessageWriter& m) {
         m.put_cname({.owner = m.asked_name(), .ttl = 20}, "n1.example");
         m.put_soa(soa, 50);
       }),
       "nothing ttl 20 soa"},
      {"NOERROR without a record", [&](MessageWriter& m) { m.put_soa(soa, 30); },
       "nothing ttl 30 soa"},
      {"of an answer it says nothing",
       [&](MessageWriter& m) {
         m.put_address({.owner = m.asked_name()}, kListed);
         m.put_soa(soa, 30);
       },
       "answer ttl 300 7f000002"},
      {"an SOA that is cut", nothing([](MessageWriter& m) {
         m.begin_record(Section::kAuthority, {.owner = "example", .type = kTypeSoa});
         m.put_name("a.example", Form::kPlain);
         m.put_name("b.example", Form::kPlain);
         m.put_bytes(std::string(19, '\0'));
         m.end_record();
       }),
       "malformed"},
  });
}

TEST(Reply, GivesTheFirstText) {
  const std::string half(130, 'x');
  const std::string full(255, 'y');
  const std::string cut = half + std::string(125, 'x');
  const std::string want_cut = "answer ttl 300 '" + cut + "'";
  const std::string want_full = "answer ttl 300 '" + full + "'";
  check(
      {
          {"one string",
           [](MessageWriter& m) { m.put_text({.owner = m.asked_name()}, {"Listed, see URL"}); },
           "answer ttl 300 'Listed, see URL'"},
          {"strings are joined",
           [](MessageWriter& m) {
             m.put_text({.owner = m.asked_name()}, {"one ", "", "two"});
           },
           "answer ttl 300 'one two'"},
          {"the first record, and the TTL of all",
           [](MessageWriter& m) {
             m.put_text({.owner = m.asked_name()}, {"first"});
             m.put_text({.owner = m.asked_name(), .ttl = 5}, {"second"});
           },
           "answer ttl 5 'first'"},
          {"of the chain's end",
           [](MessageWriter& m) {
             m.put_text({.owner = "n9.example"}, {"stranger"});
             m.put_text({.owner = put_links(m, 1)}, {"end"});
           },
           "answer ttl 200 'end'"},
          {"all that fits",
           [&](MessageWriter& m) { m.put_text({.owner = m.asked_name()}, {full}); },
           want_full.c_str()},
          {"cut at 255 bytes",
           [&](MessageWriter& m) {
             m.put_text({.owner = m.asked_name()}, {half, half, half});
           },
           want_cut.c_str()},
          {"an empty string", [](MessageWriter& m) { m.put_text({.owner = m.asked_name()}, {""}); },
           "answer ttl 300"},
          {"no string", [](MessageWriter& m) { m.put_text({.owner = m.asked_name()}, {}); },
           "malformed"},
          {"a string longer than its record",
           [](MessageWriter& m) {
             m.begin_record(Section::kAnswer, {.owner = m.asked_name(), .type = kTypeTxt});
             m.put_bytes(
                 "\x04"
                 "abc");
             m.end_record();
             m.put_opt(0);
           },
           "malformed"},
          {"an address was not asked for",
           [](MessageWriter& m) { m.put_address({.owner = m.asked_name()}, kListed); }, "nothing"},
      },
      RecordType::kTxt);
}

TEST(Reply, HasBounds) {
  const auto addresses = [](size_t count) {
    return [=](MessageWriter& m) {
      for (size_t i = 0; i < count; ++i) m.put_address({.owner = m.asked_name()}, kListed);
    };
  };
  const auto others = [](int count) {
    return [=](MessageWriter& m) {
      for (int i = 0; i < count; ++i) {
        m.begin_record(kSections[i % 3], {.owner = "x.test", .type = kTypePrivate});
        m.end_record();
      }
    };
  };
  check({{"more addresses than are kept", addresses(kAddressesMax + 1), "malformed"},
         {"as many records as are walked", others(kRecordsMax), "nothing"},
         {"one more", others(kRecordsMax + 1), "malformed"}});
  MessageWriter full(question());
  addresses(kAddressesMax)(full);
  EXPECT_EQ(read(full.bytes()).address_count, kAddressesMax);
}

TEST(Reply, HasOneOptOfTheRoot) {
  check({
      {"one", [](MessageWriter& m) { m.put_opt(0); }, "nothing"},
      {"two",
       [](MessageWriter& m) {
         m.put_opt(0);
         m.put_opt(0);
       },
       "malformed"},
      {"of a name", [](MessageWriter& m) { m.put_opt(0, "example"); }, "malformed"},
  });
}

// A record whose owner is written by hand.
Write owner_bytes(std::string bytes) {
  return [bytes = std::move(bytes)](MessageWriter& m) {
    m.begin_record(Section::kAdditional, {.owner = "", .type = kTypePrivate});
    m.end_record();
    std::vector<char>& all = m.bytes();
    all.erase(all.end() - 11);  // the root that was its owner
    all.insert(all.end() - 10, bytes.begin(), bytes.end());
  };
}

std::string pointer(size_t target) {
  return {static_cast<char>(0xc0 | target >> 8), static_cast<char>(target & 0xff)};
}

TEST(Reply, HasSoundNames) {
  using namespace std::string_literals;
  const size_t here = question().size() - 11;  // where the first record begins
  const std::string label = "\x3f" + std::string(63, 'a');
  check({
      {"a pointer to the question", owner_bytes(pointer(12)), "nothing"},
      {"a label, then a pointer", owner_bytes("\1x" + pointer(12)), "nothing"},
      {"into the header, whose zero could be taken for a root", owner_bytes(pointer(8)),
       "malformed"},
      {"to itself", owner_bytes(pointer(here)), "malformed"},
      {"forward", owner_bytes(pointer(here + 4)), "malformed"},
      {"to the label before it: a loop", owner_bytes("\1x" + pointer(here)), "malformed"},
      {"behind the message", owner_bytes(pointer(0x3fff)), "malformed"},
      {"a label type of RFC 2673", owner_bytes("\x41\1\0"s), "malformed"},
      {"the other one that is not used", owner_bytes("\x80\0"s), "malformed"},
      {"255 bytes", owner_bytes(label + label + label + "\x3d" + std::string(61, 'b') + "\0"s),
       "nothing"},
      {"256 bytes", owner_bytes(label + label + label + "\x3e" + std::string(62, 'b') + "\0"s),
       "malformed"},
      {"256 bytes by a pointer",
       owner_bytes(label + label + label + "\x2b" + std::string(43, 'b') + pointer(12)),
       "malformed"},
      {"255 bytes by a pointer",
       owner_bytes(label + label + label + "\x25" + std::string(37, 'b') + pointer(12)), "nothing"},
      {"a label longer than the message",
       owner_bytes("\x3f"
                   "aa"),
       "malformed"},
  });
}

TEST(Reply, FollowsFewPointersToPointers) {
  // In one RDATA that nobody reads: a pointer to the question, then pointers each to the one
  // before.
  for (const auto& [hops, want] : {std::pair{127, "nothing"}, std::pair{128, "malformed"}}) {
    MessageWriter writer(question());
    writer.begin_record(Section::kAdditional, {.owner = "", .type = kTypePrivate});
    size_t target = 24;  // "bl.example"
    for (int i = 1; i < hops; ++i) {
      const size_t here = writer.bytes().size();
      writer.put_bytes(pointer(target));
      target = here;
    }
    writer.end_record();
    owner_bytes(pointer(target))(writer);
    EXPECT_EQ(words(read(writer.bytes())), want) << hops;
  }
}

// Offsets beyond 14 bits must not be taken for pointers to what is 16 kB before them.
TEST(Reply, OfManyBytesIsReadRightly) {
  MessageWriter writer(question());
  writer.begin_record(Section::kAnswer, {.owner = "x.test", .type = kTypePrivate});
  writer.put_bytes(std::string(0x4000 - 46, '\0'));
  writer.end_record();
  writer.put_cname({.owner = writer.asked_name()}, "far.example");
  writer.put_address({.owner = writer.asked_name()}, 0x7f000063);
  writer.put_address({.owner = "far.example", .form = Form::kPlain}, kListed);
  EXPECT_EQ(words(read(writer.bytes())), "answer ttl 300 7f000002");
}

// Wherever it is cut, a message is malformed, and nothing behind the cut is read.
TEST(Reply, MayBeCutAnywhere) {
  MessageWriter writer(question());
  writer.put_address({.owner = put_links(writer, 2)}, kListed);
  writer.put_soa({.owner = "example"}, 30);
  writer.put_opt(0);
  ASSERT_EQ(read(writer.bytes()).kind, ReplyKind::kAnswer);
  for (size_t size = 0; size < writer.bytes().size(); ++size) {
    const std::vector<char> cut(writer.bytes().begin(),
                                writer.bytes().begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(words(read(cut)), "malformed") << size;
  }
}

}  // namespace
}  // namespace lychgate::dns
