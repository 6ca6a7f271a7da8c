// DNS-list scores as pure functions: what one list's answer is worth, and whether the answers still
// to come can change the verdict. Knows no packets, no clients and no time.

#pragma once

#include <cstdint>
#include <span>

#include "core/config/catalogue.h"
#include "core/config/config.h"
#include "core/config/lists.h"

namespace lychgate::admission {

// What one list said about one client.
struct ListScore {
  // Of the record that counted, else of the worst news about the list itself: kError and its kin
  // before kNeutral. kNeutral with code 0: not listed.
  config::Meaning meaning = config::Meaning::kNeutral;
  int32_t weight = 0;  // sum over the list's site lines
  uint32_t code = 0;   // the record that counted most, host byte order; 0: none

  bool operator==(const ListScore&) const = default;
};

// codes: the A records of the answer, host byte order; empty: not listed.
// Never counts, whatever a site line says: what is outside 127.0.0.0/8 (RFC 5782 section 2.1), what
// is in 127.255.255.0/24, and what the catalogue calls error, over quota or dead. When one record
// of an answer is such an error nothing of the answer counts. A code that is in neither the
// catalogue nor the line's own pattern is neutral.
ListScore score_answer(const config::List& list, std::span<const uint32_t> codes);

// Where a sum of scores stands.
enum class Standing : uint8_t {
  kOpen,     // an answer still to come can change what follows
  kFailed,   // at or over dnsl.threshold, for good
  kAllowed,  // at or under dnsl.allow_threshold, for good
  kPassed,   // between the two, for good
};

struct Tally {
  int32_t score = 0;
  int32_t gain_max = 0;  // most that outstanding answers can still add
  int32_t loss_max = 0;  // most that they can still take away, <= 0
};
Standing standing(const Tally& tally, const config::Dnsl& dnsl);

}  // namespace lychgate::admission
