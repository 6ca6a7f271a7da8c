// The steward's end: gathers changes and commits them. What goes wrong inside of a transaction
// undoes it, and the changes stay where they were.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "core/store/pages.h"
#include "core/store/writer_env.h"

namespace lychgate::store {
namespace {

// The cursor is left where it is: the next client is on the same page, or soon after it.
int apply(const Cursor& cursor, const ClientKey& key, const Change& change) {
  MDB_val name = value_of(key.encoded());
  MDB_val value{};
  const int error = mdb_cursor_get(cursor.get(), &name, &value, MDB_SET);
  if (error != 0 && error != MDB_NOTFOUND) return error;
  const bool is_there = error == 0;
  if (change.kind == Change::Kind::kForget) return is_there ? mdb_cursor_del(cursor.get(), 0) : 0;
  ClientRecord record = change.record;
  if (is_there && change.kind == Change::Kind::kVisit) {
    const auto before = ClientRecord::decode(bytes_of(value));
    if (before) record = with_visit(*before, record);
  }
  std::array<uint8_t, ClientRecord::kBytes> bytes{};
  record.encode(bytes);
  const unsigned flags = is_there && value.mv_size == bytes.size() ? MDB_CURRENT : 0;
  value = value_of(bytes);
  return mdb_cursor_put(cursor.get(), &name, &value, flags);
}

}  // namespace

int Writer::Env::open() {
  env.reset();
  const auto look = look_at_file(options.path);
  if (!look) return EACCES;
  if (look->state != FileState::kWhole) return MDB_CORRUPTED;
  auto opened = open_environment(options, Access::kWrite);
  if (!opened) return opened.error();
  env = std::move(*opened);
  keep_ahead();
  return 0;
}

// A page that was taken and freed again in one transaction is never written, so a whole file may
// end before its last page, as does one that was cut short. To tell them apart the file is kept
// longer than the next transaction can need. What is not written of it takes no space.
void Writer::Env::keep_ahead() {
  constexpr uint64_t kAhead = 64 << 20;
  MDB_envinfo info{};
  MDB_stat stat{};
  int fd = -1;
  struct stat file {};
  mdb_env_info(env.get(), &info);
  mdb_env_stat(env.get(), &stat);
  if (mdb_env_get_fd(env.get(), &fd) != 0 || fstat(fd, &file) != 0) return;
  const uint64_t used = (info.me_last_pgno + 1) * stat.ms_psize;
  const uint64_t want = std::max(used, std::min(used + kAhead / 2, options.bytes_max));
  if (static_cast<uint64_t>(file.st_size) >= want) return;
  const uint64_t longer = std::max(used, std::min(used + kAhead, options.bytes_max));
  // Where it fails the file is good all the same.
  [[maybe_unused]] const int done = ftruncate(fd, static_cast<off_t>(longer));
}

int Writer::Env::attempt(const Work& work) {
  // Readers that were killed: pages that they read from would never be used again.
  mdb_reader_check(env.get(), nullptr);
  auto txn = Transaction::begin(env.get(), Access::kWrite);
  if (!txn) return txn.error();
  const int error = work(*txn);
  return error != 0 ? error : txn->commit();
}

int Writer::Env::write(const Work& work) {
  if (!env) {
    if (const int error = open(); error != 0) return error;
  }
  const uint8_t deaths = lock.deaths();
  if (deaths >= WriterLock::kDeathsMax) return MDB_CORRUPTED;
  lock.set_deaths(static_cast<uint8_t>(deaths + 1));
  int error = attempt(work);
  // After a failed write of a commit's last page liblmdb wants to be opened again.
  if (error == MDB_PANIC) {
    error = open();
    if (error == 0) error = attempt(work);
  }
  if (error == 0) {
    lock.set_deaths(0);
    is_unsynced = true;
    keep_ahead();
  } else {
    lock.set_deaths(is_damage(error) ? WriterLock::kDamaged : deaths);
  }
  return error;
}

int Writer::Env::commit_some() {
  const auto count = std::min(changes.size(), kChangesPerTransaction);
  const auto end = std::next(changes.begin(), static_cast<ptrdiff_t>(count));
  const int error = write([&](const Transaction& txn) {
    auto cursor = Cursor::open(txn);
    if (!cursor) return cursor.error();
    for (auto at = changes.begin(); at != end; ++at) {
      if (const int failed = apply(*cursor, at->first, at->second); failed != 0) return failed;
    }
    return 0;
  });
  if (error != 0) return error;
  changes.erase(changes.begin(), end);
  ++stats.commits;
  return 0;
}

Writer::Writer(std::unique_ptr<Env> env) : env_(std::move(env)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::open(const Options& options) {
  auto lock = WriterLock::take(options.path);
  if (!lock) {
    const bool is_held = lock.error().code == ExitCode::kUnavailable;
    return fail(is_held ? ExitCode::kUnavailable : ExitCode::kOsError, lock.error().text);
  }
  Env parts{options, std::move(*lock), {}, {}, {}, {}};
  auto env = std::make_unique<Env>(std::move(parts));
  if (const uint8_t deaths = env->lock.deaths();
      deaths >= WriterLock::kDeathsMax && deaths != WriterLock::kDamaged) {
    return fail(ExitCode::kOsError,
                fmt::format("client store {}: {} writers in a row died while they wrote to it; it "
                            "is set aside at the next start or reload",
                            options.path, deaths));
  }
  const int error = env->lock.deaths() == WriterLock::kDamaged ? MDB_CORRUPTED : env->open();
  if (error != 0) return fail(ExitCode::kOsError, store_error(options, error).text);
  return Writer(std::move(env));
}

void Writer::add_visit(const ClientKey& key, const ClientRecord& visit) {
  const auto at = env_->changes.find(key);
  if (at == env_->changes.end()) {
    if (env_->changes.size() >= kUncommittedMax) {
      ++env_->stats.records_lost;
    } else {
      env_->changes.emplace(key, Change{Change::Kind::kVisit, visit});
    }
    return;
  }
  Change& change = at->second;
  if (change.kind == Change::Kind::kForget) {
    change = {Change::Kind::kRecord, visit};
  } else {
    change.record = with_visit(change.record, visit);
  }
}

void Writer::replace(const ClientKey& key, const ClientRecord& record) {
  env_->changes.insert_or_assign(key, Change{Change::Kind::kRecord, record});
}

void Writer::forget(const ClientKey& key) {
  env_->changes.insert_or_assign(key, Change{Change::Kind::kForget, {}});
}

Result<void> Writer::commit() {
  while (!env_->changes.empty()) {
    const int error = env_->commit_some();
    if (error == 0) continue;
    ++env_->stats.commit_errors;
    return tl::unexpected(store_error(env_->options, error));
  }
  return {};
}

size_t Writer::uncommitted() const {
  return env_->changes.size();
}

Result<void> Writer::sync() {
  if (!env_->is_unsynced || env_->options.sync != Sync::kInterval || !env_->env) return {};
  const int error = mdb_env_sync(env_->env.get(), 1);
  if (error != 0) return tl::unexpected(store_error(env_->options, error));
  env_->is_unsynced = false;
  return {};
}

Stats Writer::stats() const {
  Stats out = env_->stats;
  MDB_stat tree{};
  MDB_envinfo info{};
  if (!env_->env || mdb_env_stat(env_->env.get(), &tree) != 0) return out;
  mdb_env_info(env_->env.get(), &info);
  out.records = std::max<uint64_t>(tree.ms_entries, 1) - 1;  // the signature is no client
  out.bytes_used =
      (tree.ms_branch_pages + tree.ms_leaf_pages + tree.ms_overflow_pages) * tree.ms_psize;
  out.bytes_high = (info.me_last_pgno + 1) * tree.ms_psize;
  return out;
}

}  // namespace lychgate::store
