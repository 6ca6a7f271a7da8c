// The client store: one LMDB file, written by the steward alone and mapped read-only by every
// shard. Owns files and nothing else; what records mean is core/base/client_record.h.
//
// An LMDB environment may be opened once in a process and never used across fork (lmdb.h), so the
// supervisor only prepares the file, and each process opens its own end after the fork.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/base/client_record.h"
#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::store {

// When a commit has reached the disk: kCommit, before it returns; kInterval, at most a second
// later, and the file stays whole; kNone, when the kernel likes, and a power failure may ruin the
// file, a killed process never.
using config::Sync;

struct Options {
  std::string path;  // one file; PATH-lock and PATH-writer are beside it
  // Of the file, at most; address space, not memory. The same in all processes, 1 MiB or more. When
  // it has been raised, views opened before may find nobody until they are opened again.
  uint64_t bytes_max = uint64_t{4} << 30;
  Sync sync = Sync::kInterval;
};

// Makes the file if there is none and looks at the one that is there. A file that is not whole or
// not ours is set aside as PATH.corrupt-SECONDS, never deleted, and `warning` says so in a
// sentence. Errors, after which the gate goes on without a store: kCantCreate (folder, rights, no
// space, read-only), kConfig for a file of a newer version (left as it is). Does nothing while
// another process writes to it. REQUIRES: the rights are those of the steward, to whom what is made
// must belong.
struct Prepared {
  std::string warning;  // empty: nothing to say
};
Result<Prepared> prepare(const Options& options);

// The reading end. One process, one thread.
class View {
 public:
  // Errors: kOsError.
  static Result<View> open(const Options& options);
  View(View&&) noexcept;
  View& operator=(View&&) = delete;
  ~View();

  // What the last commit before this turn says; nullopt for a stranger and for a record that this
  // version cannot read. No lock and no system call; may wait for the disk when the page is not in
  // memory.
  std::optional<ClientRecord> find(const ClientKey& key);
  // Once a turn: lets go of the commit that was read from, since while it is held its pages cannot
  // be used again and the file grows.
  void end_turn();
  // Lookups that found a damaged page instead of an answer; their clients passed for strangers.
  uint64_t failed() const;
  // Somebody has cut the file short: from then on nobody is found, and nobody will be.
  bool is_cut() const;
  // There is another file at the path: this one has been set aside. One system call.
  bool is_replaced() const;

 private:
  struct Env;
  explicit View(std::unique_ptr<Env> env);
  std::unique_ptr<Env> env_;
};

struct Stats {
  uint64_t records = 0;
  uint64_t bytes_used = 0;  // of bytes_max: what records and their index take
  uint64_t bytes_high = 0;  // the most the file has ever taken; what is free of it is used again
  uint64_t commits = 0;
  uint64_t commit_errors = 0;  // commits that failed; their records were tried again or dropped
  uint64_t records_lost = 0;   // dropped: more than kUncommittedMax were waiting
  uint64_t cleaned = 0;        // records forgotten by cleanup
};

// The writing end: one process of one host. Changes gather in memory and are written by commit().
class Writer {
 public:
  static constexpr size_t kUncommittedMax = 100'000;  // clients; later visits of others are lost
  // Changes of one transaction: more would only make its pages wait longer in memory.
  static constexpr size_t kChangesPerTransaction = 10'000;

  // Errors: kUnavailable when another process writes to this store, kOsError else.
  static Result<Writer> open(const Options& options);
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) = delete;
  ~Writer();

  // Gathers. A client's visits of one batch become one change.
  void add_visit(const ClientKey& key, const ClientRecord& visit);
  void replace(const ClientKey& key, const ClientRecord& record);
  void forget(const ClientKey& key);
  // Everything gathered, in transactions of kChangesPerTransaction. On error (no space, read-only,
  // I/O) what is not yet written stays gathered for the next try and the sentence says what the
  // operator can do.
  Result<void> commit();
  size_t uncommitted() const;
  // kInterval: brings commits to the disk; called once a second.
  Result<void> sync();

  // With what is gathered but not yet committed.
  Result<std::optional<ClientRecord>> find(const ClientKey& key);
  // Looks at the next `records_max` records, beginning again at the end, and forgets those of which
  // useful_until + retention is past. Records looked at.
  Result<uint64_t> clean(Seconds now, Seconds retention, uint64_t records_max);
  // Calls for up to `count` committed records from the first one at or after `from` (ClientKey{}:
  // from the beginning); the key to go on from, nullopt at the end.
  using Visit = std::function<void(const ClientKey&, const ClientRecord&)>;
  Result<std::optional<ClientKey>> walk(const ClientKey& from, uint64_t count, const Visit& visit);
  Stats stats() const;

 private:
  struct Env;
  explicit Writer(std::unique_ptr<Env> env);
  std::unique_ptr<Env> env_;
};

}  // namespace lychgate::store
