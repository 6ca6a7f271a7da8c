// The steward's side of the client store: takes visits from the shards, writes them in batches,
// forgets what is old a little at a time. Owns the writer; commands reach the store through it.
// Without a store, or while it is ill, everything else goes on: clients are tested again.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/base/time.h"
#include "core/config/config.h"
#include "core/daemon/log.h"
#include "core/daemon/steward_line.h"
#include "core/store/store.h"

namespace lychgate::daemon {

class Registrar {
 public:
  // Never fails: a store that cannot be opened is said in one log line and tried again each minute.
  Registrar(const config::Config& config, const LogSink& sink, Tick now);

  // A kVisits message, kind byte included.
  void take_visits(std::span<const uint8_t> message);
  // Commits, syncs and cleans what is due: at most kStoreCommitMs or kStoreCommitRecords apart.
  void turn(Tick now, Seconds wall);
  std::optional<Tick> next_wake() const;
  // Writes what has gathered, at once: the steward is about to end.
  void close();

  // nullptr: there is no store, or it could not be opened; store_state() says which.
  store::Writer* writer() { return writer_ ? &*writer_ : nullptr; }
  // "none", "good", or what is wrong with it.
  std::string store_state() const;
  // Visits that came while the store was not open, or in a message that is none of ours.
  uint64_t visits_dropped() const { return dropped_; }

 private:
  void open(Tick now);
  void commit(Tick now);
  void do_chores(Tick now, Seconds wall);
  // What has been tried: one line when it begins to fail, or fails otherwise, and one when it works
  // again. trouble: what is known of it so far.
  void judge(const Result<void>& tried, std::string& trouble);

  const config::Config& config_;
  const LogSink& sink_;
  std::optional<store::Writer> writer_;
  std::string trouble_;            // with opening and committing; empty: none
  std::string chores_trouble_;     // with syncing and cleaning
  std::optional<Tick> open_at_;    // when to try again
  std::optional<Tick> commit_at_;  // when what has gathered is due
  std::optional<Tick> retry_at_;   // no commit before: the last one failed
  Tick chores_at_;
  uint64_t dropped_ = 0;
};

}  // namespace lychgate::daemon
