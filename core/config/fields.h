// Between a row's field and text: puts a TOML value into the field a key names, and prints the
// field as TOML. Judges one value at a time; what values must be to each other is in rules.h.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "core/config/document.h"
#include "core/config/keys.h"

namespace lychgate::config {

// Sets the field; every complaint names found and expected. A text that breaks a rule is kept all
// the same, so that names which point to it do not draw complaints of their own.
// REQUIRES: `index` is below the count of the key's section; listeners are read before routes.
std::vector<Complaint> read_field(const Key& key, const Node& node, Config& config, size_t index);

// The value as TOML text; empty for a condition that is not set.
std::string field_text(const Key& key, Config& config, size_t index);

}  // namespace lychgate::config
