// What the values of a configuration must be to each other: unique names, known pools, routes
// that can be reached. Also fills in what follows from them: indices, the implied route.

#pragma once

#include "core/config/draft.h"

namespace lychgate::config {

// Checks every rule, adds errors and warnings, and completes the configuration.
void apply_rules(Draft& draft);

}  // namespace lychgate::config
