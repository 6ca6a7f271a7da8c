// What `lychgate why` says about an address: the access list's answer, every list's, the score and
// the verdict with the reply the client would hear. Text for people, JSON for programs. Pure; its
// behaviour (speaking early, hanging up) and the limits are not known here.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/admission/access_list.h"
#include "core/admission/score.h"
#include "core/admission/verdict.h"
#include "core/base/lists_shared.h"
#include "core/config/lists.h"
#include "dns/inquiries.h"

namespace lychgate::daemon {

// One list's part.
struct WhyList {
  const config::List* list = nullptr;
  ListState state = ListState::kUnproven;
  ListFault fault = ListFault::kNone;  // why it is disabled, or why its answer failed
  dns::ListAnswer answer;
  uint32_t ttl = 0;  // seconds that the answer is still good for
};

struct WhyParts {
  const config::Config& config;
  IpAddress address;
  std::optional<admission::AccessResult> access;  // nullopt: no access list
  std::vector<WhyList> lists;
  int32_t score = 0;
  // The list whose name the reply gives, and its reason; nullptr: none counts against the client.
  const config::List* named = nullptr;
  std::string_view reason;
  // What the gate remembers (core/daemon/record_report.h), as rows or as JSON; empty: not asked.
  std::string remembered = {};
};

std::string why_text(const WhyParts& parts);
// One object: address, access (null: no list), lists, score, threshold, allow_threshold, decision
// ("pass", "refuse" or "drop"), verdict in words, reply (null: none), remembered (null: not asked).
std::string why_json(const WhyParts& parts);

}  // namespace lychgate::daemon
