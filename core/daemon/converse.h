// What the gate says to a client after the verdict of its wait, as a pure step: what the client did
// in, actions out. The words are core/smtp's engine, the tests core/admission's; here both meet: a
// line is judged, then obeyed. Performs nothing.

#pragma once

#include <string_view>

#include "core/daemon/dialogues.h"
#include "core/daemon/session.h"
#include "core/smtp/line_reader.h"

namespace lychgate::daemon {

enum class TalkKind : uint8_t {
  kBegin,
  kLine,        // `line`, with `behind` what has come behind it
  kTooLong,     // a line over kDialogueLineMax, or no room for it
  kTimeUp,      // dialogue.command_time_limit
  kGone,        // end of file, reset, or it does not read
  kTaken,       // a backend goes on with what was handed over
  kGaveUp,      // no backend does
  kSpokeAgain,  // the hand-over of `line` was called off: `behind` came behind it
};

struct Talk {
  TalkKind kind;
  smtp::ReadLine line = {};
  std::string_view behind = {};
};

smtp::EngineRules engine_rules(const config::Dialogue& dialogue);
// Whether bytes behind a command that is handed over call the hand-over off.
bool must_be_last(const config::Config& config, const Slot& session, smtp::Verb verb);

// Changes the slot's phase, evidence and misconduct, and what the block says of the client.
// REQUIRES: the slot is a client's, in phase kDialogue, or kHandoff for the last three.
ActionList converse(const config::Config& config, Slot& session, Dialogue& dialogue,
                    const Talk& talk);

}  // namespace lychgate::daemon
