// The way of a question through all shards, and its answer in words.

#include "core/daemon/control_sessions.h"

#include <sys/socket.h>

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/check.h"
#include "core/config/values.h"
#include "core/daemon/text_table.h"

namespace lychgate::daemon {
namespace {

// A shard answers in its next turn; one that is being started again takes a moment more.
constexpr Tick kShardAnswerMs = 2000;
constexpr Tick kJobMs = 15000;

struct EvidenceName {
  Evidence bit;
  std::string_view name;
};
constexpr EvidenceName kEvidenceNames[] = {
    {kAllowlisted, "allowlisted"},
    {kDenylisted, "denylisted"},
    {kSpokeEarly, "spoke_early"},
    {kHungUp, "hung_up"},
    {kAddressFull, "address_full"},
    {kShardFull, "shard_full"},
    {kHostFull, "host_full"},
    {kWaited, "waited"},
    {kTeased, "teased"},
    {kLookedEarly, "looked_early"},
    {kStillTalking, "still_talking"},
    {kAskingLists, "asking_lists"},
    {kListsFailed, "dnsl_failed"},
    {kListsAllow, "dnsl_allow"},
};

std::vector<std::string_view> evidence_of(const SessionRow& row) {
  std::vector<std::string_view> out;
  for (const EvidenceName& one : kEvidenceNames) {
    if ((row.evidence & one.bit) != 0) out.push_back(one.name);
  }
  return out;
}

std::string id_of(const FoundSession& session) {
  return fmt::format("{}:{}:{}", session.shard, session.row.id.slot, session.row.id.generation);
}

std::string_view listener_of(const SessionRow& row, const SessionNames& names) {
  const auto& listens = names.config.listens;
  return row.listener < listens.size() ? std::string_view(listens[row.listener].name) : "";
}

// Of a session that is finished under the configuration before.
constexpr std::string_view kGone = "(gone)";

// The pool's number in the configuration; none: it has no pool of that cell.
std::optional<size_t> find_pool(const SessionRow& row, const config::Config& config) {
  for (size_t i = 0; i < config.pools.size(); ++i) {
    if (config.cells.pools[i] == row.pool) return i;
  }
  return std::nullopt;
}

std::string_view pool_of(const SessionRow& row, const SessionNames& names) {
  if (row.pool == kNoPlace) return "";
  const auto pool = find_pool(row, names.config);
  return pool ? std::string_view(names.config.pools[*pool].name) : kGone;
}

std::string_view backend_of(const SessionRow& row, const SessionNames& names) {
  if (row.backend == kNoPlace) return "";
  const auto pool = find_pool(row, names.config);
  if (!pool) return kGone;
  const auto& backends = names.config.pools[*pool].backends;
  for (size_t i = 0; i < backends.size(); ++i) {
    if (names.config.cells.backends[*pool][i] == row.backend) return backends[i].text;
  }
  return kGone;
}

std::string shards_text(const std::vector<uint32_t>& shards) {
  return fmt::format("{}", fmt::join(shards, ", "));
}

}  // namespace

SessionJobs::SessionJobs(std::span<const int> lines, std::span<const ShardCounters> blocks)
    : lines_(lines.begin(), lines.end()), blocks_(blocks) {
  LYCH_CHECK(lines.size() <= blocks.size());
}

bool SessionJobs::begin(ControlClient client, const ControlRequest& request, Tick now) {
  if (jobs_.size() == kSessionJobsMax) return false;
  Job& job = jobs_.emplace_back();
  job.found.client = client;
  job.found.request = request;
  job.deadline = now + kJobMs;
  for (uint32_t shard = 0; shard < lines_.size(); ++shard) {
    if (request.shard && *request.shard != shard) continue;
    if (blocks_[shard].pid.load(std::memory_order_relaxed) == 0) continue;
    job.parts.push_back({.shard = shard, .next_slot = request.shard ? request.slot : 0});
  }
  for (ShardPart& part : job.parts) ask(job, part, now);
  return true;
}

void SessionJobs::ask(Job& job, ShardPart& part, Tick now) {
  const ControlRequest& request = job.found.request;
  const size_t told = job.found.sessions.size();
  const size_t room = request.limit > told ? request.limit - told : 0;
  const size_t rows = request.kill ? kRowsPerReport : std::min(room, kRowsPerReport);
  if (++last_order_ == 0) ++last_order_;
  const Order order{.id = last_order_,
                    .from_slot = part.next_slot,
                    .slots_max = request.shard ? 1 : kSlotsPerOrder,
                    .rows_max = static_cast<uint16_t>(rows),
                    .kill = request.kill,
                    .filter = request.filter};
  const std::vector<uint8_t> bytes = encode(order);
  const ssize_t sent =
      send(lines_[part.shard], bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return give_up(job, part);
  part.order = order.id;
  part.deadline = now + kShardAnswerMs;
}

void SessionJobs::give_up(Job& job, ShardPart& part) {
  part.order = 0;
  part.next_slot = kNoSlot;
  job.found.silent.push_back(part.shard);
}

void SessionJobs::take_report(std::span<const uint8_t> message, Tick now) {
  const auto report = decode_report(message);
  if (!report || report->order == 0) return;
  for (Job& job : jobs_) {
    for (ShardPart& part : job.parts) {
      if (part.order != report->order) continue;
      SessionsFound& found = job.found;
      found.matched += report->matched;
      for (const SessionRow& row : report->rows) {
        found.killed += row.killed ? 1 : 0;
        if (found.sessions.size() < found.request.limit)
          found.sessions.push_back({part.shard, row});
      }
      part.order = 0;
      // A report that does not get on would never end.
      const bool gets_on = report->next_slot > part.next_slot && !found.request.shard;
      part.next_slot = gets_on ? report->next_slot : kNoSlot;
      if (part.next_slot != kNoSlot) ask(job, part, now);
      return;
    }
  }
}

bool SessionJobs::is_through(const Job& job) {
  return std::all_of(job.parts.begin(), job.parts.end(),
                     [](const ShardPart& part) { return part.next_slot == kNoSlot; });
}

std::vector<SessionsFound> SessionJobs::turn(Tick now) {
  std::vector<SessionsFound> out;
  for (Job& job : jobs_) {
    for (ShardPart& part : job.parts) {
      const bool late = tick_reached(now, part.deadline) || tick_reached(now, job.deadline);
      if (part.next_slot != kNoSlot && late) give_up(job, part);
    }
    if (is_through(job)) out.push_back(std::move(job.found));
  }
  std::erase_if(jobs_, [](const Job& job) { return is_through(job); });
  return out;
}

std::optional<Tick> SessionJobs::next_wake() const {
  std::optional<Tick> wake;
  const auto consider = [&wake](Tick at) {
    if (!wake || tick_reached(*wake, at)) wake = at;
  };
  for (const Job& job : jobs_) {
    consider(job.deadline);
    for (const ShardPart& part : job.parts) {
      if (part.order != 0) consider(part.deadline);
    }
  }
  return wake;
}

std::string sessions_text(const SessionsFound& found, const SessionNames& names) {
  std::vector<TableRow> rows{
      {{"id", "client", "state", "age s", "score", "listener", "pool", "evidence", ""}, ""}};
  for (const FoundSession& session : found.sessions) {
    const SessionRow& row = session.row;
    rows.push_back(
        {{id_of(session), Endpoint{row.address, row.port}.bracketed(),
          kPhaseNames[static_cast<size_t>(row.phase)],
          fmt::format("{}.{}", row.age / 1000, row.age % 1000 / 100), fmt::format("{}", row.score),
          std::string(listener_of(row, names)), std::string(pool_of(row, names)),
          fmt::format("{}", fmt::join(evidence_of(row), ",")), row.killed ? "killed" : ""},
         ""});
  }
  std::string out = found.sessions.empty() ? "" : text_table("lllrrllll", rows);
  out += fmt::format("{} sessions match, {} shown", found.matched, found.sessions.size());
  if (found.request.kill) {
    out += fmt::format(", {} killed", found.killed);
    const uint64_t busy = found.matched - found.killed;
    if (busy > 0) out += fmt::format("; {} are being looked at, answered or handed off", busy);
  }
  out += '\n';
  if (!found.silent.empty()) {
    out += fmt::format("shards that did not answer in time: {}\n", shards_text(found.silent));
  }
  return out;
}

// Names have neither quotes nor backslashes (core/config/values.h), paths may; a TOML basic string
// is a JSON string, too.
std::string sessions_json(const SessionsFound& found, const SessionNames& names) {
  std::string list;
  for (const FoundSession& session : found.sessions) {
    const SessionRow& row = session.row;
    std::string evidence;
    for (const std::string_view name : evidence_of(row)) {
      evidence += fmt::format("{}\"{}\"", evidence.empty() ? "" : ",", name);
    }
    list += fmt::format(
        "{}{{\"id\":\"{}\",\"shard\":{},\"address\":\"{}\",\"port\":{},\"state\":\"{}\","
        "\"age_ms\":{},\"score\":{},\"listener\":\"{}\",\"pool\":\"{}\",\"backend\":{},"
        "\"evidence\":[{}],\"killed\":{}}}",
        list.empty() ? "" : ",", id_of(session), session.shard, row.address.text(), row.port,
        kPhaseNames[static_cast<size_t>(row.phase)], row.age, row.score, listener_of(row, names),
        pool_of(row, names), config::toml_quoted(backend_of(row, names)), evidence, row.killed);
  }
  return fmt::format(
      "{{\"sessions\":[{}],\"matched\":{},\"shown\":{},\"killed\":{},\"silent_shards\":[{}]}}\n",
      list, found.matched, found.sessions.size(), found.killed, shards_text(found.silent));
}

}  // namespace lychgate::daemon
