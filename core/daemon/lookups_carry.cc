// Lookups of clients that are carried from one shard to another: what the lists have said goes
// along, so that they are not asked again.

#include <algorithm>

#include "core/daemon/lookups.h"

namespace lychgate::daemon {

using dns::AnswerState;
using dns::InquiryId;
using dns::ListAnswer;

uint8_t Lookups::tell(uint32_t slot, std::array<CarriedAnswer, kListsMax>& into) const {
  const auto answers = inquiries_.answers(inquiries_.record_of(slot));
  uint8_t count = 0;
  for (uint32_t list = 0; list < lists_.size(); ++list) {
    if (!is_current(list, answers[list])) continue;
    into[count++] = {.code = answers[list].code,
                     .seconds = seconds_left(answers[list]),
                     .weight = answers[list].weight,
                     .cell = config_.cells.lists[list],
                     .epoch = answers[list].epoch};
  }
  return count;
}

// What others here have been told since is newer.
void Lookups::fill_in(uint32_t record, const CarriedAnswer& told) {
  for (uint32_t list = 0; list < lists_.size(); ++list) {
    if (config_.cells.lists[list] != told.cell) continue;
    ListAnswer& known = inquiries_.answers(record)[list];
    const bool newer = is_current(list, known) && seconds_left(known) > 0;
    if (newer || !may_ask(list, inquiries_.address(record))) return;
    // One that expired while it waited counts for it all the same.
    const ListAnswer answer{.code = told.code,
                            .expires = second() + std::max(told.seconds, 1u),
                            .weight = told.weight,
                            .state = AnswerState::kAnswered,
                            .epoch = told.epoch};
    if (is_current(list, answer)) known = answer;
    return;
  }
}

void Lookups::take_over(uint32_t slot, std::span<const CarriedAnswer> answers, Tick now) {
  keep_time(now);
  const uint32_t record = inquiries_.keep(slots_[slot].address);
  if (record != InquiryId::kNoRecord) {
    for (const CarriedAnswer& told : answers) fill_in(record, told);
  }
  ask(slot, now);
}

}  // namespace lychgate::daemon
