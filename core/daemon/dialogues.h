// What clients borrow while they talk to the gate: a block each, and for a line that comes in many
// pieces a longer one. Taken whole at the start, in address space; a block that nobody has borrowed
// yet takes no memory. Full is a normal answer. Knows what a client has said, not what follows.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/limits.h"
#include "core/base/slots.h"
#include "core/smtp/engine.h"
#include "core/smtp/line_reader.h"

namespace lychgate::daemon {

// A line longer than this that comes in pieces needs one of the longer blocks.
inline constexpr size_t kDialogueInlineLine = 320;

// What happens once all that was said is sent and all that was heard is taken.
enum class DialogueNext : uint8_t { kListen, kHandOver, kHold };

struct Dialogue {
  smtp::DialogueState said;
  std::array<char, kDialogueInlineLine> inline_line{};
  smtp::LineReader reader{inline_line};
  uint32_t long_line = kNoSlot;  // index of a longer block
  uint32_t pool = kNoSlot;       // index into Config::pools; kNoSlot: no route
  uint16_t announced = 0;        // what EHLO was answered with (ehlo_book.h)
  uint16_t sending = 0;          // bytes of the reply that is being sent
  uint16_t taking = 0;           // bytes that are being taken
  uint16_t pending = 0;          // bytes of the command that is handed over, without its end
  DialogueNext next = DialogueNext::kListen;
  smtp::ReplyId refusal = smtp::ReplyId::kRefuseProtocol;  // kHold: what the tarpit tells
  bool chunking = false;                                   // CHUNKING was announced
  bool told = false;                                       // its failure is counted and remembered
};

class Dialogues {
 public:
  // count: at most kDialoguesMax.
  explicit Dialogues(uint32_t count);

  // nullopt: all are lent.
  std::optional<uint32_t> lend();
  void give_back(uint32_t index);
  Dialogue& operator[](uint32_t index) { return blocks_[index]; }
  uint32_t lent() const { return count_ - static_cast<uint32_t>(free_.size()); }
  uint32_t long_lines_lent() const {
    return kLongLinesMax - static_cast<uint32_t>(free_lines_.size());
  }

  // Makes room for a line of kDialogueLineMax octets; what has come of it is kept. False: all
  // longer blocks are lent, or it has one.
  bool lengthen(Dialogue& dialogue);
  // Keeps a command that is to be handed over. False: too long for what is left.
  bool keep(Dialogue& dialogue, std::string_view command);
  std::string_view kept(const Dialogue& dialogue) const;
  // The line is over.
  void shorten(Dialogue& dialogue);

 private:
  using LongLine = std::array<char, kDialogueLineMax>;
  uint32_t count_;
  std::unique_ptr<Dialogue[]> blocks_;
  std::vector<uint32_t> free_;
  std::unique_ptr<LongLine[]> long_lines_;
  std::vector<uint32_t> free_lines_;
};

static_assert(sizeof(Dialogue) + sizeof(Slot) <= 1024, "what a client in dialogue costs");

}  // namespace lychgate::daemon
