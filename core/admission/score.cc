// The worth of one answer, and the bounds of a sum.

#include "core/admission/score.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace lychgate::admission {
namespace {

using config::CodeRow;
using config::List;
using config::ListLine;
using config::Meaning;

// RFC 5782 section 2.1 keeps answers inside 127.0.0.0/8: anything else comes from a parked domain
// or a resolver that invents answers. 127.255.255.0/24 is where lists put their refusals.
bool never_counts(uint32_t code) {
  return code >> 24 != 0x7f || code >> 8 == 0x7fffff;
}

const CodeRow* row_of(const List& list, uint32_t code) {
  const auto row = std::find_if(list.codes.begin(), list.codes.end(),
                                [&](const CodeRow& each) { return each.codes.matches(code); });
  return row == list.codes.end() ? nullptr : &*row;
}

Meaning meaning_of(const List& list, uint32_t code) {
  const CodeRow* row = row_of(list, code);
  const Meaning meaning = row == nullptr ? Meaning::kNeutral : row->meaning;
  return never_counts(code) && !is_error(meaning) ? Meaning::kError : meaning;
}

// What a record adds through one line; nullopt: the line does not mean it.
std::optional<int32_t> weight_of(const List& list, const ListLine& line, uint32_t code) {
  const CodeRow* row = row_of(list, code);
  const bool catalogued =
      row != nullptr && (row->meaning == Meaning::kListed || row->meaning == Meaning::kAllow);
  if (line.pattern ? !line.pattern->matches(code) : !catalogued) return std::nullopt;
  if (line.weight) return line.weight;
  return row == nullptr ? 0 : row->weight;
}

// Once for the line, however many records match. Of equal magnitudes the one that favours the
// client: servers rotate the records, and the sum must not depend on their order.
int32_t line_weight(const List& list, const ListLine& line, std::span<const uint32_t> codes) {
  int32_t best = 0;
  for (const uint32_t code : codes) {
    const int32_t weight = weight_of(list, line, code).value_or(0);
    const int32_t more = std::abs(weight) - std::abs(best);
    if (more > 0 || (more == 0 && weight < best)) best = weight;
  }
  return best;
}

// What the answer would be worth if this were its only record; nullopt: no line means it.
std::optional<int32_t> worth_of(const List& list, uint32_t code) {
  std::optional<int32_t> worth;
  for (const ListLine& line : list.lines) {
    const auto weight = weight_of(list, line, code);
    if (weight) worth = worth.value_or(0) + *weight;
  }
  return worth;
}

}  // namespace

ListScore score_answer(const List& list, std::span<const uint32_t> codes) {
  ListScore out;
  for (const uint32_t code : codes) {
    const Meaning meaning = meaning_of(list, code);
    // The order of the enum is the order of the badness of such news.
    if (is_error(meaning) && meaning > out.meaning) out = {.meaning = meaning, .code = code};
  }
  if (codes.empty() || is_error(out.meaning)) return out;
  out.code = codes.front();  // neutral, unless one of them counts
  for (const ListLine& line : list.lines) out.weight += line_weight(list, line, codes);
  std::optional<int32_t> most;
  for (const uint32_t code : codes) {
    const auto worth = worth_of(list, code);
    if (!worth || (most && std::abs(*worth) <= std::abs(*most))) continue;
    most = worth;
    out.code = code;
    out.meaning = meaning_of(list, code);
    // A code that only the line's own pattern knows means what its weight says.
    if (out.meaning == Meaning::kNeutral) {
      out.meaning = *worth < 0 ? Meaning::kAllow : Meaning::kListed;
    }
  }
  return out;
}

Standing standing(const Tally& tally, const config::Dnsl& dnsl) {
  const int32_t least = tally.score + tally.loss_max;
  const int32_t greatest = tally.score + tally.gain_max;
  const bool may_allow = dnsl.allow_threshold < 0;
  if (least >= dnsl.threshold) return Standing::kFailed;
  if (may_allow && greatest <= dnsl.allow_threshold) return Standing::kAllowed;
  const bool cannot_fail = greatest < dnsl.threshold;
  const bool cannot_allow = !may_allow || least > dnsl.allow_threshold;
  return cannot_fail && cannot_allow ? Standing::kPassed : Standing::kOpen;
}

}  // namespace lychgate::admission
