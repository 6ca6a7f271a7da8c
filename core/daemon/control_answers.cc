// One function for each request that does more than print a report.

#include "core/daemon/control_answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/daemon/control_socket.h"
#include "core/daemon/figures.h"
#include "core/daemon/lists_report.h"
#include "core/daemon/pools_report.h"
#include "core/daemon/record_report.h"
#include "core/daemon/status.h"

namespace lychgate::daemon {
namespace {

std::string record_answer(const ControlRequest& request, const ControlParts& parts,
                          const std::optional<ClientRecord>& record) {
  const std::string client = parts.book.name_of(request.address);
  const std::string state = parts.book.state();
  const RecordParts told{.client = client,
                         .store = state,
                         .is_open = parts.book.is_open(),
                         .record = record,
                         .now = parts.now};
  return request.json ? record_json(told) : record_text(told);
}

std::string no_store(const ControlRequest& request, const ControlParts& parts) {
  return error_answer({ExitCode::kUnavailable, fmt::format("clients are not remembered ({}), so "
                                                           "there is nothing to change; see "
                                                           "store.file",
                                                           parts.book.state())},
                      request.json);
}

std::string remembered(const ControlRequest& request, const ControlParts& parts) {
  if (!parts.book.is_open()) return record_answer(request, parts, std::nullopt);
  const auto record = parts.book.find(request.address);
  if (!record) return error_answer({record.error().code, record.error().text}, request.json);
  return record_answer(request, parts, *record);
}

Seconds end_of(const ControlRequest& request, Seconds now) {
  if (!request.duration) return kForever;
  const auto span = std::chrono::ceil<std::chrono::seconds>(*request.duration).count();
  return static_cast<Seconds>(std::min<int64_t>(int64_t{now} + span, kForever));
}

// The later command counts: each takes back the other.
std::string allow_or_deny(const ControlRequest& request, const ControlParts& parts) {
  if (!parts.book.is_open()) return no_store(request, parts);
  const auto before = parts.book.find(request.address);
  if (!before) return error_answer({before.error().code, before.error().text}, request.json);
  ClientRecord record = before->value_or(ClientRecord{});
  const bool allow = request.verb == ControlVerb::kAllow;
  record.allowed_until = allow ? end_of(request, parts.now) : 0;
  record.denied_until = allow ? 0 : end_of(request, parts.now);
  parts.book.replace(request.address, record);
  return record_answer(request, parts, record);
}

std::string forget(const ControlRequest& request, const ControlParts& parts) {
  if (!parts.book.is_open()) return no_store(request, parts);
  const auto before = parts.book.find(request.address);
  if (!before) return error_answer({before.error().code, before.error().text}, request.json);
  parts.book.forget(request.address);
  const std::string client = parts.book.name_of(request.address);
  if (request.json) {
    return fmt::format("{{\"client\":\"{}\",\"forgotten\":{}}}\n", client, before->has_value());
  }
  return fmt::format("{} {}\n", client, *before ? "is forgotten" : "was not known");
}

std::string pools(const ControlRequest& request, const ControlParts& parts) {
  if (request.use) {
    const auto choice = choose_backends(parts.config, request);
    if (!choice) return error_answer({ExitCode::kUsage, choice.error()}, request.json);
    use_backends(parts.config, parts.counters, *choice, *request.use);
    if (!request.json) return change_text(parts.config, *choice, *request.use) + "\n";
  }
  return request.json ? pools_json(parts.config, parts.counters, &parts.boards.pools)
                      : pools_text(parts.config, parts.counters, &parts.boards.pools);
}

}  // namespace

std::string answer_request(const ControlRequest& request, const ControlParts& parts) {
  const StatusParts status{.blocks = parts.counters,
                           .config = parts.config,
                           .load = parts.boards.load,
                           .deferred_acks = parts.deferred_acks,
                           .generation = parts.generation};
  const ListsReportParts lists{.lists = parts.lists,
                               .cells = parts.config.cells,
                               .shared = parts.boards.lists,
                               .counters = parts.counters};
  switch (request.verb) {
    case ControlVerb::kStatus:
      return request.json ? status_json(status) : status_text(status);
    case ControlVerb::kLists:
      return request.json ? lists_json(lists) : lists_text(lists);
    case ControlVerb::kFigures:
      return write_figures(take_figures({.config = parts.config,
                                         .shards = parts.counters,
                                         .lists = parts.lists,
                                         .boards = parts.boards}));
    case ControlVerb::kRemembered:
      return remembered(request, parts);
    case ControlVerb::kAllow:
    case ControlVerb::kDeny:
      return allow_or_deny(request, parts);
    case ControlVerb::kForget:
      return forget(request, parts);
    case ControlVerb::kPools:
      return pools(request, parts);
    case ControlVerb::kSessions:
    case ControlVerb::kReload:
    case ControlVerb::kUpgrade:
    case ControlVerb::kStop:
      break;
  }
  LYCH_CHECK(false);
  return {};
}

}  // namespace lychgate::daemon
