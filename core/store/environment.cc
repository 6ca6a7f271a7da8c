// Flags, sizes and words. liblmdb 0.9.24; the traps are named where they are stepped around.

#include "core/store/environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include <fmt/format.h>

namespace lychgate::store {
namespace {

constexpr mode_t kMode = S_IRUSR | S_IWUSR;  // who mails whom is nobody's business

// Readers at once: shards of two generations and those of killed ones that were not yet cleared.
// Whoever makes the lock file decides, the others follow.
constexpr unsigned kReadersMax = 512;
constexpr off_t kLockFileBytes = 36864;  // 64 for each reader, and what is before them

// liblmdb writes the lock file through a mapping: with no space for its pages that would be SIGBUS.
// REQUIRES: as open_environment, since the close would drop this process's locks of the file.
int reserve_lock_file(const std::string& path) {
  const int fd = open((path + "-lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kMode);
  if (fd < 0) return errno;
  const int error = posix_fallocate(fd, 0, kLockFileBytes);
  close(fd);
  return error;
}

unsigned flags_of(Sync sync) {
  switch (sync) {
    case Sync::kCommit:
      return 0;
    case Sync::kInterval:
      // Data before each commit, the page that makes it valid with the next one or by sync(). With
      // NOSYNC that page could reach the disk first: only this keeps the file whole.
      return MDB_NOMETASYNC;
    case Sync::kNone:
      return MDB_NOSYNC;
  }
  return 0;
}

}  // namespace

uint64_t bytes_for_records(const Options& options) {
  constexpr uint64_t kForForgettingMin = uint64_t{256} << 10;
  return options.bytes_max - std::max(options.bytes_max / 16, kForForgettingMin);
}

tl::expected<Environment, int> open_environment(const Options& options, Access access) {
  MDB_env* raw = nullptr;
  if (const int error = mdb_env_create(&raw); error != 0) return tl::unexpected(error);
  Environment env(raw);
  // NOTLS: a read transaction belongs to its object and may be renewed without a lock.
  unsigned flags = MDB_NOSUBDIR | MDB_NORDAHEAD | MDB_NOTLS;
  flags |= access == Access::kRead ? MDB_RDONLY : flags_of(options.sync);
  mdb_env_set_maxreaders(raw, kReadersMax);
  // A reader whose map is smaller than the file cannot read on: readers take all of it.
  mdb_env_set_mapsize(raw,
                      access == Access::kRead ? options.bytes_max : bytes_for_records(options));
  if (access == Access::kWrite) {
    if (const int error = reserve_lock_file(options.path); error != 0) return tl::unexpected(error);
  }
  const int error = mdb_env_open(raw, options.path.c_str(), flags, kMode);
  if (error != 0) return tl::unexpected(error);
  return env;
}

bool is_damage(int error) {
  return error == MDB_CORRUPTED || error == MDB_PAGE_NOTFOUND || error == MDB_INVALID ||
         error == MDB_BAD_TXN || error == MDB_CURSOR_FULL;
}

Error store_error(const Options& options, int error) {
  const auto words = [&](std::string_view why) {
    return fmt::format("client store {}: {}", options.path, why);
  };
  if (is_damage(error)) {
    return {ExitCode::kOsError,
            words(fmt::format("the file is damaged ({}); it is set aside at the next start or "
                              "reload",
                              mdb_strerror(error)))};
  }
  switch (error) {
    case MDB_MAP_FULL:
      return {ExitCode::kOsError,
              words(fmt::format("full ({} MiB); raise store.size_max or shorten store.retention",
                                options.bytes_max >> 20))};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {ExitCode::kCantCreate,
              words(fmt::format("{}; make room on its file system", errno_text(error)))};
    case EIO:  // liblmdb's word for a short write, too
      return {ExitCode::kOsError,
              words("cannot be written; make room on its file system, or look after the disk")};
    case EROFS:
      return {ExitCode::kCantCreate,
              words("the file system is read-only; name a file that can be written")};
    case EACCES:
    case EPERM:
      return {ExitCode::kCantCreate,
              words("no permission; file and folder must belong to the user of the gate")};
    case ENOENT:
      return {ExitCode::kCantCreate, words("no such file or folder; make the folder")};
    case ENOMEM:
      return {ExitCode::kOsError,
              words(fmt::format("no address space for {} MiB; lower store.size_max",
                                options.bytes_max >> 20))};
    case MDB_VERSION_MISMATCH:
      return {ExitCode::kConfig, words("another version of liblmdb uses this file")};
    case MDB_READERS_FULL:
      return {ExitCode::kOsError, words("too many readers; remove what else reads this file")};
    default:
      return {ExitCode::kOsError, words(mdb_strerror(error))};
  }
}

tl::expected<Transaction, int> Transaction::begin(MDB_env* env, Access access) {
  MDB_txn* txn = nullptr;
  const unsigned flags = access == Access::kRead ? MDB_RDONLY : 0;
  if (const int error = mdb_txn_begin(env, nullptr, flags, &txn); error != 0) {
    return tl::unexpected(error);
  }
  // The tree without a name needs no closing; this only sets its order of keys.
  MDB_dbi tree = 0;
  if (const int error = mdb_dbi_open(txn, nullptr, 0, &tree); error != 0) {
    mdb_txn_abort(txn);
    return tl::unexpected(error);
  }
  return Transaction(txn);
}

tl::expected<Cursor, int> Cursor::open(const Transaction& transaction) {
  MDB_cursor* cursor = nullptr;
  if (const int error = mdb_cursor_open(transaction.get(), kTree, &cursor); error != 0) {
    return tl::unexpected(error);
  }
  return Cursor(cursor);
}

}  // namespace lychgate::store
