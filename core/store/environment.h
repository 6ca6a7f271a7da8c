// Opening the store with liblmdb, and what its errors mean to an operator. Owns the settings that
// all processes must share; knows nothing of records.

#pragma once

#include <lmdb.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "core/base/result.h"
#include "core/store/store.h"

namespace lychgate::store {

struct CloseEnvironment {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

// The one tree of the file: clients, and before them the line that says whose file it is.
inline constexpr MDB_dbi kTree = 1;

enum class Access : uint8_t { kRead, kWrite };
// An error is liblmdb's number or errno. REQUIRES: the file is whole, and this process has no other
// environment of it open (closing one would drop the locks of both).
tl::expected<Environment, int> open_environment(const Options& options, Access access);

// What new records may fill; the rest of bytes_max is for forgetting, which needs pages, too.
uint64_t bytes_for_records(const Options& options);

// The sentence for an operator, the place first.
Error store_error(const Options& options, int error);
// What it says of the file: that its pages are damaged.
bool is_damage(int error);

// Ends with an abort unless committed.
class Transaction {
 public:
  static tl::expected<Transaction, int> begin(MDB_env* env, Access access);
  Transaction(Transaction&& other) noexcept : txn_(std::exchange(other.txn_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() { mdb_txn_abort(txn_); }

  // 0, or the error that undid all of it.
  int commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }
  MDB_txn* get() const { return txn_; }

 private:
  explicit Transaction(MDB_txn* txn) : txn_(txn) {}
  MDB_txn* txn_;
};

// Ended before its transaction, as those that only read want it.
class Cursor {
 public:
  static tl::expected<Cursor, int> open(const Transaction& transaction);
  Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }
  MDB_cursor* get() const { return cursor_; }

 private:
  explicit Cursor(MDB_cursor* cursor) : cursor_(cursor) {}
  MDB_cursor* cursor_;
};

inline MDB_val value_of(std::span<const uint8_t> bytes) {
  return {bytes.size(), const_cast<uint8_t*>(bytes.data())};
}
inline std::span<const uint8_t> bytes_of(const MDB_val& value) {
  return {static_cast<const uint8_t*>(value.mv_data), value.mv_size};
}

}  // namespace lychgate::store
