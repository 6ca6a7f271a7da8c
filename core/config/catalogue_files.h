// Where the catalogue of DNS lists comes from: the built-in text or the file of dnsl.catalogue,
// then catalogue.d/*.toml next to the configuration file. Reads files; asks nobody else.

#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "core/config/catalogue.h"
#include "core/config/config.h"
#include "core/config/reader.h"

namespace lychgate::config {

// builtin: the text that is compiled in. config_path: the file the configuration came from; empty:
// none, so no drop-ins either.
tl::expected<Catalogue, LoadFailure> load_catalogue(std::string_view builtin, const Dnsl& dnsl,
                                                    const std::string& config_path);

}  // namespace lychgate::config
