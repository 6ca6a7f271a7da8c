// Two free lists and the way of a line from one kind of block to the other.

#include "core/daemon/dialogues.h"

#include <cstring>
#include <memory>

#include "core/base/check.h"

namespace lychgate::daemon {

Dialogues::Dialogues(uint32_t count)
    : count_(count),
      // Not touched, so that what nobody borrows takes no memory.
      blocks_(std::make_unique_for_overwrite<Dialogue[]>(count)),
      long_lines_(std::make_unique_for_overwrite<LongLine[]>(kLongLinesMax)) {
  LYCH_CHECK(count <= kDialoguesMax);
  free_.reserve(count);
  for (uint32_t i = count; i-- > 0;) free_.push_back(i);
  free_lines_.reserve(kLongLinesMax);
  for (uint32_t i = kLongLinesMax; i-- > 0;) free_lines_.push_back(i);
}

std::optional<uint32_t> Dialogues::lend() {
  if (free_.empty()) return std::nullopt;
  const uint32_t index = free_.back();
  free_.pop_back();
  std::construct_at(&blocks_[index]);
  return index;
}

void Dialogues::give_back(uint32_t index) {
  LYCH_CHECK(index < count_);
  shorten(blocks_[index]);
  free_.push_back(index);
}

bool Dialogues::lengthen(Dialogue& dialogue) {
  if (dialogue.long_line != kNoSlot || free_lines_.empty()) return false;
  dialogue.long_line = free_lines_.back();
  free_lines_.pop_back();
  dialogue.reader.move_to(long_lines_[dialogue.long_line]);
  return true;
}

bool Dialogues::keep(Dialogue& dialogue, std::string_view command) {
  const bool longer = command.size() > kDialogueInlineLine;
  if (longer && dialogue.long_line == kNoSlot && !lengthen(dialogue)) return false;
  char* place = dialogue.long_line == kNoSlot ? dialogue.inline_line.data()
                                              : long_lines_[dialogue.long_line].data();
  // The command may lie there already, as a line that came in pieces does.
  std::memmove(place, command.data(), command.size());
  dialogue.pending = static_cast<uint16_t>(command.size());
  return true;
}

std::string_view Dialogues::kept(const Dialogue& dialogue) const {
  const char* place = dialogue.long_line == kNoSlot ? dialogue.inline_line.data()
                                                    : long_lines_[dialogue.long_line].data();
  return {place, dialogue.pending};
}

void Dialogues::shorten(Dialogue& dialogue) {
  dialogue.pending = 0;
  if (dialogue.long_line == kNoSlot) return;
  free_lines_.push_back(dialogue.long_line);
  dialogue.long_line = kNoSlot;
  dialogue.reader = smtp::LineReader(dialogue.inline_line);
}

}  // namespace lychgate::daemon
