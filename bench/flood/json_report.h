// The result of a run, or the plan of one, as one JSON object (RFC 8259). Names and units are part
// of the interface: docs/flood.md lists them. Pure.

#pragma once

#include <string>

#include "bench/flood/outcome.h"

namespace lychgate::flood {

std::string json_result(const Outcome& outcome);
// What --dry-run tells: the plan and what the machine can carry.
std::string json_plan(const Outcome& outcome);

}  // namespace lychgate::flood
