// What the record of earlier visits says of a client now, and what a visit adds to it: pure
// functions, told the time. Keeps nothing; records are core/store's.

#pragma once

#include <cstdint>
#include <optional>

#include "core/base/client_record.h"
#include "core/base/slots.h"
#include "core/config/config.h"

namespace lychgate::admission {

struct History {
  bool is_known = false;  // has a pass of every enabled test that has not expired: no wait
  // Bits of ScreenTest: enabled tests that need not be taken now.
  uint8_t passed = 0;
  bool passed_before = false;  // every enabled test, be it that a pass has expired
  // Failed the test not long ago, and that test's action is enforce, drop or hold: refused at
  // once. Of several the one whose reply the client would hear.
  std::optional<ScreenTest> offence;
  bool allowed = false;  // by command, as by `permit` of the access list
  bool denied = false;   // by command, as by `reject`
  uint32_t passes = 0;
  Seconds seen_for = 0;  // since it was first seen; 0: never before
};

History history_of(const ClientRecord& record, const config::Config& config, Seconds now);

// Bits of ScreenTest that a stranger has to pass: those of its wait, those of its dialogue, all.
uint8_t wait_tests(const config::Config& config);
uint8_t dialogue_tests(const config::Config& config);
uint8_t enabled_tests(const config::Config& config);

// The evidence of a client that has just come, with what its history adds. A command goes before
// the access list; who is permitted or rejected by either is no offender and not known.
uint16_t with_history(uint16_t evidence, const History& history);
// Bits of Misconduct for bits of ScreenTest: the tests of the dialogue follow in the same order.
constexpr uint8_t misconduct_of(uint8_t tests) {
  return static_cast<uint8_t>(tests >> static_cast<unsigned>(ScreenTest::kPipelining));
}
static_assert(misconduct_of(bit_of(ScreenTest::kPipelining)) == kPipelined);
static_assert(misconduct_of(bit_of(ScreenTest::kNonSmtp)) == kSpokeNonSmtp);
static_assert(misconduct_of(bit_of(ScreenTest::kBareNewline)) == kBareNewline);
// The last second of `life`, which begins now; time never runs over.
Seconds until(Seconds now, milliseconds life);

// How a client has behaved on one visit, at its verdict.
struct Conduct {
  uint16_t evidence = 0;        // bits of lychgate::Evidence
  uint8_t misconduct = 0;       // bits of lychgate::Misconduct
  bool returned = false;        // its network came back after it was deferred
  bool talked = false;          // it took the tests of the dialogue, to their end
  bool left = false;            // before it was let on
  int16_t score = 0;            // of the DNS lists
  uint32_t lists_good_for = 0;  // seconds that the lists' answers live; 0: some is missing
};
// What its record is told: the tests that it has taken and passed, or failed. A pass by the lists
// lives for dnsl.life_min to dnsl.life_max; whom they vouched for has passed the other tests for as
// long.
ClientRecord visit_of(const Conduct& conduct, const config::Config& config, Seconds now);

}  // namespace lychgate::admission
