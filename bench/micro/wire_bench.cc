// Reading replies and writing questions: ours against ldns on the same packets, which ldns makes.
// What counts is the ratio of BM_Ldns... to BM_... of the same packet.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>
#include <ldns/ldns.h>

#include "dns/wire.h"

namespace lychgate::dns {
namespace {

constexpr const char* kZone = "zen.spamhaus.org";
constexpr const char* kName = "2.113.0.203.zen.spamhaus.org";
constexpr uint32_t kClient = 0xcb007102;  // 203.0.113.2
constexpr uint16_t kId = 0x1234;

struct ReplyText {
  RecordType type = RecordType::kA;
  ldns_pkt_rcode rcode = LDNS_RCODE_NOERROR;
  std::vector<std::string> answer{};
  std::vector<std::string> authority{};
};

ReplyText not_listed() {
  return {.rcode = LDNS_RCODE_NXDOMAIN,
          .authority = {"zen.spamhaus.org. 10 IN SOA need.to.know.only. "
                        "hostmaster.spamhaus.org. 2024010100 3600 600 432000 10"}};
}
ReplyText one_address() {
  return {.answer = {std::string(kName) + ". 60 IN A 127.0.0.2"}};
}
ReplyText chain() {
  const std::string target = "listed.policy.spamhaus.org.";
  return {.answer = {std::string(kName) + ". 60 IN CNAME " + target, target + " 60 IN A 127.0.0.2",
                     target + " 60 IN A 127.0.0.4", target + " 60 IN A 127.0.0.10"}};
}
ReplyText reason() {
  return {.type = RecordType::kTxt,
          .answer = {std::string(kName) +
                     ". 60 IN TXT \"https://www.spamhaus.org/query/ip/203.0.113.2\""}};
}

void push(ldns_pkt* packet, ldns_pkt_section section, const std::string& text) {
  ldns_rr* record = nullptr;
  if (ldns_rr_new_frm_str(&record, text.c_str(), 0, nullptr, nullptr) != LDNS_STATUS_OK) abort();
  ldns_pkt_push_rr(packet, section, record);
}

std::vector<char> to_wire(const ldns_pkt* packet) {
  uint8_t* wire = nullptr;
  size_t size = 0;
  if (ldns_pkt2wire(&wire, packet, &size) != LDNS_STATUS_OK) abort();
  std::vector<char> out(wire, wire + size);
  std::free(wire);
  return out;
}

ldns_pkt* ldns_question(RecordType type) {
  ldns_pkt* packet = ldns_pkt_query_new(ldns_dname_new_frm_str(kName),
                                        static_cast<ldns_rr_type>(type), LDNS_RR_CLASS_IN, LDNS_RD);
  ldns_pkt_set_id(packet, kId);
  ldns_pkt_set_edns_udp_size(packet, kUdpPayload);
  return packet;
}

std::vector<char> make_reply(const ReplyText& text) {
  ldns_pkt* packet = ldns_question(text.type);
  ldns_pkt_set_qr(packet, true);
  ldns_pkt_set_ra(packet, true);
  ldns_pkt_set_rcode(packet, text.rcode);
  for (const std::string& record : text.answer) push(packet, LDNS_SECTION_ANSWER, record);
  for (const std::string& record : text.authority) push(packet, LDNS_SECTION_AUTHORITY, record);
  std::vector<char> out = to_wire(packet);
  ldns_pkt_free(packet);
  return out;
}

struct Asker {
  std::array<char, kNameBytesMax> zone_bytes{};
  Question question;

  explicit Asker(RecordType type) {
    const size_t size = write_zone(kZone, zone_bytes).value_or(0);
    question = {IpAddress::from_v4(kClient), {{zone_bytes.data(), size}}, type};
  }
};

void BM_ReadReply(benchmark::State& state, const ReplyText& text) {
  const std::vector<char> message = make_reply(text);
  const Asker asker(text.type);
  std::vector<char> sent(kQuestionBytesMax);
  sent.resize(write_question(asker.question, {.id = kId, .case_bits = {}}, sent));
  Reply reply;
  for ([[maybe_unused]] auto _ : state) {
    std::span<const char> bytes(message);
    benchmark::DoNotOptimize(bytes);
    read_reply(bytes, sent, reply);
    benchmark::DoNotOptimize(reply);
  }
  const bool listed = text.rcode == LDNS_RCODE_NOERROR;
  if (reply.kind != (listed ? ReplyKind::kAnswer : ReplyKind::kNothing))
    state.SkipWithError("the reply was not read");
  state.counters["bytes"] = static_cast<double>(message.size());
}

void BM_LdnsWire2Pkt(benchmark::State& state, const ReplyText& text) {
  const std::vector<char> message = make_reply(text);
  for ([[maybe_unused]] auto _ : state) {
    ldns_pkt* packet = nullptr;
    ldns_wire2pkt(&packet, reinterpret_cast<const uint8_t*>(message.data()), message.size());
    benchmark::DoNotOptimize(packet);
    ldns_pkt_free(packet);
  }
}

void BM_WriteQuestion(benchmark::State& state, bool mixed) {
  const Asker asker(RecordType::kA);
  std::array<char, kQuestionBytesMax> out;
  QuestionOptions options;
  if (mixed) options.case_bits = 0x123456789abcdef0;
  for ([[maybe_unused]] auto _ : state) {
    ++options.id;
    benchmark::DoNotOptimize(write_question(asker.question, options, out));
    benchmark::ClobberMemory();
  }
}

// Name in text, packet, bytes: what a program that uses ldns for its questions does for each.
void BM_LdnsQuestion(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    ldns_pkt* packet = ldns_question(RecordType::kA);
    uint8_t* wire = nullptr;
    size_t size = 0;
    ldns_pkt2wire(&wire, packet, &size);
    benchmark::DoNotOptimize(wire);
    std::free(wire);
    ldns_pkt_free(packet);
  }
}

BENCHMARK_CAPTURE(BM_ReadReply, nxdomain, not_listed());
BENCHMARK_CAPTURE(BM_LdnsWire2Pkt, nxdomain, not_listed());
BENCHMARK_CAPTURE(BM_ReadReply, one_a, one_address());
BENCHMARK_CAPTURE(BM_LdnsWire2Pkt, one_a, one_address());
BENCHMARK_CAPTURE(BM_ReadReply, cname_3a, chain());
BENCHMARK_CAPTURE(BM_LdnsWire2Pkt, cname_3a, chain());
BENCHMARK_CAPTURE(BM_ReadReply, txt, reason());
BENCHMARK_CAPTURE(BM_LdnsWire2Pkt, txt, reason());
BENCHMARK_CAPTURE(BM_WriteQuestion, lower, false);
BENCHMARK_CAPTURE(BM_WriteQuestion, mixed, true);
BENCHMARK(BM_LdnsQuestion);

}  // namespace
}  // namespace lychgate::dns
