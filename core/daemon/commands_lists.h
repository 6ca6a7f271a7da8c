// The commands that ask DNS lists from the command line: `check --online` and `why`. They print,
// and return the exit code.

#pragma once

#include <string>

#include "core/base/result.h"
#include "core/config/config.h"
#include "core/daemon/lists_plan.h"

namespace lychgate::daemon {

// One probing round of all lists, in words. The exit code is kUnavailable when something is wrong.
Result<int> check_online(const config::Config& config, const ListsPlan& plan);

struct WhyRequest {
  std::string address;
  bool json = false;
  std::string remembered;  // WhyParts::remembered
};
// Looks up now what the lists say about an address. The exit code is kUnavailable when no DNS
// server answers. Errors: kUsage for a bad address.
Result<int> explain(const config::Config& config, const ListsPlan& plan, const WhyRequest& request);

}  // namespace lychgate::daemon
