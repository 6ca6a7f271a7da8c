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
    const bool known = !when.max_score || client.score;
    if (matches && when.max_score && known) matches = *client.score <= *when.max_score;
    if (!matches) continue;
    std::optional<uint32_t> pool = route.pool_index;
    while (pool && out.insert(*pool).second) pool = config.pools[*pool].fallback_index;
    if (known) break;
  }
  return out;
}

}  // namespace lychgate::sim
