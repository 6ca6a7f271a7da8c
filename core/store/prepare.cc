// What happens to the file before anybody maps it. The only place that makes and renames it. Runs
// in the supervisor, so what is there is read with checks (pages.h), never with liblmdb.

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include <fmt/format.h>

#include "core/store/environment.h"
#include "core/store/pages.h"
#include "core/store/signature.h"
#include "core/store/store.h"
#include "core/store/writer_lock.h"

namespace lychgate::store {
namespace {

struct Verdict {
  enum class Kind : uint8_t { kOurs, kUnsigned, kBroken, kNewer } kind = Kind::kOurs;
  std::string why;  // kBroken, kNewer
};

// REQUIRES: the file is whole.
Result<Verdict> judge_signature(const Options& options, const Commit& commit) {
  if (commit.root == kNoPage) return Verdict{Verdict::Kind::kUnsigned, {}};
  const uint64_t bytes = (commit.last_page + 1) * commit.page_bytes;
  auto pages = Pages::map(options.path, bytes, commit.page_bytes);
  if (!pages) return tl::unexpected(pages.error());
  const MDB_val key = signature_key();
  const Pages::Value value = pages->find(commit, bytes_of(key));
  if (value.found == Pages::Found::kDamaged) {
    return Verdict{Verdict::Kind::kBroken, "its pages are damaged"};
  }
  // An empty value is nobody's signature either.
  switch (read_signature(value.bytes)) {
    case Signature::kOurs:
      return Verdict{};
    case Signature::kNewer:
      return Verdict{Verdict::Kind::kNewer, "it was written by a newer version of lychgate"};
    case Signature::kForeign:
      break;
  }
  return Verdict{Verdict::Kind::kBroken, "it belongs to another program"};
}

Result<Verdict> judge(const Options& options, const WriterLock& lock) {
  auto look = look_at_file(options.path);
  if (!look) return tl::unexpected(look.error());
  switch (look->state) {
    case FileState::kMissing:
      return Verdict{Verdict::Kind::kUnsigned, {}};
    case FileState::kBroken:
      return Verdict{Verdict::Kind::kBroken, look->why};
    case FileState::kNewer:
      return Verdict{Verdict::Kind::kNewer, look->why};
    case FileState::kWhole:
      break;
  }
  if (lock.deaths() == WriterLock::kDamaged) {
    return Verdict{Verdict::Kind::kBroken, "damaged pages were found in it"};
  }
  if (lock.deaths() >= WriterLock::kDeathsMax) {
    return Verdict{Verdict::Kind::kBroken,
                   fmt::format("{} writers in a row died while they wrote to it", lock.deaths())};
  }
  return judge_signature(options, look->commit);
}

// Makes the file, if there is none.
Result<void> sign(const Options& options) {
  auto env = open_environment(options, Access::kWrite);
  if (!env) return tl::unexpected(store_error(options, env.error()));
  auto txn = Transaction::begin(env->get(), Access::kWrite);
  if (!txn) return tl::unexpected(store_error(options, txn.error()));
  MDB_val key = signature_key();
  MDB_val value = signature_value();
  int error = mdb_put(txn->get(), kTree, &key, &value, 0);
  if (error == 0) error = txn->commit();
  if (error != 0) return tl::unexpected(store_error(options, error));
  return {};
}

// Of this second, or the next that is not taken.
std::string name_aside(const std::string& path) {
  for (time_t second = std::time(nullptr);; ++second) {
    std::string name = fmt::format("{}.corrupt-{}", path, second);
    if (access(name.c_str(), F_OK) != 0) return name;
  }
}

// The lock file goes: who still has the old file mapped keeps the old lock, and the new file needs
// one of its own.
Result<std::string> set_aside(const Options& options, WriterLock& lock, const std::string& why) {
  const std::string name = name_aside(options.path);
  if (rename(options.path.c_str(), name.c_str()) != 0) {
    return fail(ExitCode::kCantCreate,
                fmt::format("client store {}: {}, and it cannot be renamed to {}: {}", options.path,
                            why, name, errno_text(errno)));
  }
  unlink((options.path + "-lock").c_str());
  lock.set_deaths(0);
  return fmt::format("client store {}: {}; set aside as {}, all clients are strangers again",
                     options.path, why, name);
}

}  // namespace

Result<Prepared> prepare(const Options& options) {
  auto lock = WriterLock::take(options.path);
  if (!lock) {
    // Somebody writes to it, so it is good; whether that is one of us is seen when we want to
    // write.
    if (lock.error().code == ExitCode::kUnavailable) return Prepared{};
    return tl::unexpected(lock.error());
  }
  const auto verdict = judge(options, *lock);
  if (!verdict) return tl::unexpected(verdict.error());
  Prepared prepared;
  switch (verdict->kind) {
    case Verdict::Kind::kOurs:
      return prepared;
    case Verdict::Kind::kNewer:
      return fail(ExitCode::kConfig,
                  fmt::format("client store {}: {}; go back to that version or name another file",
                              options.path, verdict->why));
    case Verdict::Kind::kBroken: {
      auto warning = set_aside(options, *lock, verdict->why);
      if (!warning) return tl::unexpected(warning.error());
      prepared.warning = std::move(*warning);
      break;
    }
    case Verdict::Kind::kUnsigned:
      break;
  }
  if (const auto done = sign(options); !done) return tl::unexpected(done.error());
  return prepared;
}

}  // namespace lychgate::store
