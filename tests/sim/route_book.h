// Which pools may serve a client, by a reading of the routes of its own, so that it can disagree
// with the gate. Knows nothing of backends or of how full a pool is.

#pragma once

#include <cstdint>
#include <optional>
#include <set>

#include "core/config/config.h"

namespace lychgate::sim {

struct RoutedClient {
  IpAddress address;
  uint32_t listener = 0;  // index into Config::listens
  bool allowlisted = false;
  std::optional<int> score{};   // nullopt: nobody but the gate can know it
  std::optional<bool> known{};  // likewise
  // Of earlier visits, as far as anybody can know.
  uint32_t passes_min = 0;
  uint32_t passes_max = 0;
  uint32_t seen_for_min = 0;  // seconds
  uint32_t seen_for_max = 0;
};

// Indexes into Config::pools.
std::set<uint32_t> pools_for(const config::Config& config, const RoutedClient& client);

}  // namespace lychgate::sim
