// What becomes of a client, as a value: a pure function of the evidence and the configuration.
// Nothing here knows of sockets, time or logs, so every verdict can be explained again later.

#pragma once

#include <cstdint>
#include <optional>

#include "core/base/slots.h"
#include "core/config/config.h"
#include "core/smtp/replies.h"

namespace lychgate::admission {

// All that a verdict may depend on, besides the configuration.
struct Facts {
  uint16_t evidence = 0;   // bits of lychgate::Evidence
  uint8_t misconduct = 0;  // bits of lychgate::Misconduct
  bool returned = false;   // its network was deferred and came back when it should

  bool has(Evidence bit) const { return (evidence & bit) != 0; }
  bool has(Misconduct bit) const { return (misconduct & bit) != 0; }
};

enum class Decision : uint8_t {
  kPass,    // goes on to routing, by the tests of the dialogue that are due
  kRefuse,  // hears the 550 at RCPT
  kDefer,   // hears the 450 at RCPT
  kDrop,    // hears the 521 and is closed at once
  kHold,    // hears the 550 for as long as it stays
  kBusy,    // hears the 421: over a limit
  kGone,    // closed its side; there is nobody to answer
};

// Why, in the order in which judge() asks.
enum class Reason : uint8_t {
  kAddressFull,
  kShardFull,
  kHostFull,
  kHungUp,
  kAllowlisted,
  kDenylisted,
  kSpokeEarly,
  kListsFailed,
  kPipelined,
  kSpokeNonSmtp,
  kBareNewline,
  kKnown,       // passed every test on earlier visits, and they have not expired
  kListsAllow,  // and no test before it failed: the rest of the wait is spared
  kClean,       // nothing spoke against the client
};

struct Verdict {
  Decision decision = Decision::kPass;
  Reason reason = Reason::kClean;
  std::optional<smtp::ReplyId> reply;  // set unless the decision is kPass or kGone

  bool operator==(const Verdict&) const = default;
};

// What a failed test answers under each action; `ignore` lets the client go on.
struct FailedTest {
  Reason reason;
  smtp::ReplyId refuse;  // the 550
  smtp::ReplyId drop;    // the 521
};
Verdict apply_action(config::Action action, const FailedTest& test, const Facts& facts);
// What a client hears in place of the tarpit when that is closed. REQUIRES: a 550 of a test.
smtp::ReplyId drop_for(smtp::ReplyId refusal);

// What a test says that lets nothing follow.
bool ends_at_once(Decision decision);

// Limits come first, before the access list, as in postscreen: who is over a limit hears 421 even
// when allowlisted. Then hang-up, allowlist, and the tests in registry order: the first `drop`
// or `hold` ends it, else the last `enforce` or `defer` names the reply. What the DNS lists allow
// excuses no failed test.
Verdict judge(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
