// The steward looking into the store: one record, records in order, and those that have become old.

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/store/writer_env.h"

namespace lychgate::store {
namespace {

// Behind the signature, before all clients.
constexpr std::array<uint8_t, 1> kBeforeClients = {'4'};

// When the file is full, few at a time: each needs some pages of what is kept for this.
constexpr size_t kForgottenWhenFullMax = 16;

}  // namespace

Result<std::optional<ClientRecord>> Writer::find(const ClientKey& key) {
  std::optional<ClientRecord> stored;
  const auto change = env_->changes.find(key);
  const bool is_change = change != env_->changes.end();
  if (is_change && change->second.kind == Change::Kind::kForget) return stored;
  if (is_change && change->second.kind == Change::Kind::kRecord) return change->second.record;
  if (!env_->env) return tl::unexpected(store_error(env_->options, MDB_CORRUPTED));
  const auto txn = Transaction::begin(env_->env.get(), Access::kRead);
  if (!txn) return tl::unexpected(store_error(env_->options, txn.error()));
  MDB_val name = value_of(key.encoded());
  MDB_val value{};
  const int error = mdb_get(txn->get(), kTree, &name, &value);
  if (error != 0 && error != MDB_NOTFOUND) {
    return tl::unexpected(store_error(env_->options, error));
  }
  if (error == 0) stored = ClientRecord::decode(bytes_of(value));
  if (!is_change) return stored;
  return stored ? with_visit(*stored, change->second.record) : change->second.record;
}

Result<std::optional<ClientKey>> Writer::walk(const ClientKey& from, uint64_t count,
                                              const Visit& visit) {
  if (!env_->env) return tl::unexpected(store_error(env_->options, MDB_CORRUPTED));
  const auto txn = Transaction::begin(env_->env.get(), Access::kRead);
  if (!txn) return tl::unexpected(store_error(env_->options, txn.error()));
  const auto cursor = Cursor::open(*txn);
  if (!cursor) return tl::unexpected(store_error(env_->options, cursor.error()));
  MDB_val name = value_of(from.size == 0 ? std::span(kBeforeClients) : from.encoded());
  MDB_val value{};
  int error = mdb_cursor_get(cursor->get(), &name, &value, MDB_SET_RANGE);
  for (; error == 0 && count > 0; --count) {
    const auto key = ClientKey::decode(bytes_of(name));
    const auto record = ClientRecord::decode(bytes_of(value));
    if (key && record) visit(*key, *record);
    error = mdb_cursor_get(cursor->get(), &name, &value, MDB_NEXT);
  }
  if (error == 0) return ClientKey::decode(bytes_of(name));
  if (error == MDB_NOTFOUND) return std::nullopt;
  return tl::unexpected(store_error(env_->options, error));
}

int Writer::Env::forget_all(std::span<const ClientKey> keys) {
  const int error = write([&](const Transaction& txn) {
    for (const ClientKey& key : keys) {
      MDB_val name = value_of(key.encoded());
      const int failed = mdb_del(txn.get(), kTree, &name, nullptr);
      if (failed != 0 && failed != MDB_NOTFOUND) return failed;
    }
    return 0;
  });
  if (error != 0) return error;
  ++stats.commits;
  stats.cleaned += keys.size();
  return 0;
}

Result<uint64_t> Writer::clean(Seconds now, Seconds retention, uint64_t records_max) {
  Env& env = *env_;
  uint64_t looked = 0;
  std::vector<ClientKey> old;
  const auto next = walk(env.clean_from, records_max, [&](const auto& key, const auto& record) {
    ++looked;
    const Seconds last = useful_until(record);
    if (last == kForever || uint64_t{last} + retention >= now) return;
    // A visit that is still gathered will need the record.
    if (!env.changes.contains(key)) old.push_back(key);
  });
  if (!next) return tl::unexpected(next.error());
  int error = old.empty() ? 0 : env.forget_all(old);
  bool is_all = true;
  if (error == MDB_MAP_FULL) {
    is_all = old.size() <= kForgottenWhenFullMax;
    if (!is_all) old.resize(kForgottenWhenFullMax);
    mdb_env_set_mapsize(env.env.get(), env.options.bytes_max);
    error = env.forget_all(old);
    mdb_env_set_mapsize(env.env.get(), bytes_for_records(env.options));
  }
  if (error != 0) return tl::unexpected(store_error(env.options, error));
  // What was left of a full file is met again at once.
  if (is_all) env.clean_from = next->value_or(ClientKey{});
  return looked;
}

}  // namespace lychgate::store
