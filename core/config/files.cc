// open, read and directory_iterator.

#include "core/config/files.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/base/result.h"

namespace lychgate::config {
namespace {

namespace fs = std::filesystem;

// A configuration is written by hand; what is larger was named by mistake (a log, a device).
constexpr size_t kFileBytesMax = 1 << 20;

tl::unexpected<Problem> unreadable(const std::string& name, std::string_view why) {
  return tl::unexpected(
      Problem{name, fmt::format("cannot be read: {}; expected a configuration file", why)});
}

}  // namespace

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

tl::expected<std::vector<Source>, std::vector<Problem>> read_files(
    const std::vector<std::string>& names) {
  std::vector<Source> sources;
  std::vector<Problem> unread;
  for (const std::string& name : names) {
    auto source = read_file(name);
    if (source) {
      sources.push_back(std::move(*source));
    } else {
      unread.push_back(std::move(source.error()));
    }
  }
  if (!unread.empty()) return tl::unexpected(std::move(unread));
  return sources;
}

}  // namespace lychgate::config
