// What a Writer consists of. Only for writer.cc and writer_scan.cc.

#pragma once

#include <functional>
#include <map>
#include <span>

#include "core/store/environment.h"
#include "core/store/store.h"
#include "core/store/writer_lock.h"

namespace lychgate::store {

// What is to become of one client's record.
struct Change {
  enum class Kind : uint8_t { kVisit, kRecord, kForget } kind = Kind::kVisit;
  ClientRecord record;  // kVisit: of all its visits; kRecord: what replaces the old one
};

// The order of the tree: pages are then met one after the other, each once.
struct KeyOrder {
  bool operator()(const ClientKey& a, const ClientKey& b) const { return a.bytes < b.bytes; }
};

struct Writer::Env {
  Options options;
  WriterLock lock;
  Environment env;  // empty when it could not be opened again
  std::map<ClientKey, Change, KeyOrder> changes;
  Stats stats;
  ClientKey clean_from;
  bool is_unsynced = false;

  // 0 or an error, as below.
  int open();
  // One transaction: what `work` writes, or on error nothing of it.
  using Work = std::function<int(const Transaction& txn)>;
  int write(const Work& work);
  // The first kChangesPerTransaction of what is gathered.
  int commit_some();
  int forget_all(std::span<const ClientKey> keys);

 private:
  int attempt(const Work& work);
  void keep_ahead();
};

}  // namespace lychgate::store
