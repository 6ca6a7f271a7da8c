// Reading what an operator wrote by hand: a file, and the drop-ins of a folder. Bounded; changes
// nothing and never asks twice.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "core/config/reader.h"

namespace lychgate::config {

// The whole file, at most 1 MiB.
tl::expected<Source, Problem> read_file(const std::string& name);

// The names of the folder's *.toml in order; none when there is no folder. Hidden files are an
// editor's business.
tl::expected<std::vector<std::string>, Problem> drop_ins(const std::filesystem::path& directory);

// Every source, or every problem.
tl::expected<std::vector<Source>, std::vector<Problem>> read_files(
    const std::vector<std::string>& names);

}  // namespace lychgate::config
