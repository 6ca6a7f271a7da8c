// A configuration on its way to being valid: what the files said, where, and what is wrong so far.
// The reader fills it, the rules finish it; nobody else sees it.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/config/findings.h"

namespace lychgate::config {

// Where each key that was given stands: "greet.wait", "pool[0]", "pool[0].name".
using Spots = std::map<std::string, Spot, std::less<>>;

struct Draft {
  Config config;
  Spots spots;
  std::vector<Finding> errors;
  std::vector<Finding> warnings;
  // False when a source could not be parsed: what seems to be missing may stand there.
  bool complete = true;
  bool state_dir = false;  // a store has its place though store.file is empty
};

}  // namespace lychgate::config
