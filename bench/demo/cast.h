// Who takes part in the demo: the kinds of clients, how many of each, where they come from and what
// each of them should live to see; and the DNS lists that know some of them. Only data.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/time.h"

namespace lychgate::demo {

// How long an unknown client must stay silent, how long the gate then waits for its first command,
// and how long the hostile server waits for any.
inline constexpr milliseconds kGreetWait{2000};
inline constexpr milliseconds kGatePatience{1500};
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

enum class Hold : uint8_t {
  kNone,   // is not told to wait
  kShort,  // hears `220-`, and the DNS lists decide before the wait is over
  kWhole,  // hears `220-` and is not greeted before the wait is over
};

struct Kind {
  std::string_view name;
  std::string_view plural;
  Manner manner;
  uint8_t network;  // every client has its own address in 127.network.0.0/16
  uint32_t count;
  // What should happen.
  Hold hold;
  Destination destination;
  std::array<std::string_view, 7> codes;  // beginnings of the replies, in order; empty: no more
};

inline constexpr uint8_t kPermittedNetwork = 10;
inline constexpr uint8_t kListedNetwork = 50;
inline constexpr uint8_t kVouchedNetwork = 60;

inline constexpr std::array<Kind, 7> kCast = {{
    {.name = "preferred",
     .plural = "preferred clients",
     .manner = Manner::kPolite,
     .network = kPermittedNetwork,
     .count = 150,
     .hold = Hold::kNone,
     .destination = Destination::kFriendly,
     .codes = {"220 friendly", "250", "250", "250", "354", "250", "221"}},
    {.name = "stranger",
     .plural = "strangers",
     .manner = Manner::kPolite,
     .network = 20,
     .count = 100,
     .hold = Hold::kWhole,
     .destination = Destination::kHostile,
     .codes = {"220 gate", "250", "250", "250", "354", "250", "221"}},
    {.name = "early talker",
     .plural = "early talkers",
     .manner = Manner::kHasty,
     .network = 30,
     .count = 100,
     .hold = Hold::kWhole,
     .destination = Destination::kNowhere,
     .codes = {"521 5.5.1"}},
    {.name = "silent zombie",
     .plural = "silent zombies",
     .manner = Manner::kSilent,
     .network = 40,
     .count = 300,
     .hold = Hold::kWhole,
     .destination = Destination::kNowhere,
     .codes = {"220 gate", "421 4.4.2"}},
    {.name = "listed",
     .plural = "listed clients",
     .manner = Manner::kPolite,
     .network = kListedNetwork,
     .count = 100,
     .hold = Hold::kShort,
     .destination = Destination::kNowhere,
     .codes = {"521 5.7.1"}},
    {.name = "vouched for",
     .plural = "clients vouched for",
     .manner = Manner::kPolite,
     .network = kVouchedNetwork,
     .count = 60,
     .hold = Hold::kShort,
     .destination = Destination::kFriendly,
     .codes = {"220 friendly", "250", "250", "250", "354", "250", "221"}},
    {.name = "error-coded",
     .plural = "error-coded clients",
     .manner = Manner::kPolite,
     .network = 70,
     .count = 60,
     .hold = Hold::kWhole,
     .destination = Destination::kHostile,
     .codes = {"220 gate", "250", "250", "250", "354", "250", "221"}},
}};
inline constexpr const Kind& kPreferred = kCast[0];
inline constexpr const Kind& kStranger = kCast[1];
inline constexpr const Kind& kEarlyTalker = kCast[2];
inline constexpr const Kind& kZombie = kCast[3];
inline constexpr const Kind& kListed = kCast[4];
inline constexpr const Kind& kVouched = kCast[5];
inline constexpr const Kind& kErrorCoded = kCast[6];

inline constexpr uint32_t kClients = [] {
  uint32_t sum = 0;
  for (const Kind& kind : kCast) sum += kind.count;
  return sum;
}();

// A DNS list of the demo: which network it knows, and what it says of it.
struct DemoList {
  std::string_view zone;
  uint8_t network;        // 0: it knows nobody, besides the test point that all of them list
  uint8_t code;           // the last octet of 127.0.0.x
  std::string_view site;  // as in dnsl.sites
  std::string_view says;  // for the report
};
// The first is described by a catalogue file of the demo, the others by their sites.
inline constexpr std::array<DemoList, 4> kLists = {{
    {.zone = "bl.example",
     .network = kListedNetwork,
     .code = 2,
     .site = "bl.example",
     .says = "5 points, by its catalogue file"},
    {.zone = "xbl.example",
     .network = kListedNetwork,
     .code = 4,
     .site = "xbl.example=127.0.0.[4..7]*3",
     .says = "3 points for four codes"},
    {.zone = "wl.example",
     .network = kVouchedNetwork,
     .code = 3,
     .site = "wl.example=127.0.0.[2..3]*-5",
     .says = "-5 points: it vouches"},
    {.zone = "quota.example",
     .network = 0,
     .code = 2,
     .site = "quota.example=127.[0..255].[0..255].[1..254]*8",
     .says = "8 points for any code"},
}};
inline constexpr const DemoList& kNamedList = kLists[0];  // of those that list, the heaviest
inline constexpr const DemoList& kQuotaList = kLists[3];

}  // namespace lychgate::demo
