// An access list as a descriptor: the supervisor makes one, every shard maps it read-only and reads
// it in place. What may not change once it is shared is sealed; without those seals a shard maps
// nothing, for a file cut short under a mapping is a SIGBUS.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "core/admission/access_list.h"
#include "core/base/result.h"

namespace lychgate::daemon {

// Memory with the list's image, sealed for good, closed on exec. The caller closes it.
Result<int> make_access_image(const admission::AccessList& list);

// The list that a descriptor carries, mapped for as long as this lives.
class MappedAccessList {
 public:
  // The descriptor stays the caller's and may be closed afterwards.
  static Result<MappedAccessList> map(int fd);
  MappedAccessList(MappedAccessList&& other) noexcept
      : mapping_(std::exchange(other.mapping_, {})), list_(std::move(other.list_)) {}
  MappedAccessList& operator=(MappedAccessList&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(list_, other.list_);
    return *this;
  }
  ~MappedAccessList();

  // Stays where it is when this is moved.
  const admission::AccessList& list() const { return *list_; }

 private:
  explicit MappedAccessList(std::span<const uint8_t> mapping) : mapping_(mapping) {}

  std::span<const uint8_t> mapping_;
  std::unique_ptr<const admission::AccessList> list_;
};

}  // namespace lychgate::daemon
