// The order of the sources; files.h reads them.

#include "core/config/catalogue_files.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "core/config/files.h"

namespace lychgate::config {

tl::expected<Catalogue, LoadFailure> load_catalogue(std::string_view builtin, const Dnsl& dnsl,
                                                    const std::string& config_path) {
  std::vector<std::string> names;
  std::vector<Problem> unread;
  if (!dnsl.catalogue.empty()) names.push_back(dnsl.catalogue);
  if (!config_path.empty()) {
    auto more = drop_ins(std::filesystem::path(config_path).parent_path() / "catalogue.d");
    if (!more) {
      unread.push_back(std::move(more.error()));
    } else {
      names.insert(names.end(), more->begin(), more->end());
    }
  }
  auto sources = read_files(names);
  if (!sources) unread.insert(unread.end(), sources.error().begin(), sources.error().end());
  if (!unread.empty()) return tl::unexpected(LoadFailure{ExitCode::kNoInput, std::move(unread)});
  if (dnsl.catalogue.empty()) {
    sources->insert(sources->begin(), {"built-in catalogue", std::string(builtin)});
  }
  auto catalogue = parse_catalogue(*sources);
  if (!catalogue) {
    return tl::unexpected(LoadFailure{ExitCode::kConfig, std::move(catalogue.error())});
  }
  return std::move(*catalogue);
}

}  // namespace lychgate::config
