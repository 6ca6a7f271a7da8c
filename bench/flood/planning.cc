// Defaults that depend on each other, in the order in which they do: rate, duration, count,
// parallel, grace.

#include "bench/flood/planning.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lychgate::flood {
namespace {

constexpr uint32_t kUsualParallel = 1000;
// Beyond the longest stay, for the last reply and the close.
constexpr milliseconds kGraceMargin{5000};

double seconds(milliseconds span) {
  return static_cast<double>(span.count()) / 1000;
}

// A count from a rate, within the bounds of a run.
uint64_t counted(double clients) {
  return static_cast<uint64_t>(std::clamp(std::ceil(clients), 1.0, double{kConnectionsMax}));
}

bool holds(const Manners& manners) {
  switch (manners.profile) {
    case Profile::kZombie:
    case Profile::kDrip:
    case Profile::kNeverReads:
      return true;
    case Profile::kEarly:
    case Profile::kBot:
    case Profile::kReset:
    case Profile::kHangup:
    case Profile::kLegit:
      return false;
  }
  return false;
}

milliseconds longest_stay(const std::vector<Manners>& mix) {
  milliseconds longest{0};
  for (const Manners& one : mix) longest = std::max(longest, longest_stay(one));
  return longest;
}

Schedule make_schedule(const Options& options) {
  Schedule out;
  if (options.rate) out.rate = *options.rate;
  if (options.ramp) {
    out.rate = options.ramp->to;
    out.ramp_from = options.ramp->from;
    out.ramp_over = options.ramp->over;
  }
  if (options.storm) {
    out.storm_rate = options.storm->rate;
    out.storm_every = options.storm->every;
    out.storm_for = options.storm->lasts;
  }
  if (out.rate > 0) out.arrivals = Arrivals::kOpen;
  return out;
}

// Closed loop: whoever holds is there to be held all at once, the others take turns. Open loop: as
// many as arrive while one stays, so that no arrival is late for want of room.
uint32_t usual_parallel(const Plan& plan) {
  uint64_t clients = kUsualParallel;
  if (plan.schedule.arrivals == Arrivals::kOpen) {
    clients += counted(peak_rate(plan.schedule) * seconds(longest_stay(plan.mix)));
  } else if (std::all_of(plan.mix.begin(), plan.mix.end(), holds) && plan.count < kConnectionsMax) {
    clients = plan.count;
  }
  return static_cast<uint32_t>(std::min({clients, plan.count, uint64_t{UINT32_MAX}}));
}

// How long the schedule needs for the count; only then is the usual minute too short or too long.
milliseconds usual_duration(const Options& options, const Plan& plan) {
  if (!options.count || plan.schedule.arrivals == Arrivals::kClosed) return plan.duration;
  const double slowest = std::min(plan.schedule.rate, peak_rate(plan.schedule));
  const double needed = static_cast<double>(*options.count) / slowest;
  const milliseconds ramp = plan.schedule.ramp_over;
  const double bound = seconds(kDurationMax) - seconds(ramp);
  return milliseconds(static_cast<int64_t>(std::min(needed + 1, bound) * 1000)) + ramp;
}

}  // namespace

double peak_rate(const Schedule& schedule) {
  return std::max({schedule.rate, schedule.ramp_over.count() > 0 ? schedule.ramp_from : 0,
                   schedule.storm_for.count() > 0 ? schedule.storm_rate : 0});
}

milliseconds longest_stay(const Manners& manners) {
  switch (manners.profile) {
    case Profile::kZombie:
    case Profile::kDrip:
    case Profile::kNeverReads:
      return manners.hold;
    case Profile::kEarly:
      return std::min(manners.hold, manners.timeout);
    case Profile::kBot:
    case Profile::kLegit:
      return manners.timeout;
    case Profile::kReset:
    case Profile::kHangup:
      return milliseconds(0);
  }
  return milliseconds(0);
}

Result<Wishes> read_wishes(const Options& options) {
  Wishes out;
  for (const std::string& text : options.targets) {
    const auto target = parse_target(text);
    if (!target) return fail(ExitCode::kUsage, fmt::format("TARGET {}: {}", text, target.error()));
    if (!out.targets.empty() && target->port != out.targets[0].port) {
      return fail(ExitCode::kUsage,
                  fmt::format("TARGET {}: another port than {}; all targets of a run share one",
                              text, out.targets[0].text));
    }
    out.targets.push_back(*target);
  }
  for (const std::string& text : options.sources) {
    if (text == "none") continue;
    const auto source = parse_source(text);
    if (!source) return fail(ExitCode::kUsage, fmt::format("--sources: {}", source.error()));
    out.sources.push_back(*source);
  }
  out.mix = {options.manners};
  return out;
}

Result<Plan> make_plan(const Options& options, const Wishes& wishes) {
  Plan plan = options.said;
  plan.port = wishes.targets[0].port;
  for (const Target& target : wishes.targets) plan.targets.push_back(target.network);
  plan.sources = wishes.sources;
  const bool v4_loopback =
      std::all_of(plan.targets.begin(), plan.targets.end(),
                  [](const Network& target) { return target.base.is_v4() && is_loopback(target); });
  if (options.sources.empty() && v4_loopback) {
    plan.sources = {*Network::parse("127.64.0.0/10")};
  }
  plan.mix = wishes.mix;
  plan.schedule = make_schedule(options);
  plan.duration = options.duration.value_or(usual_duration(options, plan));
  if (options.count) {
    plan.count = *options.count;
  } else if (plan.schedule.arrivals == Arrivals::kOpen) {
    plan.count = counted(peak_rate(plan.schedule) * seconds(plan.duration));
  } else if (options.duration) {
    plan.count = kConnectionsMax;
  } else if (options.parallel) {
    plan.count = std::max<uint64_t>(plan.count, *options.parallel);
  }
  plan.parallel = options.parallel.value_or(usual_parallel(plan));
  plan.grace = options.grace.value_or(std::max(plan.grace, longest_stay(plan.mix) + kGraceMargin));
  return plan;
}

}  // namespace lychgate::flood
