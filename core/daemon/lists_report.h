// What is known of the DNS lists as a whole: for `lychgate lists` from the boards and counters of a
// running gate, for `check --online` from one round of probes. Text for people, JSON for programs.
// Pure; prints a list by its safe name alone.

#pragma once

#include <span>
#include <string>

#include "core/base/cells.h"
#include "core/base/counters.h"
#include "core/config/lists.h"

namespace lychgate::daemon {

struct ListsReportParts {
  std::span<const config::List> lists;
  const Cells& cells;
  const SharedLists& shared;
  std::span<const ShardCounters> counters;  // of all shards
};

std::string lists_text(const ListsReportParts& parts);
// One object: version and lists, in the order of dnsl.sites. why is null for a list that is not
// disabled, since counts seconds since 1970, p50_ms and p99_ms are upper bounds (null: nothing was
// answered), daily_budget is null when there is none.
std::string lists_json(const ListsReportParts& parts);

struct Proof {
  std::string text;
  bool good = true;  // every list that has test points is up
};
// One line a list; below one that is not up, what to do about it.
Proof proof_of(std::span<const config::List> lists, const Cells& cells, const SharedLists& shared);

}  // namespace lychgate::daemon
