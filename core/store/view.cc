// A shard's end. liblmdb keeps the place in the table of readers, which tells the writer which
// pages are still read from; the pages themselves are read by pages.h, which survives damage.

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/store/environment.h"
#include "core/store/pages.h"
#include "core/store/store.h"

namespace lychgate::store {

struct View::Env {
  Environment env;
  Pages pages;
  Transaction txn;  // ended before env is closed
  Commit commit;    // while is_reading
  bool is_reading = false;
  uint64_t failed = 0;
};

View::View(std::unique_ptr<Env> env) : env_(std::move(env)) {}
View::View(View&&) noexcept = default;
View::~View() = default;

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
  auto env = open_environment(options, Access::kRead);
  if (!env) return fail(ExitCode::kOsError, store_error(options, env.error()).text);
  auto txn = Transaction::begin(env->get(), Access::kRead);
  if (!txn) return fail(ExitCode::kOsError, store_error(options, txn.error()).text);
  mdb_txn_reset(txn->get());
  Env parts{std::move(*env), std::move(*pages), std::move(*txn), {}};
  return View(std::make_unique<Env>(std::move(parts)));
}

std::optional<ClientRecord> View::find(const ClientKey& key) {
  Env& env = *env_;
  if (!env.is_reading) {
    // Takes the newest commit; the place in the table has been ours since open().
    if (mdb_txn_renew(env.txn.get()) != 0) {
      ++env.failed;
      return std::nullopt;
    }
    env.is_reading = true;
    env.commit = env.pages.commit(mdb_txn_id(env.txn.get()));
  }
  const Pages::Value value = env.pages.find(env.commit, key.encoded());
  if (value.found == Pages::Found::kDamaged) ++env.failed;
  if (value.found != Pages::Found::kYes) return std::nullopt;
  return ClientRecord::decode(value.bytes);
}

void View::end_turn() {
  if (!env_->is_reading) return;
  mdb_txn_reset(env_->txn.get());
  env_->is_reading = false;
}

uint64_t View::failed() const {
  return env_->failed;
}

}  // namespace lychgate::store
