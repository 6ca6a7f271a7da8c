// flock(2) on an open file: the kernel lets go of it with the process, whatever ended it.

#include "core/store/writer_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

namespace lychgate::store {

Result<WriterLock> WriterLock::take(const std::string& store_path) {
  const std::string path = store_path + "-writer";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) {
    return fail(ExitCode::kCantCreate,
                fmt::format("client store {}: cannot make {}: {}; the folder must be there and "
                            "belong to the user of the gate",
                            store_path, path, errno_text(errno)));
  }
  WriterLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return fail(ExitCode::kUnavailable,
                fmt::format("client store {}: another gate writes to it; give each its own file "
                            "(`fuser {}` names the process)",
                            store_path, path));
  }
  return fail(ExitCode::kOsError, fmt::format("client store {}: cannot lock {}: {}", store_path,
                                              path, errno_text(errno)));
}

WriterLock::~WriterLock() {
  if (fd_ >= 0) close(fd_);
}

uint8_t WriterLock::deaths() const {
  uint8_t deaths = 0;
  return pread(fd_, &deaths, 1, 0) == 1 ? deaths : uint8_t{0};
}

void WriterLock::set_deaths(uint8_t deaths) {
  [[maybe_unused]] const ssize_t written = pwrite(fd_, &deaths, 1, 0);
}

}  // namespace lychgate::store
