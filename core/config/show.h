// Prints what the rows know: the effective configuration (`lychgate show`) and the manual.

#pragma once

#include <string>

#include "core/config/config.h"
#include "core/config/reader.h"

namespace lychgate::config {

// Valid TOML of the effective configuration; each value is followed by the place it comes from.
std::string render(const Config& config, const Origins& origins);

// docs/config.md: one entry per row of the table of keys.
std::string render_manual();

}  // namespace lychgate::config
