// LMDB's data file (format 1, liblmdb 0.9, 64 bits), read without its library: what a file is,
// before it is mapped, and the lookup of one key.
//
// liblmdb believes every page: a damaged one ends the process by an assertion or a stray pointer.
// A shard holds clients and must not end for that, so here every offset is checked before it is
// followed; against a file that is cut short there is cut_short.h. Nothing is written. Which pages
// are in use is liblmdb's business: the caller holds a read transaction of its own meanwhile.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "core/base/result.h"

namespace lychgate::store {

// The newest commit in a file.
struct Commit {
  uint32_t page_bytes = 0;
  uint64_t last_page = 0;  // pages behind it have never been used
  uint64_t free_root = 0;  // of the tree of free pages; kNoPage: it is empty
  uint64_t root = 0;       // of the clients' tree; kNoPage: it is empty
  uint64_t number = 0;
};
inline constexpr uint64_t kNoPage = UINT64_MAX;

enum class FileState : uint8_t {
  kMissing,  // or empty, as it is between its making and its first page
  kWhole,
  kBroken,  // no LMDB file, or not all of it
  kNewer,   // LMDB's, of a later format
};
struct FileLook {
  FileState state = FileState::kMissing;
  std::string why;  // kBroken, kNewer
  Commit commit;    // kWhole
};
// Reads the first pages and the roots. Errors, of the open call: kCantCreate.
Result<FileLook> look_at_file(const std::string& path);

// A file whatever its name is.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  bool operator==(const FileId&) const = default;
};

// The file mapped read-only.
class Pages {
 public:
  // Errors: kOsError.
  static Result<Pages> map(const std::string& path, uint64_t bytes_max, uint32_t page_bytes);
  Pages(Pages&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})), page_bytes_(other.page_bytes_), id_(other.id_) {}
  Pages& operator=(Pages&&) = delete;
  ~Pages();

  // REQUIRES: a read transaction of this number is open.
  Commit commit(uint64_t number) const;
  enum class Found : uint8_t { kYes, kNo, kDamaged };
  struct Value {
    Found found = Found::kNo;
    std::span<const uint8_t> bytes;  // until the transaction ends
  };
  Value find(const Commit& commit, std::span<const uint8_t> key) const;
  // There is a file at `path`, and it is another one.
  bool is_replaced(const std::string& path) const;

 private:
  Pages(std::span<const uint8_t> bytes, uint32_t page_bytes, FileId id)
      : bytes_(bytes), page_bytes_(page_bytes), id_(id) {}
  std::span<const uint8_t> bytes_;  // more than there is of the file
  uint32_t page_bytes_;
  FileId id_;
};

}  // namespace lychgate::store
