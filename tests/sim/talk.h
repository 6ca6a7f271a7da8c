// What a simulated client says to the gate: a script of utterances with the manners that it shows,
// and a reading of what was said by rules of its own, so that it can disagree with the gate.
// Sends nothing.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/agenda.h"
#include "tests/sim/random.h"

namespace lychgate::sim {

struct Utterance {
  std::string bytes;
  bool awaits = true;  // a reply, before what comes next
};

struct TalkScript {
  std::vector<Utterance> says;
  size_t chunk = 4096;                 // written at once, at most
  Time pace = 1;                       // between chunks, at most
  std::optional<size_t> breaks_off{};  // in the middle of this utterance
  size_t early = 0;                    // of these before it is greeted, when it speaks early
  // What the tests may find.
  bool pipelines = false;
  bool bare = false;
  bool foreign = false;
  // Only commands that a gate answers without an error, each after the reply to the one before.
  bool clean = true;
};

struct TalkChoices {
  bool rude = false;
  bool verify = true;  // VRFY is not disabled
};
TalkScript draw_talk(Random& random, const TalkChoices& choices);

// What a backend should be told of all that was said up to a command that it is to answer.
struct Replayed {
  std::string hello;
  std::string mail;  // only before RCPT
  std::string pending;
};
Replayed replayed_words(std::string_view said);

// Whether it has lines that a test must find.
bool has_bare_newline(std::string_view said);
bool has_foreign_word(std::string_view said);
// The last line is RCPT to one whose mail must go through.
bool ends_with_exempt(std::string_view said, const std::vector<std::string>& exempt);

}  // namespace lychgate::sim
