// Routes in order, then fallbacks.

#include "tests/sim/route_book.h"

namespace lychgate::sim {

std::set<uint32_t> pools_for(const config::Config& config, const RoutedClient& client) {
  std::set<uint32_t> out;
  for (const config::Route& route : config.routes) {
    const config::Condition& when = route.when;
    bool matches = !when.allowlisted || *when.allowlisted == client.allowlisted;
    matches = matches && (!when.listener || *when.listener == client.listener);
    bool in_network = when.networks.empty();
    for (const Network& network : when.networks) in_network |= network.contains(client.address);
    matches = matches && in_network;
    bool certain = true;
    const auto at_least = [&](uint64_t wanted, uint64_t least, uint64_t most) {
      matches = matches && most >= wanted;
      certain = certain && least >= wanted;
    };
    if (when.min_passes) {
      at_least(static_cast<uint64_t>(*when.min_passes), client.passes_min, client.passes_max);
    }
    if (when.seen_for) {
      const auto wanted = static_cast<uint64_t>(when.seen_for->count() / 1000);
      at_least(wanted, client.seen_for_min, client.seen_for_max);
    }
    if (when.known && client.known) matches = matches && *when.known == *client.known;
    if (when.max_score && client.score) matches = matches && *client.score <= *when.max_score;
    if (when.overload) certain = false;
    certain = certain && (!when.known || client.known) && (!when.max_score || client.score);
    if (!matches) continue;
    std::optional<uint32_t> pool = route.pool_index;
    while (pool && out.insert(*pool).second) pool = config.pools[*pool].fallback_index;
    if (certain) break;
  }
  return out;
}

}  // namespace lychgate::sim
