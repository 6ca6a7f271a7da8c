// The part of the reader that touches the disk: the main file and the drop-ins next to it.

#include "core/config/reader.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace lychgate::config {
namespace {

namespace fs = std::filesystem;

// A configuration is written by hand; what is larger was named by mistake (a log, a device).
constexpr size_t kFileBytesMax = 1 << 20;

tl::unexpected<Problem> unreadable(const std::string& name, std::string_view why) {
  return tl::unexpected(
      Problem{name, fmt::format("cannot be read: {}; expected a configuration file", why)});
}

tl::expected<Source, Problem> read_file(const std::string& name) {
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return unreadable(name, errno_text(errno));
  Source source{name, std::string(kFileBytesMax + 1, '\0')};
  size_t size = 0;
  ssize_t got = 0;
  int error = 0;
  do {
    got = read(fd, source.text.data() + size, source.text.size() - size);
    if (got < 0) error = errno;
    if (got > 0) size += static_cast<size_t>(got);
  } while (got > 0 || (got < 0 && error == EINTR));
  close(fd);
  if (got < 0) return unreadable(name, errno_text(error));
  if (size > kFileBytesMax) return unreadable(name, "larger than 1 MiB");
  source.text.resize(size);
  return source;
}

// The names of conf.d/*.toml in order; hidden files are an editor's business.
tl::expected<std::vector<std::string>, Problem> drop_ins(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  auto entry = fs::directory_iterator(directory, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string file = entry->path().filename();
    if (file.ends_with(".toml") && !file.starts_with('.')) names.push_back(entry->path());
  }
  if (error) {
    return tl::unexpected(
        Problem{directory, fmt::format("cannot be read: {}; expected a folder", error.message())});
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

tl::expected<Loaded, LoadFailure> load(const std::string& path, const Defaults& defaults) {
  std::vector<std::string> names;
  std::vector<Problem> unread;
  if (!path.empty()) {
    names.push_back(path);
    auto more = drop_ins(fs::path(path).parent_path() / "conf.d");
    if (!more) {
      unread.push_back(std::move(more.error()));
    } else {
      names.insert(names.end(), more->begin(), more->end());
    }
  }
  std::vector<Source> sources;
  for (const std::string& name : names) {
    auto source = read_file(name);
    if (source) {
      sources.push_back(std::move(*source));
    } else {
      unread.push_back(std::move(source.error()));
    }
  }
  if (!unread.empty()) return tl::unexpected(LoadFailure{ExitCode::kNoInput, std::move(unread)});
  auto loaded = parse(sources, defaults);
  if (!loaded) return tl::unexpected(LoadFailure{ExitCode::kConfig, std::move(loaded.error())});
  return std::move(*loaded);
}

}  // namespace lychgate::config
