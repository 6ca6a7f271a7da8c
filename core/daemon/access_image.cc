// memfd_create, write, the seals, fstat and mmap; what the bytes mean is core/admission's.

#include "core/daemon/access_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <fmt/format.h>

namespace lychgate::daemon {
namespace {

// No more bytes, no fewer and no others: a mapping of it never changes.
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

bool write_all(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return true;
}

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(ExitCode::kOsError, "cannot map the access list: " + why);
}

}  // namespace

Result<int> make_access_image(const admission::AccessList& list) {
  const int fd = memfd_create("lychgate-access", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0 && write_all(fd, list.image()) && fcntl(fd, F_ADD_SEALS, kSeals | F_SEAL_SEAL) == 0) {
    return fd;
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  return fail(ExitCode::kOsError,
              fmt::format("cannot share the access list ({} bytes of memory): {}", list.bytes(),
                          errno_text(error)));
}

Result<MappedAccessList> MappedAccessList::map(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return refuse("no memory file: " + errno_text(errno));
  if ((seals & kSeals) != kSeals) return refuse("it is not sealed against changes");
  struct stat status {};
  if (fstat(fd, &status) != 0) return refuse(errno_text(errno));
  if (status.st_size == 0) return refuse("it is empty");
  const auto size = static_cast<size_t>(status.st_size);
  void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return refuse(errno_text(errno));
  MappedAccessList out({static_cast<const uint8_t*>(memory), size});
  auto list = admission::AccessList::from_image(out.mapping_);
  if (!list) return tl::unexpected(std::move(list.error()));
  out.list_ = std::make_unique<const admission::AccessList>(*list);
  return out;
}

MappedAccessList::~MappedAccessList() {
  if (mapping_.empty()) return;
  munmap(const_cast<uint8_t*>(mapping_.data()), mapping_.size());
}

}  // namespace lychgate::daemon
