// Rounds of probes, what they prove, and the two things looked at each second: lookups that go
// wrong, and the budgets of the day.

#include "core/daemon/list_watch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

using dns::ProbeOutcome;

constexpr Tick kSecondMs = 1000;
// Lookups lost within one second, with none answered, before a probe is to tell why.
constexpr uint64_t kSuspiciousLosses = 10;
// Parts of a budget, in percent, that are worth a line; at the last the list is disabled.
constexpr std::array<uint32_t, 3> kBudgetParts = {100, 80, 50};

constexpr auto kRelaxed = std::memory_order_relaxed;

bool must_be_listed(uint32_t point) {
  return point % 2 == 0;
}

const std::optional<IpAddress>& address_of(const config::List& list, uint32_t point) {
  const config::TestPoints& points = point < 2 ? list.test4 : list.test6;
  return must_be_listed(point) ? points.listed : points.unlisted;
}

ProbeOutcome judge_point(uint32_t point, PointAnswer answer) {
  switch (answer) {
    case PointAnswer::kListed:
      return must_be_listed(point) ? ProbeOutcome::kGood : ProbeOutcome::kUnlistedListed;
    case PointAnswer::kUnlisted:
      return must_be_listed(point) ? ProbeOutcome::kListedMissing : ProbeOutcome::kGood;
    case PointAnswer::kErrorCode:
      return ProbeOutcome::kErrorCode;
    case PointAnswer::kOverQuota:
      return ProbeOutcome::kOverQuota;
    case PointAnswer::kRefused:
      return ProbeOutcome::kRefused;
    case PointAnswer::kTimedOut:
    case PointAnswer::kNotAsked:
      return ProbeOutcome::kTimedOut;
  }
  return ProbeOutcome::kTimedOut;
}

bool is_silence(PointAnswer answer) {
  return answer == PointAnswer::kRefused || answer == PointAnswer::kTimedOut;
}

int64_t seconds_of(WallTime wall) {
  return std::chrono::duration_cast<std::chrono::seconds>(wall.time_since_epoch()).count();
}

std::string disabled_line(const config::List& list, ListFault fault) {
  std::string line = fmt::format("warning: DNS list {} disabled: {}", list.name,
                                 kListFaultWords[static_cast<size_t>(fault)]);
  if (fault == ListFault::kOverBudget) {
    line += fmt::format(" ({}); it is asked again from 00:00 UTC", list.daily_budget);
  }
  return line;
}

// "2m5s": the two largest units.
std::string span_text(std::chrono::seconds span) {
  const int64_t all = std::max<int64_t>(span.count(), 0);
  const int64_t days = all / 86400;
  const int64_t hours = all / 3600 % 24;
  const int64_t minutes = all / 60 % 60;
  if (days > 0) return fmt::format("{}d{}h", days, hours);
  if (hours > 0) return fmt::format("{}h{}m", hours, minutes);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, all % 60);
  return fmt::format("{}s", all);
}

uint64_t queries_of(std::span<const ShardCounters> shards, uint32_t cell) {
  uint64_t sum = 0;
  for (const ShardCounters& shard : shards) sum += shard.lists[cell].queries.load(kRelaxed);
  return sum;
}

}  // namespace

uint64_t queries_today(const SharedLists& shared, std::span<const ShardCounters> shards,
                       uint32_t cell) {
  return queries_of(shards, cell) - shared.boards[cell].day_base.load(kRelaxed);
}

ListWatch::ListWatch(const ListWatchParts& parts, Tick now)
    : cells_(parts.cells),
      lists_(parts.lists),
      shared_(parts.shared),
      counters_(parts.counters),
      stop_over_budget_(parts.dnsl.stop_over_budget),
      random_(parts.seed),
      watched_(parts.lists.size()),
      next_second_(now) {
  LYCH_CHECK(lists_.size() <= kListsMax);
  for (uint32_t i = 0; i < lists_.size(); ++i) {
    Watched& watched = watched_[i];
    watched.health = dns::ListHealth({.interval = parts.dnsl.probe_interval}, now, jitter());
    for (uint32_t point = 0; point < kProbePoints; ++point) {
      if (address_of(lists_[i], point)) watched.points |= static_cast<uint8_t>(1u << point);
    }
    const bool unseen = board_of(i).state.load(kRelaxed) == 0;
    // Trusted at once; every_second() gives the date.
    if (watched.points == 0 && unseen) publish(i, WallTime());
  }
}

uint32_t ListWatch::jitter() {
  // Knuth's MMIX generator: nobody gains by foreseeing when a probe leaves.
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_ >> 32);
}

void ListWatch::advance(Tick now, WallTime wall) {
  if (tick_reached(now, next_second_)) {
    next_second_ = now + kSecondMs;
    every_second(now, wall);
  }
  for (uint32_t i = 0; i < watched_.size(); ++i) {
    const auto at = next_round(watched_[i]);
    if (at && tick_reached(now, *at)) begin_round(i);
  }
}

std::optional<Tick> ListWatch::next_round(const Watched& watched) {
  if (watched.points == 0 || watched.over_budget || watched.health.probing()) return std::nullopt;
  return watched.health.next_probe();
}

void ListWatch::begin_round(uint32_t list) {
  Watched& watched = watched_[list];
  watched.health.probe_begun();
  watched.outstanding = watched.points;
  watched.answers = {};
  for (uint32_t point = 0; point < kProbePoints; ++point) {
    const auto& address = address_of(lists_[list], point);
    if (address) probes_.push_back({.list = list, .point = point, .address = *address});
  }
}

std::optional<Probe> ListWatch::next_probe() {
  if (probes_.empty()) return std::nullopt;
  const Probe probe = probes_.front();
  probes_.pop_front();
  return probe;
}

void ListWatch::probed(const Probe& probe, PointAnswer answer, Tick now, WallTime wall) {
  LYCH_CHECK(probe.list < watched_.size() && probe.point < kProbePoints);
  Watched& watched = watched_[probe.list];
  const auto bit = static_cast<uint8_t>(1u << probe.point);
  LYCH_CHECK((watched.outstanding & bit) != 0);
  watched.outstanding = static_cast<uint8_t>(watched.outstanding & ~bit);
  watched.answers[probe.point] = answer;
  if (watched.outstanding != 0) return;
  const bool whole = std::none_of(watched.answers.begin(), watched.answers.end(),
                                  [](PointAnswer each) { return each == PointAnswer::kNotAsked; });
  if (!whole) return watched.health.probe_dropped(now);
  watched.health.probe_ended(outcome_of(probe.list), now, jitter());
  publish(probe.list, wall);
}

dns::ProbeOutcome ListWatch::outcome_of(uint32_t list) const {
  const Watched& watched = watched_[list];
  const bool strict = lists_[list].strict_test_points;
  ProbeOutcome all = ProbeOutcome::kGood;
  ProbeOutcome listed = ProbeOutcome::kGood;  // of listed points, when none of them is
  bool one_listed = false;
  for (uint32_t point = 0; point < kProbePoints; ++point) {
    if ((watched.points >> point & 1u) == 0) continue;
    const PointAnswer answer = watched.answers[point];
    const ProbeOutcome outcome = judge_point(point, answer);
    one_listed = one_listed || (must_be_listed(point) && outcome == ProbeOutcome::kGood);
    // Nobody has said that an undescribed list serves both families: one of them may be silent,
    // or list nothing, as long as the other proves that the list is there.
    const bool excusable = is_silence(answer) || outcome == ProbeOutcome::kListedMissing;
    if (strict || !excusable) {
      all = dns::worse_of(all, outcome);
    } else if (must_be_listed(point)) {
      // The least of them: behind a silence the record may be that is missing elsewhere.
      const bool less = dns::worse_of(listed, outcome) == listed;
      if (listed == ProbeOutcome::kGood || less) listed = outcome;
    }
  }
  return one_listed ? all : dns::worse_of(all, listed);
}

// What the board is to say follows from the proofs and the budget; a line is due when the list is
// asked from now on, or no more.
void ListWatch::publish(uint32_t list, WallTime wall) {
  const Watched& watched = watched_[list];
  ListBoard& board = board_of(list);
  const auto before = static_cast<ListState>(board.state.load(kRelaxed));
  const auto fault_before = static_cast<ListFault>(board.fault.load(kRelaxed));
  ListState state = watched.points == 0 ? ListState::kUp : watched.health.state();
  ListFault fault = watched.points == 0 ? ListFault::kNone : watched.health.fault();
  if (state == ListState::kUnproven) {  // until there is a proof, what a predecessor knew holds
    state = before;
    fault = fault_before;
  }
  if (watched.over_budget) {
    state = ListState::kDisabled;
    fault = ListFault::kOverBudget;
  }
  if (state == before && fault == fault_before) return;
  board.fault.store(static_cast<uint8_t>(fault), kRelaxed);
  if (state != before) {
    const int64_t since = board.since.exchange(seconds_of(wall), kRelaxed);
    board.state.store(static_cast<uint8_t>(state), kRelaxed);
    if (state == ListState::kDisabled) {
      board.epoch.fetch_add(1, kRelaxed);
      lines_.push_back(disabled_line(lists_[list], fault));
    } else if (before == ListState::kDisabled) {
      const std::chrono::seconds away(seconds_of(wall) - since);
      lines_.push_back(
          fmt::format("DNS list {} is back after {}", lists_[list].name, span_text(away)));
    }
  }
  // After the board: who sees the new version sees what it stands for.
  shared_.version.fetch_add(1, std::memory_order_release);
}

void ListWatch::every_second(Tick now, WallTime wall) {
  const bool new_day = enter_day(wall);
  for (uint32_t i = 0; i < watched_.size(); ++i) {
    // A board that nobody has written: the list waits for its first proof, since now.
    ListBoard& board = board_of(i);
    if (board.since.load(kRelaxed) == 0) board.since.store(seconds_of(wall), kRelaxed);
    if (new_day) {
      watched_[i].over_budget = false;
      watched_[i].budget_part_said = 0;
    }
    look_at_budget(i);
    publish(i, wall);
    suspect(i, now);
  }
  first_second_ = false;
}

// True when another day (UTC) has begun, for this watch or for the gate.
bool ListWatch::enter_day(WallTime wall) {
  const int64_t today = seconds_of(wall) / 86400;
  // Any other day, not only a later one: a clock that was set back must not stop the counting.
  if (shared_.day.exchange(today, kRelaxed) == today) return false;
  // All cells: a list that another configuration names again has the same day.
  for (uint32_t cell = 0; cell < kListsMax; ++cell) {
    shared_.boards[cell].day_base.store(queries_of(counters_, cell), kRelaxed);
  }
  return true;
}

void ListWatch::look_at_budget(uint32_t list) {
  const uint64_t budget = lists_[list].daily_budget;
  if (budget == 0) return;
  Watched& watched = watched_[list];
  const uint64_t used = queries_today(shared_, counters_, cells_.lists[list]);
  for (const uint32_t part : kBudgetParts) {
    if (used * 100 < budget * part) continue;
    if (part <= watched.budget_part_said) return;
    watched.budget_part_said = part;
    watched.over_budget = part == 100 && stop_over_budget_;
    // What the first look finds was told by the predecessor; a disabled list has its own line.
    if (first_second_ || watched.over_budget) return;
    lines_.push_back(fmt::format("warning: DNS list {}: {} % of its {} queries a day are used up",
                                 lists_[list].name, part, budget));
    return;
  }
}

ListWatch::Sums ListWatch::sums_of(uint32_t list) const {
  Sums sums;
  for (const ShardCounters& shard : counters_) {
    const ListCounters& counts = shard.lists[cells_.lists[list]];
    sums.errors += counts.errors.load(kRelaxed);
    sums.lost += counts.failed.load(kRelaxed) + counts.timeouts.load(kRelaxed);
    sums.answered += counts.answered.load(kRelaxed);
  }
  return sums;
}

void ListWatch::suspect(uint32_t list, Tick now) {
  Watched& watched = watched_[list];
  const Sums sums = sums_of(list);
  const Sums seen = std::exchange(watched.seen, sums);
  if (first_second_) return;
  const bool silent = sums.lost - seen.lost >= kSuspiciousLosses && sums.answered == seen.answered;
  if (sums.errors != seen.errors || silent) watched.health.suspect(now);
}

std::optional<Tick> ListWatch::next_wake() const {
  if (watched_.empty()) return std::nullopt;
  Tick wake = next_second_;
  for (const Watched& watched : watched_) {
    const auto at = next_round(watched);
    if (at && !tick_reached(*at, wake)) wake = *at;
  }
  return wake;
}

bool ListWatch::all_proven() const {
  return std::all_of(watched_.begin(), watched_.end(), [](const Watched& watched) {
    return watched.points == 0 || watched.health.state() != ListState::kUnproven;
  });
}

std::optional<std::string> ListWatch::next_line() {
  if (lines_.empty()) return std::nullopt;
  std::string line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

}  // namespace lychgate::daemon
