// The part of the reader that touches the disk: the main file and the drop-ins next to it.

#include "core/config/reader.h"

#include <filesystem>
#include <utility>

#include "core/config/files.h"

namespace lychgate::config {

tl::expected<Loaded, LoadFailure> load(const std::string& path, const Defaults& defaults) {
  std::vector<std::string> names;
  std::vector<Problem> unread;
  if (!path.empty()) {
    names.push_back(path);
    auto more = drop_ins(std::filesystem::path(path).parent_path() / "conf.d");
    if (!more) {
      unread.push_back(std::move(more.error()));
    } else {
      names.insert(names.end(), more->begin(), more->end());
    }
  }
  const auto sources = read_files(names);
  if (!sources) unread.insert(unread.end(), sources.error().begin(), sources.error().end());
  if (!unread.empty()) return tl::unexpected(LoadFailure{ExitCode::kNoInput, std::move(unread)});
  auto loaded = parse(*sources, defaults);
  if (!loaded) return tl::unexpected(LoadFailure{ExitCode::kConfig, std::move(loaded.error())});
  return std::move(*loaded);
}

}  // namespace lychgate::config
