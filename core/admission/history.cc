// Tests that are remembered: the wait, the DNS lists and those of the dialogue.

#include "core/admission/history.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>

#include "core/admission/verdict.h"

namespace lychgate::admission {
namespace {

constexpr std::initializer_list<ScreenTest> kTests = {ScreenTest::kPregreet, ScreenTest::kLists,
                                                      ScreenTest::kPipelining, ScreenTest::kNonSmtp,
                                                      ScreenTest::kBareNewline};
constexpr std::initializer_list<ScreenTest> kDialogueTests = {
    ScreenTest::kPipelining, ScreenTest::kNonSmtp, ScreenTest::kBareNewline};

// REQUIRES: a test of the dialogue.
const config::DialogueTest& settings_of(ScreenTest test, const config::Dialogue& dialogue) {
  if (test == ScreenTest::kPipelining) return dialogue.pipelining;
  return test == ScreenTest::kNonSmtp ? dialogue.non_smtp_command : dialogue.bare_newline;
}

config::Action action_of(ScreenTest test, const config::Config& config) {
  if (test == ScreenTest::kPregreet) return config.greet.pregreet;
  if (test == ScreenTest::kLists) return config.dnsl.action;
  return settings_of(test, config.dialogue).action;
}

// Who is deferred must be able to come back.
bool is_remembered(config::Action action) {
  return action != config::Action::kIgnore && action != config::Action::kDefer;
}

Seconds passed_until(const ClientRecord& record, ScreenTest test) {
  return record.passed_until[static_cast<size_t>(test)];
}

// As judge() chooses among failed tests: the first `drop` ends it, else the last `enforce` speaks.
std::optional<ScreenTest> offence_in(uint8_t failed, const config::Config& config) {
  std::optional<ScreenTest> out;
  const uint8_t counted = failed & enabled_tests(config);
  for (const ScreenTest test : kTests) {
    const config::Action action = action_of(test, config);
    if ((counted & bit_of(test)) == 0 || !is_remembered(action)) continue;
    out = test;
    if (action == config::Action::kDrop || action == config::Action::kHold) break;
  }
  return out;
}

Seconds lists_until(const Conduct& conduct, const config::Dnsl& dnsl, Seconds now) {
  if (conduct.lists_good_for == 0) return 0;
  const milliseconds ttl = std::chrono::seconds(conduct.lists_good_for);
  return until(now, std::max(std::min(ttl, dnsl.life_max), dnsl.life_min));
}

void add_dialogue_passes(const Conduct& conduct, const config::Config& config, Seconds now,
                         ClientRecord& visit) {
  for (const ScreenTest test : kDialogueTests) {
    const config::DialogueTest& settings = settings_of(test, config.dialogue);
    const bool passed = settings.enable && (conduct.misconduct & misconduct_of(bit_of(test))) == 0;
    if (!passed || settings.life.count() == 0) continue;
    visit.passed_until[static_cast<size_t>(test)] = until(now, settings.life);
  }
}

void add_passes(const Conduct& conduct, const config::Config& config, Seconds now,
                ClientRecord& visit) {
  const Facts facts{conduct.evidence, conduct.misconduct};
  Seconds& pregreet = visit.passed_until[static_cast<size_t>(ScreenTest::kPregreet)];
  Seconds& lists = visit.passed_until[static_cast<size_t>(ScreenTest::kLists)];
  if (!facts.has(kListsFailed)) lists = lists_until(conduct, config.dnsl, now);
  if (facts.has(kSpokeEarly)) return;
  if (facts.has(kWaited) && config.greet.life.count() > 0) pregreet = until(now, config.greet.life);
  if (!facts.has(kListsAllow)) return;
  pregreet = std::max(pregreet, lists);
  for (const ScreenTest test : kDialogueTests) {
    visit.passed_until[static_cast<size_t>(test)] = lists;
  }
}

}  // namespace

Seconds until(Seconds now, milliseconds life) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(life).count();
  return static_cast<Seconds>(std::min<int64_t>(int64_t{now} + seconds, kForever - 1));
}

uint8_t dialogue_tests(const config::Config& config) {
  uint8_t out = 0;
  for (const ScreenTest test : kDialogueTests) {
    if (settings_of(test, config.dialogue).enable) out |= bit_of(test);
  }
  return out;
}

uint8_t enabled_tests(const config::Config& config) {
  return static_cast<uint8_t>(wait_tests(config) | dialogue_tests(config));
}

uint8_t wait_tests(const config::Config& config) {
  uint8_t out = 0;
  if (config.greet.wait.count() > 0) out |= bit_of(ScreenTest::kPregreet);
  if (!config.dnsl.sites.empty()) out |= bit_of(ScreenTest::kLists);
  return out;
}

History history_of(const ClientRecord& record, const config::Config& config, Seconds now) {
  History out;
  uint8_t ever = 0;
  for (const ScreenTest test : kTests) {
    const Seconds end = passed_until(record, test);
    if (end != 0) ever |= bit_of(test);
    if (end > now) out.passed |= bit_of(test);
  }
  const uint8_t enabled = enabled_tests(config);
  out.passed &= enabled;
  out.is_known = out.passed == enabled;
  out.passed_before = (ever & enabled) == enabled;
  if (record.failed_until > now) out.offence = offence_in(record.failed, config);
  out.denied = record.denied_until > now;
  out.allowed = record.allowed_until > now && !out.denied;
  out.passes = record.passes;
  const bool seen = record.first_seen != 0 && record.first_seen < now;
  out.seen_for = seen ? now - record.first_seen : 0;
  return out;
}

uint16_t with_history(uint16_t evidence, const History& history) {
  constexpr uint16_t kCommanded = kAllowlisted | kDenylisted;
  unsigned out = evidence;
  if (history.allowed || history.denied) {
    out &= ~unsigned{kCommanded};
    out |= history.denied ? kDenylisted : kAllowlisted;
  }
  if ((out & kAllowlisted) != 0) return static_cast<uint16_t>(out);
  if (history.offence) {
    out |= kRemembered;
    if (*history.offence == ScreenTest::kLists) out |= kListsFailed;
    if (*history.offence == ScreenTest::kPregreet) out |= kSpokeEarly;
  } else if (history.is_known) {
    out |= kRemembered;
  }
  return static_cast<uint16_t>(out);
}

ClientRecord visit_of(const Conduct& conduct, const config::Config& config, Seconds now) {
  const Facts facts{conduct.evidence, conduct.misconduct, conduct.returned};
  const Verdict verdict = judge(facts, config);
  ClientRecord visit;
  visit.first_seen = visit.last_seen = now;
  visit.score = conduct.score;
  if (verdict.decision == Decision::kPass) {
    visit.passes = conduct.left ? 0 : 1;
    const bool tested = !facts.has(kAllowlisted) && !facts.has(kRemembered);
    if (tested) add_passes(conduct, config, now, visit);
    if (tested && conduct.talked) add_dialogue_passes(conduct, config, now, visit);
    return visit;
  }
  visit.failures = 1;
  if (config.store.failures.count() == 0) return visit;
  visit.failed_until = until(now, config.store.failures);
  for (const ScreenTest test : kTests) {
    const bool failed = (facts.misconduct & misconduct_of(bit_of(test))) != 0 ||
                        (test == ScreenTest::kPregreet && facts.has(kSpokeEarly)) ||
                        (test == ScreenTest::kLists && facts.has(kListsFailed));
    if (failed && is_remembered(action_of(test, config))) visit.failed |= bit_of(test);
  }
  if (visit.failed == 0) visit.failed_until = 0;
  return visit;
}

}  // namespace lychgate::admission
