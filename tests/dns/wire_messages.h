// DNS messages for tests: a writer that puts down what it is told, right or wrong, and a source of
// random questions, plausible replies and damage, all from one seed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dns/wire.h"
#include "tests/sim/random.h"

namespace lychgate::dns {

inline constexpr uint16_t kTypeCname = 5;
inline constexpr uint16_t kTypeSoa = 6;
inline constexpr uint16_t kTypeTxt = 16;
inline constexpr uint16_t kTypeOpt = 41;
inline constexpr uint16_t kTypePrivate =
    65280;  // RFC 6895: for private use; nobody knows its RDATA

enum class Section : uint8_t { kAnswer, kAuthority, kAdditional };
inline constexpr Section kSections[] = {Section::kAnswer, Section::kAuthority,
                                        Section::kAdditional};

// Writes a reply from front to back. Names are dotted text without a final dot, "" is the root.
class MessageWriter {
 public:
  // Header and question are copied from `question`; no records yet, NOERROR.
  explicit MessageWriter(const std::vector<char>& question);

  std::vector<char>& bytes() { return bytes_; }
  void set_flags(uint16_t flags);
  // Of the name as the question wrote it.
  const std::string& asked_name() const { return asked_name_; }

  enum class Form : uint8_t { kPlain, kCompressed };
  void put_name(std::string_view name, Form form);
  void put8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void put16(uint16_t value);
  void put32(uint32_t value);
  void put_bytes(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }

  struct Head {
    std::string_view owner{};
    uint16_t type = 1;
    uint32_t ttl = 300;
    uint16_t record_class = 1;
    Form form = Form::kCompressed;
  };
  // Counts the record, writes everything before its RDATA; end_record() fills in the length.
  void begin_record(Section section, const Head& head);
  void end_record();

  void put_address(const Head& head, uint32_t code);
  void put_cname(const Head& head, std::string_view target);
  void put_text(const Head& head, const std::vector<std::string>& strings);
  void put_soa(const Head& head, uint32_t minimum);
  void put_opt(uint8_t extended_rcode, std::string_view owner = "");

 private:
  std::vector<char> bytes_;
  std::string asked_name_;
  std::map<std::string, size_t> offsets_;  // of names and their ends, as written
  size_t length_at_ = 0;
};

// The bytes of write_question for a zone in text; REQUIRES: the zone is sound.
std::vector<char> make_question(const IpAddress& address, std::string_view zone, RecordType type,
                                const QuestionOptions& options = {});

class MessageSource {
 public:
  explicit MessageSource(uint64_t seed) : random_(seed) {}

  sim::Random& random() { return random_; }
  IpAddress address();
  std::string zone();
  std::vector<char> question();
  // What a server might say to it: chains, sets of all sizes, other records around them.
  std::vector<char> reply(const std::vector<char>& question);
  // A few changes of the kinds that break readers; most behind the question.
  void damage(std::vector<char>& message);

 private:
  void put_answers(MessageWriter& writer, RecordType type);
  void put_chain_end(MessageWriter& writer, const std::string& name, RecordType type);
  void put_stranger(MessageWriter& writer, Section section);
  void put_rest(MessageWriter& writer);
  MessageWriter::Head head(std::string_view owner, uint16_t type);
  std::string name();
  std::string bytes(size_t most);
  void damage_once(std::vector<char>& message);

  sim::Random random_;
};

}  // namespace lychgate::dns
