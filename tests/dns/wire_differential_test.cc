// read_reply against ldns on a million messages, most of them plausible, half of them damaged: the
// same are accepted and the same is read from them, but for the differences that are contract.
// LYCHGATE_WIRE_SEED=n begins with that seed; a failure names the seed of its message.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dns/wire.h"
#include "tests/dns/wire_messages.h"
#include "tests/dns/wire_reference.h"

namespace lychgate::dns {
namespace {

#ifdef NDEBUG
constexpr uint64_t kMessages = 1'000'000;
#else
constexpr uint64_t kMessages = 100'000;  // unoptimised, or with sanitizers
#endif
constexpr uint64_t kMessagesPerSeed = 100;
constexpr uint64_t kReplyKinds = 6;

struct Counts {
  uint64_t messages = 0;
  uint64_t same_refusal = 0;
  std::array<uint64_t, kReplyKinds> kinds{};
  std::array<uint64_t, kStricterCount> stricter{};
  uint64_t unread_rdata = 0;    // ldns refuses or misreads what we do not read
  uint64_t truncated = 0;       // ldns refuses what follows a question that was cut off
  uint64_t rdata_misleads = 0;  // ldns accepts, by reading on at a wrong place
  uint64_t unexplained = 0;
};

std::string in_hex(const std::vector<char>& bytes) {
  std::string out;
  for (const char c : bytes) {
    char text[4];
    std::snprintf(text, sizeof(text), "%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
    out += text;
  }
  return out;
}

// Which contract a different acceptance is of. False: none.
bool explain(const ReferenceReading& want, const Reply& got, Counts& counts) {
  const bool refused = got.kind == ReplyKind::kMalformed;
  if (want.whole != refused) return true;  // no difference
  if (!refused) {
    if (want.kind == ReplyKind::kTruncated) return ++counts.truncated;
    return (want.odd_rdata || want.has_tsig) && ++counts.unread_rdata;
  }
  for (size_t i = 0; i < kStricterCount; ++i) {
    if (want.stricter[i]) ++counts.stricter[i];
  }
  if (want.stricter.any()) return true;
  return (want.odd_rdata || want.has_tsig) && ++counts.rdata_misleads;
}

std::string difference(const ReferenceReading& want, const Reply& got) {
  if (want.malformed()) return got.kind == ReplyKind::kMalformed ? "" : "accepted";
  if (got.kind != want.kind) return "kind " + std::to_string(static_cast<int>(got.kind));
  if (got.ttl != want.ttl) return "ttl " + std::to_string(got.ttl);
  if (got.has_soa != want.has_soa) return "SOA";
  const std::vector<uint32_t> codes(got.codes().begin(), got.codes().end());
  if (codes != want.addresses) return "addresses";
  if (got.reason() != want.text) return "text";
  return "";
}

void compare(const std::vector<char>& message, const std::vector<char>& question, Counts& counts) {
  Reply got;
  read_reply(message, question, got);
  const ReferenceReading want = read_with_ldns(message, question);
  ++counts.messages;
  ++counts.kinds[static_cast<size_t>(got.kind)];
  if (got.kind == ReplyKind::kMalformed && !want.whole) ++counts.same_refusal;
  ASSERT_EQ(difference(want, got), "") << "wanted kind " << static_cast<int>(want.kind) << "\n"
                                       << in_hex(question) << "\n"
                                       << in_hex(message);
  // The record-by-record reference is itself held to what ldns says of the whole.
  const bool plain = !want.odd_rdata && !want.has_tsig && want.kind != ReplyKind::kTruncated &&
                     !want.stricter[static_cast<size_t>(Stricter::kNotTheReply)];
  ASSERT_TRUE(!plain || want.framed == want.whole) << in_hex(message);
  if (!explain(want, got, counts)) {
    ++counts.unexplained;
    ADD_FAILURE() << "unexplained, ldns " << want.whole << "\n" << in_hex(message);
  }
}

void print(const Counts& counts) {
  constexpr const char* kKinds[] = {"answer",   "nothing", "truncated",
                                    "servfail", "refused", "malformed"};
  const auto line = [](const char* what, uint64_t count) {
    std::printf("%-52s %llu\n", what, static_cast<unsigned long long>(count));
  };
  line("messages", counts.messages);
  for (size_t i = 0; i < kReplyKinds; ++i) line(kKinds[i], counts.kinds[i]);
  line("refused by both", counts.same_refusal);
  for (size_t i = 0; i < kStricterCount; ++i) {
    line((std::string("ldns accepts, we do not: ") + kStricterNames[i]).c_str(),
         counts.stricter[i]);
  }
  line("ldns accepts by reading on at a wrong place", counts.rdata_misleads);
  line("we accept, ldns does not: RDATA that is not read", counts.unread_rdata);
  line("we accept, ldns does not: behind a TC bit", counts.truncated);
  line("unexplained", counts.unexplained);
}

TEST(WireDifferential, ReadsAMillionMessagesAsLdnsDoes) {
  const char* text = std::getenv("LYCHGATE_WIRE_SEED");
  uint64_t seed = text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
  Counts counts;
  for (; counts.messages < kMessages; ++seed) {
    SCOPED_TRACE("LYCHGATE_WIRE_SEED=" + std::to_string(seed));
    MessageSource source(seed);
    for (uint64_t i = 0; i < kMessagesPerSeed; ++i) {
      const std::vector<char> question = source.question();
      std::vector<char> message = source.reply(question);
      if (source.random().chance(50)) source.damage(message);
      compare(message, question, counts);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  print(counts);
  EXPECT_EQ(counts.unexplained, 0U);
  // What never happens here is not compared here.
  for (size_t i = 0; i < kReplyKinds; ++i) EXPECT_GT(counts.kinds[i], 0U) << i;
  for (size_t i = 0; i < kStricterCount; ++i)
    EXPECT_GT(counts.stricter[i], 0U) << kStricterNames[i];
  EXPECT_GT(counts.unread_rdata, 0U);
  EXPECT_GT(counts.truncated, 0U);
  EXPECT_GT(counts.same_refusal, counts.messages / 100);
}

}  // namespace
}  // namespace lychgate::dns
