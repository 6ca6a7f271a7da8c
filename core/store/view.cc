// A shard's end. liblmdb keeps the place in the table of readers, which tells the writer which
// pages are still read from; the pages themselves are read by pages.h, which survives damage. That
// the file, or the table, may be cut short under both is cut_short.h's business.

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/store/cut_short.h"
#include "core/store/environment.h"
#include "core/store/pages.h"
#include "core/store/store.h"

namespace lychgate::store {

struct View::Env {
  std::string path;
  Environment env;
  Pages pages;
  Transaction txn;  // ended before env is closed
  Commit commit;    // while is_reading
  bool is_reading = false;
  bool is_cut = false;
  uint64_t failed = 0;

  std::optional<ClientRecord> find(const ClientKey& key);
};

View::View(std::unique_ptr<Env> env) : env_(std::move(env)) {}
View::View(View&&) noexcept = default;

// A table of readers that is cut cannot be written to, and then the environment stays open: some
// memory, and a place in a table that is not there.
View::~View() {
  Env* env = env_.release();
  [[maybe_unused]] const bool closed = reads_whole([&] { delete env; });
}

Result<View> View::open(const Options& options) {
  const auto look = look_at_file(options.path);
  if (!look || look->state != FileState::kWhole) {
    std::string why = "there is none";
    if (!look) why = look.error().text;
    if (look && !look->why.empty()) why = look->why;
    return fail(ExitCode::kOsError, fmt::format("client store {}: {}", options.path, why));
  }
  const Commit& commit = look->commit;
  const uint64_t bytes = std::max(options.bytes_max, (commit.last_page + 1) * commit.page_bytes);
  auto pages = Pages::map(options.path, bytes, commit.page_bytes);
  if (!pages) return tl::unexpected(pages.error());
  survive_cut_short();
  auto env = open_environment(options, Access::kRead);
  if (!env) return fail(ExitCode::kOsError, store_error(options, env.error()).text);
  auto txn = Transaction::begin(env->get(), Access::kRead);
  if (!txn) return fail(ExitCode::kOsError, store_error(options, txn.error()).text);
  mdb_txn_reset(txn->get());
  Env parts{options.path, std::move(*env), std::move(*pages), std::move(*txn), {}};
  return View(std::make_unique<Env>(std::move(parts)));
}

std::optional<ClientRecord> View::Env::find(const ClientKey& key) {
  if (!is_reading) {
    // Takes the newest commit; the place in the table has been ours since open().
    if (mdb_txn_renew(txn.get()) != 0) {
      ++failed;
      return std::nullopt;
    }
    is_reading = true;
    commit = pages.commit(mdb_txn_id(txn.get()));
  }
  const Pages::Value value = pages.find(commit, key.encoded());
  if (value.found == Pages::Found::kDamaged) ++failed;
  if (value.found != Pages::Found::kYes) return std::nullopt;
  return ClientRecord::decode(value.bytes);
}

std::optional<ClientRecord> View::find(const ClientKey& key) {
  std::optional<ClientRecord> record;
  if (!env_->is_cut && reads_whole([&] { record = env_->find(key); })) return record;
  env_->is_cut = true;
  ++env_->failed;
  return std::nullopt;
}

void View::end_turn() {
  if (!env_->is_reading) return;
  env_->is_reading = false;
  if (!reads_whole([&] { mdb_txn_reset(env_->txn.get()); })) env_->is_cut = true;
}

uint64_t View::failed() const {
  return env_->failed;
}

bool View::is_cut() const {
  return env_->is_cut;
}

bool View::is_replaced() const {
  return env_->pages.is_replaced(env_->path);
}

}  // namespace lychgate::store
