// Conditions of a route are joined by "and"; the networks of one condition by "or".

#include "core/admission/routes.h"

#include <algorithm>
#include <chrono>

#include "core/base/slots.h"

namespace lychgate::admission {
namespace {

bool holds(const config::Condition& when, const RouteFacts& facts) {
  const bool allowlisted = (facts.evidence & kAllowlisted) != 0;
  if (when.allowlisted && *when.allowlisted != allowlisted) return false;
  if (when.listener && *when.listener != facts.listener) return false;
  if (when.max_score && facts.score > *when.max_score) return false;
  const bool known = !allowlisted && (facts.evidence & kRemembered) != 0;
  if (when.known && *when.known != known) return false;
  if (when.min_passes && facts.passes < static_cast<uint32_t>(*when.min_passes)) return false;
  if (when.seen_for && std::chrono::seconds(facts.seen_for) < *when.seen_for) return false;
  if (when.overload && facts.overload < *when.overload) return false;
  if (when.networks.empty()) return true;
  return std::any_of(when.networks.begin(), when.networks.end(),
                     [&](const Network& network) { return network.contains(facts.address); });
}

}  // namespace

std::optional<uint32_t> choose_route(const RouteFacts& facts, const config::Config& config) {
  for (uint32_t i = 0; i < config.routes.size(); ++i) {
    if (holds(config.routes[i].when, facts)) return i;
  }
  return std::nullopt;
}

bool routes_by_history(const config::Config& config) {
  return std::any_of(config.routes.begin(), config.routes.end(), [](const config::Route& route) {
    return route.when.min_passes || route.when.seen_for;
  });
}

bool route_is_certain(const Tally& tally, const config::Config& config) {
  const int32_t least = tally.score + tally.loss_max;
  const int32_t greatest = tally.score + tally.gain_max;
  return std::none_of(config.routes.begin(), config.routes.end(), [&](const config::Route& route) {
    const auto& most = route.when.max_score;
    return most && least <= *most && *most < greatest;
  });
}

}  // namespace lychgate::admission
