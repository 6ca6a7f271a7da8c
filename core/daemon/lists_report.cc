// One snapshot of each list, rendered twice.

#include "core/daemon/lists_report.h"

#include <array>
#include <ctime>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/list_watch.h"
#include "core/daemon/text_table.h"

namespace lychgate::daemon {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// The last latency cell has no upper bound, only a lower one.
constexpr uint32_t kLastBoundMs = 1u << (kLatencyCells - 1);

struct Numbers {
  ListState state = ListState::kUnproven;
  ListFault fault = ListFault::kNone;
  int64_t since = 0;
  uint64_t queries = 0;
  uint64_t answered = 0;
  uint64_t listed = 0;
  uint64_t errors = 0;
  uint64_t failed = 0;
  uint64_t timeouts = 0;
  uint64_t today = 0;
  std::array<uint64_t, kLatencyCells> latency{};
};

Numbers read(const ListsReportParts& parts, uint32_t list) {
  Numbers out;
  const uint8_t cell = parts.cells.lists[list];
  const ListBoard& board = parts.shared.boards[cell];
  out.state = static_cast<ListState>(board.state.load(kRelaxed));
  out.fault = static_cast<ListFault>(board.fault.load(kRelaxed));
  out.since = board.since.load(kRelaxed);
  for (const ShardCounters& shard : parts.counters) {
    const ListCounters& from = shard.lists[cell];
    out.queries += from.queries.load(kRelaxed);
    out.answered += from.answered.load(kRelaxed);
    out.listed += from.listed.load(kRelaxed);
    out.errors += from.errors.load(kRelaxed);
    out.failed += from.failed.load(kRelaxed);
    out.timeouts += from.timeouts.load(kRelaxed);
    for (size_t i = 0; i < kLatencyCells; ++i) out.latency[i] += from.latency[i].load(kRelaxed);
  }
  out.today = queries_today(parts.shared, parts.counters, cell);
  return out;
}

std::string latency_text(const Numbers& numbers, double share) {
  const uint32_t bound = percentile_ms(numbers.latency, share);
  if (bound == 0) return "-";
  return bound < kLastBoundMs ? fmt::format("<{}", bound) : fmt::format(">={}", bound / 2);
}

std::string latency_json(const Numbers& numbers, double share) {
  const uint32_t bound = percentile_ms(numbers.latency, share);
  return bound == 0 ? "null" : fmt::format("{}", bound);
}

const char* fault_words(ListFault fault) {
  return kListFaultWords[static_cast<size_t>(fault)];
}

const char* state_name(ListState state) {
  return kListStateNames[static_cast<size_t>(state)];
}

const char* remedy_for(ListFault fault) {
  switch (fault) {
    case ListFault::kNone:
      return "";
    case ListFault::kListedMissing:
      return "look at the list's own page whether it has moved or is emptied; if not, check the "
             "zone's name";
    case ListFault::kAnswersEverything:
      return "take it out of dnsl.sites; if every list is like this, the DNS server invents "
             "answers: name another one in dns.servers";
    case ListFault::kErrorCodes:
      return "ask through a resolver of your own, not a public one (dns.servers), and check the "
             "key and the zone's name";
    case ListFault::kOverQuota:
      return "ask through a resolver of your own, or get a key from the list";
    case ListFault::kRefused:
      return "check the zone's name; if every list is like this, the DNS server does not serve "
             "this host: name another one in dns.servers";
    case ListFault::kTimedOut:
      return "check that the list is still there; if every list is like this, that the DNS "
             "server answers (dns.servers, port 53)";
    case ListFault::kOverBudget:
      return "wait for the next day (UTC), or raise daily_budget in a catalogue of your own";
  }
  return "";
}

}  // namespace

std::string lists_text(const ListsReportParts& parts) {
  if (parts.lists.empty()) return "no DNS lists are configured (dnsl.sites)\n";
  std::vector<TableRow> rows;
  rows.push_back({{"list", "state", "since", "queries", "answered", "listed", "errors", "failed",
                   "timeouts", "p50 ms", "p99 ms", "today", "budget"},
                  ""});
  for (uint32_t i = 0; i < parts.lists.size(); ++i) {
    const Numbers numbers = read(parts, i);
    const config::List& list = parts.lists[i];
    const auto since = static_cast<std::time_t>(numbers.since);
    rows.push_back(
        {{list.name, state_name(numbers.state),
          since == 0 ? "-" : fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(since)),
          fmt::format("{}", numbers.queries), fmt::format("{}", numbers.answered),
          fmt::format("{}", numbers.listed), fmt::format("{}", numbers.errors),
          fmt::format("{}", numbers.failed), fmt::format("{}", numbers.timeouts),
          latency_text(numbers, 0.5), latency_text(numbers, 0.99), fmt::format("{}", numbers.today),
          list.daily_budget == 0 ? "-" : fmt::format("{}", list.daily_budget)},
         numbers.state == ListState::kDisabled ? fault_words(numbers.fault) : ""});
  }
  return text_table("lllrrrrrrrrrr", rows);
}

std::string lists_json(const ListsReportParts& parts) {
  std::string all;
  for (uint32_t i = 0; i < parts.lists.size(); ++i) {
    const Numbers numbers = read(parts, i);
    const config::List& list = parts.lists[i];
    // A TOML basic string is a JSON string, too.
    const std::string why = numbers.state == ListState::kDisabled
                                ? config::toml_quoted(fault_words(numbers.fault))
                                : "null";
    all += fmt::format(
        "{}{{\"list\":{},\"state\":\"{}\",\"why\":{},\"since\":{},\"queries\":{},\"answered\":{},"
        "\"listed\":{},\"errors\":{},\"failed\":{},\"timeouts\":{},\"p50_ms\":{},\"p99_ms\":{},"
        "\"queries_today\":{},\"daily_budget\":{}}}",
        i == 0 ? "" : ",", config::toml_quoted(list.name), state_name(numbers.state), why,
        numbers.since, numbers.queries, numbers.answered, numbers.listed, numbers.errors,
        numbers.failed, numbers.timeouts, latency_json(numbers, 0.5), latency_json(numbers, 0.99),
        numbers.today, list.daily_budget == 0 ? "null" : fmt::format("{}", list.daily_budget));
  }
  return fmt::format("{{\"version\":\"{}\",\"lists\":[{}]}}\n", LYCHGATE_VERSION, all);
}

Proof proof_of(std::span<const config::List> lists, const Cells& cells, const SharedLists& shared) {
  Proof proof;
  std::vector<TableRow> rows{{{"list", "test points"}, ""}};
  for (size_t i = 0; i < lists.size(); ++i) {
    const ListBoard& board = shared.boards[cells.lists[i]];
    const auto state = static_cast<ListState>(board.state.load(kRelaxed));
    auto fault = static_cast<ListFault>(board.fault.load(kRelaxed));
    if (state == ListState::kUnproven) fault = ListFault::kTimedOut;  // and nobody waits longer
    const config::TestPoints& four = lists[i].test4;
    const config::TestPoints& six = lists[i].test6;
    const bool probed = four.listed || four.unlisted || six.listed || six.unlisted;
    if (state == ListState::kUp) {
      rows.push_back({{lists[i].name, probed ? "OK" : "none: not tested"}, ""});
      continue;
    }
    proof.good = false;
    rows.push_back({{lists[i].name, fault_words(fault)}, remedy_for(fault)});
  }
  proof.text = text_table("ll", rows);
  return proof;
}

}  // namespace lychgate::daemon
