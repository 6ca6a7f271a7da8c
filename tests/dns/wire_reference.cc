// See the header. Written for clarity: everything is read into lists first, then looked at.

#include "tests/dns/wire_reference.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <ldns/ldns.h>

#include "tests/dns/wire_messages.h"

namespace lychgate::dns {

const char* const kStricterNames[kStricterCount] = {
    "not the reply",       "too many records", "too many addresses", "chain too long",
    "chain loops",         "pointer forward",  "another class",      "two OPT records",
    "OPT not of the root", "RDATA length"};

namespace {

struct Freed {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
  void operator()(ldns_rdf* name) const { ldns_rdf_deep_free(name); }
};
using Name = std::unique_ptr<ldns_rdf, Freed>;

struct Read {
  Section section = Section::kAnswer;
  Name owner;
  uint16_t type = 0;
  uint16_t record_class = 0;
  uint32_t ttl = 0;
  std::unique_ptr<ldns_rr, Freed> record;  // of the types that are read
};

class Reference {
 public:
  Reference(const std::vector<char>& message, const std::vector<char>& question)
      : wire_(reinterpret_cast<const uint8_t*>(message.data())),
        size_(message.size()),
        sent_(reinterpret_cast<const uint8_t*>(question.data())),
        echoed_(question.size() - 11),
        asked_(number(sent_ + echoed_ - 4)) {}

  ReferenceReading read();

 private:
  static uint16_t number(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
  void because(Stricter reason) { out_.stricter.set(static_cast<size_t>(reason)); }

  bool is_the_reply() const;
  bool read_records();
  bool read_record(Section section, size_t& at);
  bool read_rdata(Read& read, size_t start, size_t rdata, size_t end);
  bool is_read(const Read& read) const;
  void check_pointers(size_t at);
  void check_set();
  const ldns_rdf* follow_chain();
  void conclude();

  const uint8_t* wire_;
  size_t size_;
  const uint8_t* sent_;
  size_t echoed_;
  uint16_t asked_;
  std::vector<Read> records_;
  std::vector<const ldns_rdf*> chain_;  // the asked name and where it leads
  Name asked_name_;
  uint32_t chain_ttl_ = UINT32_MAX;
  ReferenceReading out_;
};

uint32_t seconds(uint32_t ttl) {
  return (ttl & 0x80000000) != 0 ? 0 : ttl;
}

bool Reference::is_the_reply() const {
  return size_ >= echoed_ && number(wire_) == number(sent_) && (wire_[2] & 0xf8) == 0x80 &&
         number(wire_ + 4) == 1 && std::equal(wire_ + 12, wire_ + echoed_, sent_ + 12);
}

// Whether each pointer of a name that ldns has accepted goes before the labels it continues.
void Reference::check_pointers(size_t at) {
  size_t run = at;
  while (wire_[at] != 0) {
    if (wire_[at] < 64) {
      at += 1U + wire_[at];
      continue;
    }
    const size_t target = number(wire_ + at) & 0x3fff;
    if (target < kHeaderBytes || target >= run) return because(Stricter::kPointerNotBack);
    at = run = target;
  }
}

bool Reference::is_read(const Read& read) const {
  if (read.section == Section::kAnswer) return read.type == kTypeCname || read.type == asked_;
  return read.section == Section::kAuthority && read.type == kTypeSoa;
}

// All records have the same length whether ldns reads them or not: what it skips must not matter.
bool Reference::read_rdata(Read& read, size_t start, size_t rdata, size_t end) {
  ldns_rr* record = nullptr;
  size_t behind = start;
  const auto section =
      static_cast<ldns_pkt_section>(LDNS_SECTION_ANSWER + static_cast<int>(read.section));
  const bool accepted = ldns_wire2rr(&record, wire_, size_, &behind, section) == LDNS_STATUS_OK;
  read.record.reset(accepted ? record : nullptr);
  const bool exact = accepted && behind == end;
  if (!exact) out_.odd_rdata = true;
  if (!is_read(read)) return true;
  if (!accepted) return false;
  const size_t fields = ldns_rr_rd_count(record);
  const bool all_fields =
      fields == (read.type == kTypeSoa ? 7U : 1U) || (read.type == kTypeTxt && fields > 1);
  if (!exact || !all_fields) {
    because(Stricter::kRdataLength);
    return true;
  }
  if (read.type == kTypeCname) check_pointers(rdata);
  if (read.type != kTypeSoa) return true;
  check_pointers(rdata);
  ldns_rdf* first = nullptr;
  size_t second = rdata;
  if (ldns_wire2dname(&first, wire_, size_, &second) != LDNS_STATUS_OK) return false;
  ldns_rdf_deep_free(first);
  check_pointers(second);
  return true;
}

bool Reference::read_record(Section section, size_t& at) {
  const size_t start = at;
  ldns_rdf* owner = nullptr;
  if (ldns_wire2dname(&owner, wire_, size_, &at) != LDNS_STATUS_OK) return false;
  Read read;
  read.section = section;
  read.owner.reset(owner);
  check_pointers(start);
  if (size_ < at + 10) return false;
  read.type = number(wire_ + at);
  read.record_class = number(wire_ + at + 2);
  read.ttl = uint32_t{number(wire_ + at + 4)} << 16 | number(wire_ + at + 6);
  const size_t rdata = at + 10;
  const size_t end = rdata + number(wire_ + at + 8);
  if (end > size_) return false;
  if (!read_rdata(read, start, rdata, end)) return false;
  if (section == Section::kAdditional && read.type == LDNS_RR_TYPE_TSIG) out_.has_tsig = true;
  records_.push_back(std::move(read));
  at = end;
  return true;
}

bool Reference::read_records() {
  size_t at = echoed_;
  for (const Section section : kSections) {
    const uint16_t count = number(wire_ + 6 + 2 * static_cast<size_t>(section));
    for (uint16_t i = 0; i < count; ++i) {
      if (!read_record(section, at)) return false;
    }
  }
  if (records_.size() > static_cast<size_t>(kRecordsMax)) because(Stricter::kTooManyRecords);
  return true;
}

void Reference::check_set() {
  size_t opts = 0;
  for (const Read& read : records_) {
    if (read.section != Section::kAdditional) {
      if (read.record_class != LDNS_RR_CLASS_IN) because(Stricter::kOtherClass);
    } else if (read.type == kTypeOpt) {
      if (++opts > 1) because(Stricter::kOptTwice);
      if (ldns_rdf_size(read.owner.get()) != 1) because(Stricter::kOptNotOfRoot);
    }
  }
}

bool same(const ldns_rdf* one, const ldns_rdf* other) {
  return ldns_dname_compare(one, other) == 0;
}

// The name whose records count; nullptr when there is no end.
const ldns_rdf* Reference::follow_chain() {
  while (true) {
    const ldns_rdf* name = chain_.back();
    const auto link = std::find_if(records_.begin(), records_.end(), [&](const Read& read) {
      return read.section == Section::kAnswer && read.type == kTypeCname &&
             same(read.owner.get(), name);
    });
    if (link == records_.end()) return name;
    if (chain_.size() > static_cast<size_t>(kCnamesMax)) {
      because(Stricter::kChainTooLong);
      return nullptr;
    }
    chain_ttl_ = std::min(chain_ttl_, seconds(link->ttl));
    const ldns_rdf* target = ldns_rr_rdf(link->record.get(), 0);
    for (const ldns_rdf* passed : chain_) {
      if (!same(passed, target)) continue;
      because(Stricter::kChainLoops);
      return nullptr;
    }
    chain_.push_back(target);
  }
}

std::string joined_strings(const ldns_rr* record) {
  std::string out;
  for (size_t i = 0; i < ldns_rr_rd_count(record); ++i) {
    const ldns_rdf* string = ldns_rr_rdf(record, i);
    out.append(reinterpret_cast<const char*>(ldns_rdf_data(string)) + 1, ldns_rdf_size(string) - 1);
  }
  return out.substr(0, kTextBytesMax);
}

void Reference::conclude() {
  const ldns_rdf* end = follow_chain();
  if (end == nullptr) return;
  uint32_t ttl = chain_ttl_;
  bool any = false;
  std::optional<uint32_t> soa;
  uint32_t extended_rcode = 0;
  for (const Read& read : records_) {
    if (read.section == Section::kAdditional && read.type == kTypeOpt)
      extended_rcode = read.ttl >> 24;
    if (read.section == Section::kAuthority && read.type == kTypeSoa && !soa) {
      const uint32_t minimum = ldns_rdf2native_int32(ldns_rr_rdf(read.record.get(), 6));
      soa = std::min(seconds(read.ttl), seconds(minimum));
    }
    if (read.section != Section::kAnswer || read.type != asked_) continue;
    if (!same(read.owner.get(), end)) continue;
    ttl = std::min(ttl, seconds(read.ttl));
    if (asked_ == static_cast<uint16_t>(RecordType::kA)) {
      // An A record is kept in network byte order.
      const uint8_t* bytes = ldns_rdf_data(ldns_rr_rdf(read.record.get(), 0));
      out_.addresses.push_back(uint32_t{number(bytes)} << 16 | number(bytes + 2));
    } else if (!any) {
      out_.text = joined_strings(read.record.get());
    }
    any = true;
  }
  if (out_.addresses.size() > kAddressesMax) because(Stricter::kTooManyAddresses);
  const int rcode = wire_[3] & 0xf;
  if (extended_rcode != 0) {
    out_.kind = ReplyKind::kServfail;
  } else if (rcode == LDNS_RCODE_NOERROR && any) {
    out_.kind = ReplyKind::kAnswer;
    out_.ttl = ttl;
  } else if (rcode == LDNS_RCODE_NOERROR || rcode == LDNS_RCODE_NXDOMAIN) {
    out_.kind = ReplyKind::kNothing;
    out_.has_soa = soa.has_value();
    out_.ttl = soa ? std::min(chain_ttl_, *soa) : 0;
  } else {
    const bool refused = rcode == LDNS_RCODE_REFUSED || rcode == LDNS_RCODE_NOTAUTH;
    out_.kind = refused ? ReplyKind::kRefused : ReplyKind::kServfail;
  }
  if (out_.kind == ReplyKind::kAnswer) return;
  out_.addresses.clear();
  out_.text.clear();
}

ReferenceReading Reference::read() {
  ldns_pkt* packet = nullptr;
  if (ldns_wire2pkt(&packet, wire_, size_) == LDNS_STATUS_OK) {
    out_.whole = true;
    ldns_pkt_free(packet);
  }
  if (!is_the_reply()) {
    because(Stricter::kNotTheReply);
    return std::move(out_);
  }
  if ((wire_[2] & 0x02) != 0) {
    out_.framed = true;  // nothing behind the question is read
    out_.kind = ReplyKind::kTruncated;
    return std::move(out_);
  }
  out_.framed = read_records();
  check_set();
  if (out_.malformed()) return std::move(out_);
  ldns_rdf* name = nullptr;
  size_t at = kHeaderBytes;
  out_.framed = ldns_wire2dname(&name, wire_, size_, &at) == LDNS_STATUS_OK;
  asked_name_.reset(name);
  chain_ = {name};
  if (out_.framed) conclude();
  return std::move(out_);
}

}  // namespace

ReferenceReading read_with_ldns(const std::vector<char>& message,
                                const std::vector<char>& question) {
  return Reference(message, question).read();
}

}  // namespace lychgate::dns
