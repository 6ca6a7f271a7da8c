// Syntax and meaning of the access list, as tables; the random comparison is access_model_test.cc.

#include "core/admission/access_list.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

constexpr AccessResult kNo = AccessResult::kDunno;
constexpr AccessResult kYes = AccessResult::kPermit;
constexpr AccessResult kBad = AccessResult::kReject;

struct Row {
  const char* what;
  std::string_view text;
  const char* address;
  AccessResult want;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto list = AccessList::parse(row.text);
    if (!list) {
      ADD_FAILURE() << row.what << ": line " << list.error()[0].line << ": "
                    << list.error()[0].text;
      continue;
    }
    EXPECT_EQ(list->lookup(IpAddress::parse(row.address).value()), row.want) << row.what;
  }
}

TEST(AccessList, ReadsLinesAsPostfixDoes) {
  check({
      {"an empty text is an empty list", "", "192.0.2.1", kNo},
      {"only comments and blank lines", "# a\n\n   \n  # b\n", "192.0.2.1", kNo},
      {"a network", "192.0.2.0/24 permit\n", "192.0.2.200", kYes},
      {"a bare address", "192.0.2.1 reject\n", "192.0.2.1", kBad},
      {"a bare address is only itself", "192.0.2.1 reject\n", "192.0.2.2", kNo},
      {"the last line needs no line end", "192.0.2.1 reject", "192.0.2.1", kBad},
      {"lines ended as on Windows", "192.0.2.1 reject\r\n\r\n", "192.0.2.1", kBad},
      {"results in any case", "192.0.2.1 ReJecT", "192.0.2.1", kBad},
      {"tabs and trailing space", "192.0.2.1\t \tpermit \t\n", "192.0.2.1", kYes},
      {"a line continued by leading space", "192.0.2.1\n  permit\n", "192.0.2.1", kYes},
      {"continued over a comment and a blank line", "192.0.2.1\n# why\n\n\tpermit", "192.0.2.1",
       kYes},
      {"the line after a continuation is a new one", "192.0.2.1\n permit\n192.0.2.2 reject",
       "192.0.2.2", kBad},
      {"brackets around the address", "[192.0.2.0]/24 permit", "192.0.2.9", kYes},
      {"brackets around the network", "[2001:db8::/32] permit", "2001:db8::9", kYes},
      {"brackets around a bare address", "[2001:db8::1] permit", "2001:db8::1", kYes},
      {"IPv6 in any case", "2001:DB8::/32 permit", "2001:db8:ffff::", kYes},
      {"prefix 0 is every IPv4 address", "0.0.0.0/0 reject", "255.255.255.255", kBad},
      {"prefix 0 is every IPv6 address", "::/0 reject", "ffff::ffff", kBad},
      {"prefix 32", "192.0.2.1/32 reject", "192.0.2.1", kBad},
      {"prefix 128", "2001:db8::1/128 reject", "2001:db8::1", kBad},
      {"the last address of a network", "192.0.2.0/25 reject", "192.0.2.127", kBad},
      {"one past the last address", "192.0.2.0/25 reject", "192.0.2.128", kNo},
  });
}

TEST(AccessList, TakesTheFirstMatchInFileOrder) {
  check({
      {"the wider network first hides the narrower", "10.0.0.0/8 permit\n10.1.1.1 reject",
       "10.1.1.1", kYes},
      {"the narrower first is an exception", "10.1.1.1 reject\n10.0.0.0/8 permit", "10.1.1.1",
       kBad},
      {"and the wider holds around it", "10.1.1.1 reject\n10.0.0.0/8 permit", "10.1.1.2", kYes},
      {"dunno ends the search too", "10.1.1.1 dunno\n10.0.0.0/8 reject", "10.1.1.1", kNo},
      {"the same pattern twice: the first", "10.1.1.1 permit\n10.1.1.1 reject", "10.1.1.1", kYes},
  });
}

TEST(AccessList, KeepsTheFamiliesApart) {
  check({
      {"every IPv6 address is no IPv4 address", "::/0 reject", "192.0.2.1", kNo},
      {"every IPv4 address is no IPv6 address", "0.0.0.0/0 reject", "2001:db8::1", kNo},
      {"not an IPv4 network is still no IPv6 address", "!10.0.0.0/8 reject", "2001:db8::1", kNo},
      {"not an IPv6 network is still no IPv4 address", "!2001:db8::/32 reject", "10.1.1.1", kNo},
      {"a mapped pattern is IPv6 and matches no IPv4 client", "::ffff:192.0.2.1 reject",
       "192.0.2.1", kNo},
      {"a mapped client is the IPv4 client", "192.0.2.1 reject", "::ffff:192.0.2.1", kBad},
  });
}

TEST(AccessList, Negates) {
  check({
      {"outside", "!10.0.0.0/8 reject", "11.0.0.0", kBad},
      {"outside, below", "!10.0.0.0/8 reject", "9.255.255.255", kBad},
      {"inside", "!10.0.0.0/8 reject", "10.0.0.0", kNo},
      {"twice is none", "!!10.0.0.0/8 reject", "10.0.0.0", kBad},
      {"space after the mark", "! 10.0.0.0/8 reject", "11.0.0.0", kBad},
      {"not everything is nothing", "!0.0.0.0/0 reject", "10.0.0.0", kNo},
      {"not the first address", "!0.0.0.0 reject", "0.0.0.1", kBad},
      {"not the last address", "!255.255.255.255 reject", "255.255.255.254", kBad},
  });
}

TEST(AccessList, FollowsIfBlocks) {
  check({
      {"inside the condition", "if 10.0.0.0/8\n0.0.0.0/0 reject\nendif", "10.1.1.1", kBad},
      {"outside the condition", "if 10.0.0.0/8\n0.0.0.0/0 reject\nendif", "11.1.1.1", kNo},
      {"no rule inside matched: goes on after it",
       "if 10.0.0.0/8\n10.9.9.9 reject\nendif\n10.0.0.0/8 permit", "10.1.1.1", kYes},
      {"if not", "if !10.0.0.0/8\n0.0.0.0/0 reject\nendif", "11.1.1.1", kBad},
      {"if not, the other side", "if !10.0.0.0/8\n0.0.0.0/0 reject\nendif", "10.1.1.1", kNo},
      {"no space before the mark", "if!10.0.0.0/8\n0.0.0.0/0 reject\nendif", "11.1.1.1", kBad},
      {"keywords in any case", "IF 10.0.0.0/8\n0.0.0.0/0 reject\nEndIf", "10.1.1.1", kBad},
      {"nested: both hold", "if 10.0.0.0/8\nif !10.1.0.0/16\n0.0.0.0/0 reject\nendif\nendif",
       "10.2.0.0", kBad},
      {"nested: only the outer holds",
       "if 10.0.0.0/8\nif !10.1.0.0/16\n0.0.0.0/0 reject\nendif\nendif", "10.1.0.0", kNo},
      {"after the inner endif the outer still holds",
       "if 10.0.0.0/8\nif 10.1.0.0/16\nendif\n0.0.0.0/0 reject\nendif", "11.0.0.0", kNo},
      {"an if of the other family skips the block", "if 2001:db8::/32\n0.0.0.0/0 reject\nendif",
       "10.1.1.1", kNo},
      {"a negated if of the other family skips it too",
       "if !2001:db8::/32\n0.0.0.0/0 reject\nendif", "10.1.1.1", kNo},
      {"a rule of the other family inside never matches", "if 10.0.0.0/8\n::/0 reject\nendif",
       "2001:db8::1", kNo},
      {"an if of the other family inside shuts both out",
       "if 10.0.0.0/8\nif ::/0\n0.0.0.0/0 reject\n::/0 reject\nendif\nendif", "10.1.1.1", kNo},
      {"a continued if", "if\n 10.0.0.0/8\n0.0.0.0/0 reject\nendif", "10.1.1.1", kBad},
  });
}

TEST(AccessList, NamesEveryBadLine) {
  struct Bad {
    const char* what;
    std::string_view text;
    size_t line;
    const char* says;
  };
  const Bad rows[] = {
      {"no address", "\nexample.org reject", 2, "\"example.org\" is no address or network"},
      {"no result", "192.0.2.1", 1, "the missing result must be permit, reject or dunno"},
      {"an unknown result", "192.0.2.1 OK", 1, "\"OK\" must be permit, reject or dunno"},
      {"a comment after the rule is part of the result", "192.0.2.1 permit # x", 1,
       "\"permit # x\" must be permit, reject or dunno"},
      {"IPv4 host bits", "10.1.0.0/8 permit", 1, "host bits set; write 10.0.0.0/8"},
      {"IPv6 host bits", "2001:db8::1/32 permit", 1, "host bits set; write 2001:db8::/32"},
      {"host bits under prefix 0", "0.0.0.1/0 permit", 1, "host bits set; write 0.0.0.0/0"},
      {"an IPv4 prefix too long", "10.0.0.0/33 permit", 1, "a number from 0 to 32"},
      {"an IPv6 prefix too long", "::/129 permit", 1, "a number from 0 to 128"},
      {"a negative prefix", "10.0.0.0/-1 permit", 1, "a number from 0 to 32"},
      {"an empty prefix", "10.0.0.0/ permit", 1, "a number from 0 to 32"},
      {"a prefix beyond all numbers", "10.0.0.0/99999999999999 permit", 1, "from 0 to 32"},
      {"a netmask", "10.0.0.0/255.0.0.0 permit", 1, "a number from 0 to 32"},
      {"an open bracket", "[10.0.0.0/8 permit", 1, "is no address"},
      {"text after the bracket", "[10.0.0.0]8 permit", 1, "is no address"},
      {"two prefixes", "[10.0.0.0/8]/8 permit", 1, "is no address"},
      {"only a mark", "! permit", 1, "is no address"},
      {"leading space with nothing to continue", "# x\n 10.0.0.0/8 permit", 2, "there is none"},
      {"a continued line is named by its start", "\n10.0.0.0/8\n  perm\n  it", 2, "permit, reject"},
      {"if without a pattern", "if\nendif", 1, "is no address"},
      {"if with a result", "if 10.0.0.0/8 permit\nendif", 1, "number from 0 to 32"},
      {"if without endif", "10.0.0.1 permit\nif 10.0.0.0/8\n10.0.0.2 permit", 2, "has no endif"},
      {"endif without if", "10.0.0.1 permit\nendif", 2, "this endif has no if"},
      {"text after endif", "if 10.0.0.0/8\nendif 10.0.0.0/8", 2, "nothing may follow endif"},
      {"control bytes are not repeated", "\x1b[31m permit", 1, "\"?[31m\""},
  };
  for (const Bad& row : rows) {
    const auto list = AccessList::parse(row.text);
    ASSERT_FALSE(list.has_value()) << row.what;
    ASSERT_EQ(list.error().size(), 1U) << row.what;
    EXPECT_EQ(list.error()[0].line, row.line) << row.what;
    EXPECT_NE(list.error()[0].text.find(row.says), std::string::npos)
        << row.what << ", got: " << list.error()[0].text;
  }
}

TEST(AccessList, ReportsAllBadLinesAtOnceUpToABound) {
  std::string text;
  for (int i = 0; i < 250; ++i) text += "10.0.0.1 permit\nbad reject\n";
  const auto list = AccessList::parse(text);
  ASSERT_FALSE(list.has_value());
  ASSERT_EQ(list.error().size(), kAccessProblemsMax + 1);
  EXPECT_EQ(list.error()[0].line, 2U);
  EXPECT_EQ(list.error()[99].line, 200U);
  EXPECT_EQ(list.error()[100].line, 202U);
  EXPECT_EQ(list.error()[100].text, "150 more bad lines are not shown");
}

TEST(AccessList, ChecksRulesInsideABadIf) {
  const auto list = AccessList::parse("if nonsense\n10.0.0.1 maybe\nendif\n");
  ASSERT_FALSE(list.has_value());
  EXPECT_EQ(list.error().size(), 2U) << "the if and the rule, but not the endif";
}

TEST(AccessList, BoundsTheNesting) {
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += fmt::format("if !10.0.{}.0/24\n", i);
    text += "0.0.0.0/0 reject\n";
    for (int i = 0; i < depth; ++i) text += "endif\n";
    return text;
  };
  const auto deepest = AccessList::parse(nested(64));
  ASSERT_TRUE(deepest.has_value());
  EXPECT_EQ(deepest->lookup(IpAddress::parse("10.0.63.1").value()), kNo);
  EXPECT_EQ(deepest->lookup(IpAddress::parse("10.0.64.1").value()), kBad);
  const auto deeper = AccessList::parse(nested(65));
  ASSERT_FALSE(deeper.has_value());
  EXPECT_EQ(deeper.error().size(), 1U);
  EXPECT_EQ(deeper.error()[0].text, "if blocks are nested deeper than 64");
}

TEST(AccessList, CountsItsRules) {
  const auto list = AccessList::parse("# c\nif 10.0.0.0/8\n10.0.0.1 permit\nendif\n::1 dunno\n");
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->rules(), 2U);
  EXPECT_GT(list->bytes(), 0U);
}

constexpr std::string_view kBothFamilies =
    "10.0.0.0/8 permit\n192.0.2.1 reject\n2001:db8::/32 reject\n::/0 permit\n";

// A copy of the list's image as another process would map it.
class Mapped {
 public:
  explicit Mapped(const AccessList& list) : lines_(list.bytes() / sizeof(Line)) {
    std::memcpy(lines_.data(), list.image().data(), list.bytes());
  }
  std::span<uint8_t> bytes() { return {lines_.data()->bytes.data(), lines_.size() * sizeof(Line)}; }

 private:
  struct alignas(kTableAlignment) Line {
    std::array<uint8_t, kTableAlignment> bytes;
  };
  std::vector<Line> lines_;
};

TEST(AccessList, IsReadFromItsImageInPlace) {
  for (const std::string_view text : {kBothFamilies, std::string_view()}) {
    const auto list = AccessList::parse(text);
    ASSERT_TRUE(list.has_value());
    Mapped memory(*list);
    const auto read = AccessList::from_image(memory.bytes());
    ASSERT_TRUE(read.has_value()) << read.error().text;
    EXPECT_EQ(read->image().data(), memory.bytes().data()) << "nothing is copied";
    EXPECT_EQ(read->rules(), list->rules());
    EXPECT_EQ(read->bytes(), list->bytes());
    for (const char* address : {"10.1.1.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001::"}) {
      const IpAddress client = IpAddress::parse(address).value();
      EXPECT_EQ(read->lookup(client), list->lookup(client)) << address;
    }
  }
}

TEST(AccessList, ACopyReadsTheSameBytesWhenTheFirstIsGone) {
  AccessList copy;
  EXPECT_EQ(copy.lookup(IpAddress::parse("10.1.1.1").value()), kNo);
  {
    const AccessList list = *AccessList::parse(kBothFamilies);
    copy = list;
    EXPECT_EQ(copy.image().data(), list.image().data());
  }
  EXPECT_EQ(copy.lookup(IpAddress::parse("10.1.1.1").value()), kYes);
}

TEST(AccessList, RefusesAnImageThatItCannotRead) {
  using Bytes = std::span<uint8_t>;
  const auto put = [](Bytes bytes, size_t at, uint64_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return bytes;
  };
  // Of the header: magic and version 4 bytes each, then 8 each: rules, segments of IPv4, of IPv6.
  constexpr size_t kVersionAt = 4;
  constexpr size_t kV4At = 16;
  constexpr size_t kV6At = 24;
  const struct {
    const char* what;
    std::function<Bytes(Bytes)> damage;
    const char* says;
  } rows[] = {
      {"no bytes", [](Bytes bytes) { return bytes.first(0); }, "shorter than its header"},
      {"half a header", [](Bytes bytes) { return bytes.first(32); }, "shorter than its header"},
      {"the header alone", [](Bytes bytes) { return bytes.first(64); }, "its header contradicts"},
      {"the last line missing", [](Bytes bytes) { return bytes.first(bytes.size() - 64); },
       "its header contradicts"},
      {"the last byte missing", [](Bytes bytes) { return bytes.first(bytes.size() - 1); },
       "its header contradicts"},
      {"not at the beginning of a line", [](Bytes bytes) { return bytes.subspan(8); },
       "not aligned"},
      {"text", [](Bytes bytes) { return bytes[0] = '#', bytes; }, "not one at all"},
      {"a later version", [](Bytes bytes) { return ++bytes[kVersionAt], bytes; },
       "another version"},
      {"no IPv4 segments", [&](Bytes bytes) { return put(bytes, kV4At, 0); }, "contradicts"},
      {"no IPv6 segments", [&](Bytes bytes) { return put(bytes, kV6At, 0); }, "contradicts"},
      {"too many for the bytes", [&](Bytes bytes) { return put(bytes, kV4At, 17); }, "contradicts"},
      {"too many for any sum", [&](Bytes bytes) { return put(bytes, kV6At, ~uint64_t{0}); },
       "contradicts"},
      {"families exchanged", [&](Bytes bytes) { return put(put(bytes, kV4At, 100), kV6At, 5); },
       "contradicts"},
  };
  const auto list = AccessList::parse(kBothFamilies);
  ASSERT_TRUE(list.has_value());
  for (const auto& row : rows) {
    Mapped memory(*list);
    const auto read = AccessList::from_image(row.damage(memory.bytes()));
    ASSERT_FALSE(read.has_value()) << row.what;
    EXPECT_NE(read.error().text.find(row.says), std::string::npos)
        << row.what << ", got: " << read.error().text;
  }
}

TEST(AccessList, OfABrokenTableTheResultsAreWrongAndNoWorse) {
  const auto list = AccessList::parse(kBothFamilies);
  ASSERT_TRUE(list.has_value());
  for (const int fill : {0x00, 0x7f, 0xff}) {
    Mapped memory(*list);
    std::memset(memory.bytes().data() + 64, fill, memory.bytes().size() - 64);
    const auto read = AccessList::from_image(memory.bytes());
    ASSERT_TRUE(read.has_value()) << read.error().text;
    for (const char* address : {"0.0.0.0", "10.1.1.1", "255.255.255.255", "::", "ffff::ffff"}) {
      EXPECT_LE(read->lookup(IpAddress::parse(address).value()), kBad) << fill << address;
    }
  }
}

}  // namespace
}  // namespace lychgate::admission
