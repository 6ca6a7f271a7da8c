// Which route an approved client takes: the first whose conditions all hold.
// Chooses no backend and knows no pool: the answer is an index into Config::routes.

#pragma once

#include <cstdint>
#include <optional>

#include "core/admission/score.h"
#include "core/base/address.h"
#include "core/base/client_record.h"
#include "core/config/config.h"

namespace lychgate::admission {

struct RouteFacts {
  uint16_t evidence = 0;  // bits of lychgate::Evidence
  IpAddress address;
  uint8_t listener = 0;  // index into Config::listens
  int16_t score = 0;     // of the DNS lists; 0: nothing is known
  // Of earlier visits, this one not counted.
  uint32_t passes = 0;
  Seconds seen_for = 0;
  config::OverloadLevel overload = config::OverloadLevel::kNormal;  // of the host, now
};

// nullopt when no route matches: the client hears 421.
std::optional<uint32_t> choose_route(const RouteFacts& facts, const config::Config& config);

// Whether some route asks for passes or seen_for.
bool routes_by_history(const config::Config& config);

// Whether the DNS lists' answers still to come cannot change which of the routes' max_score hold.
bool route_is_certain(const Tally& tally, const config::Config& config);

}  // namespace lychgate::admission
