// What a replay needs: what was said, and, while it talks to a backend, where it is in that.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/slots.h"
#include "handoff/backend_reply.h"

namespace lychgate::handoff {

// What a client has said to the gate; lives until the outcome. Lines are without their end and no
// longer than kDialogueLineMax.
struct Said {
  std::string_view hello = {};      // HELO or EHLO; empty: none
  std::string_view mail = {};       // MAIL that the gate has answered with 250; empty: none
  std::string_view pending = {};    // the command that the backend is to answer
  std::string_view announced = {};  // to the client, as in capabilities.h; empty after HELO
  // Bytes behind `pending` call the hand-over off; else they are left in the socket for the relay.
  bool must_be_last = true;
  uint32_t cookie = kNoSlot;  // of whoever keeps these texts: comes back with the outcome
};

// Talks with backends under way in one shard: some 7 KiB each, made when first needed. The rest
// waits as for a backend that is full.
inline constexpr uint32_t kReplaysMax = 1024;
// From the hand-over's begin to the reply: a client waits five minutes (RFC 5321 4.5.3.2).
inline constexpr uint32_t kReplayLimitMs = 240000;

struct Replay {
  // Whose reply is awaited.
  enum class Step : uint8_t { kGreeting, kHello, kMail, kPending };
  Step step = Step::kGreeting;
  bool sending = false;  // the kernel reads the line
  ConnId last = {};      // such a connection of the talk before: its line may still be read
  BackendReply reply;
  std::array<char, kDialogueLineMax + 2> line;  // being sent; then what the client sent behind
};

}  // namespace lychgate::handoff
