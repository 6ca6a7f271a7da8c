// The levels' order and what they override.

#include "core/admission/overload.h"

#include <algorithm>

namespace lychgate::admission {
namespace {

using config::OverloadLevel;

uint32_t begins_at(const config::Overload& overload, OverloadLevel level) {
  switch (level) {
    case OverloadLevel::kNormal:
      return 0;
    case OverloadLevel::kBusy:
      return overload.busy_at;
    case OverloadLevel::kStress:
      return overload.stress_at;
    case OverloadLevel::kEmergency:
      return overload.emergency_at;
  }
  return 0;
}

// The worst level for which there is a reason now.
OverloadLevel level_of(uint32_t fullest, const config::Overload& overload) {
  OverloadLevel level = OverloadLevel::kNormal;
  for (const auto at : {OverloadLevel::kBusy, OverloadLevel::kStress, OverloadLevel::kEmergency}) {
    if (fullest >= begins_at(overload, at)) level = at;
  }
  return level;
}

OverloadLevel below(OverloadLevel level) {
  return static_cast<OverloadLevel>(static_cast<uint8_t>(level) - 1);
}

// An override counts where it is less; a setting that is not there is no bound.
template <typename T, typename Setting>
void lower(Setting& setting, const std::optional<T>& by) {
  if (by) setting = std::min(setting, static_cast<Setting>(*by));
}
template <typename T>
void lower(std::optional<T>& setting, const std::optional<T>& by) {
  if (by) setting = setting ? std::min(*setting, *by) : *by;
}

const config::LevelSettings& own_settings(const config::Overload& overload, OverloadLevel level) {
  static const config::LevelSettings kNone;
  switch (level) {
    case OverloadLevel::kNormal:
      break;
    case OverloadLevel::kBusy:
      return overload.busy;
    case OverloadLevel::kStress:
      return overload.stress;
    case OverloadLevel::kEmergency:
      return overload.emergency;
  }
  return kNone;
}

void apply(const config::LevelSettings& settings, config::Config& config) {
  lower(config.greet.wait, settings.greet_wait);
  // As it is read: an early look that is not before the end of the wait is none.
  if (config.greet.early_look >= config.greet.wait) config.greet.early_look = milliseconds{0};
  lower(config.dialogue.command_time_limit, settings.command_time_limit);
  lower(config.dns.timeout, settings.dns_timeout);
  // 0 is no limit, so any is less.
  if (config.limits.per_address == 0 && settings.per_address) {
    config.limits.per_address = static_cast<uint32_t>(*settings.per_address);
  }
  lower(config.limits.per_address, settings.per_address);
}

}  // namespace

uint32_t Load::fullest() const {
  return std::max({clients, backends, waiting, memory});
}

OverloadState next_level(const OverloadState& state, const Load& load,
                         const config::Overload& overload, Tick now) {
  const uint32_t fullest = load.fullest();
  const OverloadLevel reached = level_of(fullest, overload);
  if (reached >= state.level) return {reached, now};
  const uint32_t at = begins_at(overload, state.level);
  const uint32_t ends_at = at - std::min(at, overload.relief);
  if (fullest > ends_at) return {state.level, now};
  if (!tick_reached(now, state.since + to_ticks(overload.calm))) return state;
  return {below(state.level), now};
}

config::LevelSettings level_settings(const config::Overload& overload, OverloadLevel level) {
  config::LevelSettings out;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(level); ++i) {
    const config::LevelSettings& own = own_settings(overload, static_cast<OverloadLevel>(i));
    lower(out.greet_wait, own.greet_wait);
    lower(out.command_time_limit, own.command_time_limit);
    lower(out.dns_timeout, own.dns_timeout);
    lower(out.per_address, own.per_address);
    lower(out.tarpit_clients, own.tarpit_clients);
  }
  return out;
}

LevelConfigs level_configs(const config::Config& config) {
  LevelConfigs out;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = config;
    apply(level_settings(config.overload, static_cast<OverloadLevel>(i)), out[i]);
  }
  return out;
}

uint32_t tarpit_clients(const config::Config& config, OverloadLevel level) {
  const uint32_t usual =
      config.tarpit.clients != 0 ? config.tarpit.clients : config.limits.per_shard / 2;
  const auto settings = level_settings(config.overload, level);
  if (!settings.tarpit_clients) return usual;
  return std::min(usual, static_cast<uint32_t>(*settings.tarpit_clients));
}

}  // namespace lychgate::admission
