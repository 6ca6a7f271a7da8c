// Each runs lookups of its own until all has come or the time is over, and prints one report.

#include "core/daemon/commands_lists.h"

#include <memory>

#include <fmt/format.h>

#include "core/daemon/lists_report.h"
#include "core/daemon/online.h"
#include "core/daemon/plan.h"
#include "core/daemon/why_report.h"

namespace lychgate::daemon {
namespace {

constexpr milliseconds kSecond{1000};

// A list is disabled after its second silence, each dns.timeout long.
milliseconds proving_time(const config::Dns& dns) {
  return 2 * dns.timeout + kSecond;
}

// Some DNS server has said something, be it that it cannot answer.
bool heard_any(const Online& online) {
  const ShardCounters& counters = online.counters();
  return counters.get(Counter::kDnsAnswered) + counters.get(Counter::kDnsFailed) > 0;
}

std::string servers_text(const Online& online) {
  const dns::Servers& servers = online.lookups().resolver().servers();
  std::string out;
  for (uint32_t i = 0; i < servers.count(); ++i) {
    const bool silent = !heard_any(online) || servers.is_down(i);
    out += fmt::format("DNS server {} {}\n", servers.endpoint(i).bracketed(),
                       silent ? "does not answer: check dns.servers (without any, "
                                "/etc/resolv.conf) and the way to it"
                              : "answers");
  }
  return out;
}

// Nothing that is still to come could change the report.
bool complete(const Online& online, size_t lists) {
  const Lookups& lookups = online.lookups();
  if (!lookups.watch()->all_proven()) return false;
  for (uint32_t i = 0; i < lists; ++i) {
    if (lookups.answer(online.client(), i).state == dns::AnswerState::kAsked) return false;
  }
  const bool open = lookups.sum(online.client()).standing == admission::Standing::kOpen;
  return open || online.decided();
}

// What became of the one lookup of a list, when nothing usable came.
ListFault fault_of(const ListCounters& counts) {
  if (counts.errors.load() > 0) return ListFault::kErrorCodes;
  return counts.failed.load() > 0 ? ListFault::kRefused : ListFault::kTimedOut;
}

WhyList part_of(const Online& online, const config::List& list, uint32_t index, uint8_t cell) {
  const ListBoard& board = online.shared().boards[cell];
  WhyList part{.list = &list,
               .state = static_cast<ListState>(board.state.load()),
               .fault = static_cast<ListFault>(board.fault.load()),
               .answer = online.lookups().answer(online.client(), index)};
  const bool failed = part.answer.state == dns::AnswerState::kFailed;
  if (failed && part.state != ListState::kDisabled) {
    part.fault = fault_of(online.counters().lists[cell]);
  }
  if (part.answer.state == dns::AnswerState::kAnswered) {
    part.ttl = online.lookups().seconds_left(part.answer);
  }
  return part;
}

void take_answers(const Online& online, const ListsPlan& plan, WhyParts& why) {
  const Lookups& lookups = online.lookups();
  why.score = lookups.sum(online.client()).score;
  Lookups::Parts counted;
  if (lookups.parts(online.client(), counted) > 0 && counted[0].weight > 0) {
    why.named = &plan.lists[counted[0].list];
    why.reason = lookups.reason(online.client(), counted[0].list);
  }
  for (uint32_t i = 0; i < plan.lists.size(); ++i) {
    why.lists.push_back(part_of(online, plan.lists[i], i, why.config.cells.lists[i]));
  }
}

}  // namespace

Result<int> check_online(const config::Config& config, const ListsPlan& plan) {
  if (plan.lists.empty()) {
    fmt::print("no DNS lists are configured (dnsl.sites): nothing to ask\n");
    return 0;
  }
  auto online = Online::create(config, plan);
  if (!online) return tl::unexpected(online.error());
  (*online)->run(proving_time(config.dns),
                 [&] { return (*online)->lookups().watch()->all_proven(); });
  fmt::print("{}", servers_text(**online));
  if (!heard_any(**online)) {
    fmt::print("no list could be tested\n");
    return static_cast<int>(ExitCode::kUnavailable);
  }
  const Proof proof = proof_of(plan.lists, config.cells, (*online)->shared());
  fmt::print("{}", proof.text);
  return proof.good ? 0 : static_cast<int>(ExitCode::kUnavailable);
}

Result<int> explain(const config::Config& config, const ListsPlan& plan,
                    const WhyRequest& request) {
  const auto address = IpAddress::parse(request.address);
  if (!address) {
    return fail(ExitCode::kUsage,
                fmt::format("\"{}\" is not an IP address; expected one such as 192.0.2.1 or "
                            "2001:db8::1",
                            request.address));
  }
  const auto access = load_access_list(config.access);
  if (!access) return tl::unexpected(access.error());
  WhyParts why{.config = config, .address = *address, .access = {}, .lists = {}, .reason = {}};
  if (*access) why.access = (*access)->lookup(*address);
  why.remembered = request.remembered;
  std::unique_ptr<Online> online;
  if (!plan.lists.empty()) {
    auto made = Online::create(config, plan);
    if (!made) return tl::unexpected(made.error());
    online = std::move(*made);
    online->ask(*address);
    online->run(config.dns.timeout + kSecond, [&] { return complete(*online, plan.lists.size()); });
    take_answers(*online, plan, why);
  }
  fmt::print("{}", request.json ? why_json(why) : why_text(why));
  if (online == nullptr || heard_any(*online)) return 0;
  fmt::print(stderr, "{}", servers_text(*online));
  return static_cast<int>(ExitCode::kUnavailable);
}

}  // namespace lychgate::daemon
