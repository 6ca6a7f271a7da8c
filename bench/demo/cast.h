// Who takes part in the demo: the four kinds of clients, how many of each, where they come from and
// what each of them should live to see. Only data.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/time.h"

namespace lychgate::demo {

// How long an unknown client must stay silent, and the shorter patience of the hostile server.
inline constexpr milliseconds kGreetWait{2000};
inline constexpr milliseconds kHostilePatience{1500};
// When an early talker speaks; far before the greeting.
inline constexpr milliseconds kTalksAfter{100};
inline constexpr uint32_t kShards = 2;

enum class Manner : uint8_t {
  kPolite,  // waits for each reply and delivers a message
  kHasty,   // says EHLO before it was greeted
  kSilent,  // says nothing at all
};

enum class Destination : uint8_t { kNowhere, kFriendly, kHostile };

struct Kind {
  std::string_view name;
  std::string_view plural;
  Manner manner;
  uint8_t network;  // every client has its own address in 127.network.0.0/16
  uint32_t count;
  // What should happen.
  bool held;  // hears `220-` first and must wait
  Destination destination;
  std::array<std::string_view, 7> codes;  // beginnings of the replies, in order; empty: no more
};

inline constexpr uint8_t kPermittedNetwork = 10;

inline constexpr std::array<Kind, 4> kCast = {{
    {.name = "preferred",
     .plural = "preferred clients",
     .manner = Manner::kPolite,
     .network = kPermittedNetwork,
     .count = 150,
     .held = false,
     .destination = Destination::kFriendly,
     .codes = {"220 friendly", "250", "250", "250", "354", "250", "221"}},
    {.name = "stranger",
     .plural = "strangers",
     .manner = Manner::kPolite,
     .network = 20,
     .count = 100,
     .held = true,
     .destination = Destination::kHostile,
     .codes = {"220 hostile", "250", "250", "250", "354", "250", "221"}},
    {.name = "early talker",
     .plural = "early talkers",
     .manner = Manner::kHasty,
     .network = 30,
     .count = 100,
     .held = true,
     .destination = Destination::kNowhere,
     .codes = {"550 5.5.1"}},
    {.name = "silent zombie",
     .plural = "silent zombies",
     .manner = Manner::kSilent,
     .network = 40,
     .count = 300,
     .held = true,
     .destination = Destination::kHostile,
     .codes = {"220 hostile", "421 4.4.2"}},
}};
inline constexpr const Kind& kPreferred = kCast[0];
inline constexpr const Kind& kStranger = kCast[1];
inline constexpr const Kind& kEarlyTalker = kCast[2];
inline constexpr const Kind& kZombie = kCast[3];

inline constexpr uint32_t kClients =
    kPreferred.count + kStranger.count + kEarlyTalker.count + kZombie.count;

}  // namespace lychgate::demo
