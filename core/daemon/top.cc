// Blocks of lines: head, rates beside phases, pools, lists.

#include "core/daemon/top.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/text_table.h"

namespace lychgate::daemon {
namespace {

constexpr size_t kBesideColumns = 76;  // narrower screens get the blocks below each other
constexpr size_t kLeftColumns = 40;
constexpr size_t kBarColumns = 12;

struct RateRow {
  const char* name;
  std::vector<Counter> counters;
};
const std::vector<RateRow>& rate_rows() {
  static const std::vector<RateRow> kRows = {
      {"accepted", {Counter::kAccepted}},
      {"passed all tests", {Counter::kPassNew}},
      {"allowlisted", {Counter::kAllowlistedClients}},
      {"spoke early", {Counter::kPregreet}},
      {"over dnsl.threshold", {Counter::kListsFailed}},
      {"refused, dropped", {Counter::kRefused, Counter::kDropped}},
      {"hung up", {Counter::kHangup}},
      {"into the tarpit", {Counter::kTarpitted}},
      {"told 421",
       {Counter::kDropPerAddress, Counter::kDropPerShard, Counter::kDropHeld,
        Counter::kDropNoBackend, Counter::kDropNoRoute, Counter::kDropShutdown}},
      {"handed off", {Counter::kHandedOff}},
      {"DNS questions", {Counter::kDnsAsked}},
  };
  return kRows;
}

uint64_t sum(const Figures& figures, const std::vector<Counter>& counters) {
  uint64_t out = 0;
  for (const Counter counter : counters) out += figures.get(counter);
  return out;
}

// A counter that went back is a gate that was started again.
std::string per_second(uint64_t before, uint64_t now, double seconds) {
  if (now < before || seconds <= 0) return "-";
  return fmt::format("{:.1f}", static_cast<double>(now - before) / seconds);
}

using Lines = std::vector<TopLine>;

Lines draw_rates(const TopView& view) {
  Lines out{{fmt::format("{:<20}{:>9}{:>11}", "", "a second", "in all"), true}};
  for (const RateRow& row : rate_rows()) {
    const uint64_t now = sum(view.now, row.counters);
    out.push_back({fmt::format("{:<20}{:>9}{:>11}", row.name,
                               per_second(sum(view.before, row.counters), now, view.seconds), now),
                   false});
  }
  return out;
}

Lines draw_phases(const Figures& figures) {
  Lines out{{fmt::format("{:<12}{:>9}", "state", "now"), true}};
  uint64_t most = 1;
  for (size_t i = 1; i < kPhaseCount; ++i) most = std::max(most, figures.phases[i]);
  for (size_t i = 1; i < kPhaseCount; ++i) {
    const uint64_t count = figures.phases[i];
    const size_t bar = (count * kBarColumns + most - 1) / most;
    out.push_back(
        {fmt::format("{:<12}{:>9}  {}", kPhaseNames[i], count, std::string(bar, '#')), false});
  }
  return out;
}

Lines beside(const Lines& left, const Lines& right) {
  Lines out;
  for (size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
    const std::string first = i < left.size() ? left[i].text : "";
    const std::string second = i < right.size() ? right[i].text : "";
    out.push_back({fmt::format("{:<{}}   {}", first, kLeftColumns, second), i == 0});
  }
  return out;
}

Lines lines_of(const std::string& table) {
  Lines out;
  size_t from = 0;
  while (from < table.size()) {
    const size_t end = table.find('\n', from);
    out.push_back({table.substr(from, end - from), out.empty()});
    from = end + 1;
  }
  return out;
}

const Figures::Pool* find_pool(const Figures& figures, const std::string& name) {
  for (const Figures::Pool& pool : figures.pools) {
    if (pool.name == name) return &pool;
  }
  return nullptr;
}

Lines draw_pools(const TopView& view) {
  if (view.now.pools.empty()) return {};
  std::vector<TableRow> rows{{{"pool", "up", "open", "taken/s", "taken", "refused", "full",
                               "timed out", "fell back", "gave up"},
                              ""}};
  for (const Figures::Pool& pool : view.now.pools) {
    const Figures::Pool* before = find_pool(view.before, pool.name);
    const auto taken = static_cast<size_t>(HandoffOutcome::kTaken);
    std::vector<std::string> cells{
        pool.name, fmt::format("{}/{}", pool.backends_up, pool.backends),
        fmt::format("{}", pool.open),
        before == nullptr
            ? "-"
            : per_second(before->outcomes[taken], pool.outcomes[taken], view.seconds)};
    for (const uint64_t outcome : pool.outcomes) cells.push_back(fmt::format("{}", outcome));
    rows.push_back({cells, ""});
  }
  return lines_of(text_table("lrrrrrrrrr", rows));
}

Lines draw_lists(const TopView& view) {
  if (view.now.lists.empty()) return {};
  std::vector<TableRow> rows{
      {{"list", "state", "queries/s", "queries", "listed", "errors", "p50 ms", "p99 ms"}, ""}};
  for (const Figures::List& list : view.now.lists) {
    std::string rate = "-";
    for (const Figures::List& before : view.before.lists) {
      if (before.name == list.name) rate = per_second(before.queries, list.queries, view.seconds);
    }
    rows.push_back({{list.name, list.state, rate, fmt::format("{}", list.queries),
                     fmt::format("{}", list.listed), fmt::format("{}", list.errors),
                     fmt::format("{}", list.p50_ms), fmt::format("{}", list.p99_ms)},
                    ""});
  }
  return lines_of(text_table("llrrrrrr", rows));
}

// Nothing at other times.
std::string overload_text(const Figures& figures) {
  if (figures.level == 0 || figures.level >= config::kOverloadLevelCount) return "";
  const auto level = static_cast<config::OverloadLevel>(figures.level);
  return fmt::format("   overload: {}", config::level_text(level));
}

void append(Lines& out, const Lines& block) {
  if (block.empty()) return;
  out.push_back({});
  out.insert(out.end(), block.begin(), block.end());
}

}  // namespace

std::vector<TopLine> draw_top(const TopView& view, ScreenSize size) {
  const Figures& now = view.now;
  Lines out;
  if (!now.version.empty()) {
    out.push_back({fmt::format("lychgate {}   {} shards   {} clients of {} at most{}   q: quit",
                               now.version, now.shards, now.held, now.room, overload_text(now)),
                   true});
  }
  if (!view.trouble.empty()) out.push_back({view.trouble, true});
  if (!now.version.empty()) {
    const Lines rates = draw_rates(view);
    const Lines phases = draw_phases(now);
    if (size.columns >= kBesideColumns) {
      append(out, beside(rates, phases));
    } else {
      append(out, rates);
      append(out, phases);
    }
    append(out, draw_pools(view));
    append(out, draw_lists(view));
  }
  if (out.size() > size.rows) out.resize(size.rows);
  for (TopLine& line : out) {
    if (line.text.size() > size.columns) line.text.resize(size.columns);
    line.text.erase(line.text.find_last_not_of(' ') + 1);
  }
  return out;
}

}  // namespace lychgate::daemon
