// mmap, madvise, explicit_bzero and prctl; nothing else touches the bytes.

#include "core/base/private_memory.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate {

Result<PrivateMemory> PrivateMemory::create(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t whole = (bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || madvise(memory, whole, MADV_DONTDUMP) != 0) {
    const int error = errno;
    if (memory != MAP_FAILED) munmap(memory, whole);
    return fail(ExitCode::kOsError, fmt::format("cannot reserve {} bytes of private memory: {}",
                                                whole, errno_text(error)));
  }
  return PrivateMemory({static_cast<char*>(memory), whole});
}

PrivateMemory& PrivateMemory::operator=(PrivateMemory&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

PrivateMemory::~PrivateMemory() {
  if (bytes_.empty()) return;
  explicit_bzero(bytes_.data(), bytes_.size());
  munmap(bytes_.data(), bytes_.size());
}

void refuse_core_dumps() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

Result<Secret> Secret::create() {
  auto memory = PrivateMemory::create(kBytesMax);
  if (!memory) return tl::unexpected(memory.error());
  Secret secret;
  secret.memory_ = std::move(*memory);
  return secret;
}

void Secret::append(std::string_view text) {
  LYCH_CHECK(!memory_.bytes().empty() && text.size() <= kBytesMax - size_);
  std::memcpy(memory_.bytes().data() + size_, text.data(), text.size());
  size_ += text.size();
}

bool Secret::operator==(const Secret& other) const {
  if (size_ != other.size_) return false;
  int difference = 0;
  for (size_t i = 0; i < size_; ++i) difference |= memory_.bytes()[i] ^ other.memory_.bytes()[i];
  return difference == 0;
}

}  // namespace lychgate
