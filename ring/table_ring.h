// One io_uring with its table of direct descriptors: set-up, and the next entry to fill. What is
// asked and answered is the reactor's.

#pragma once

#include <cstdint>
#include <memory>

#include "core/base/result.h"

struct io_uring;
struct io_uring_sqe;

namespace lychgate::ring {

struct TableRingOptions {
  uint32_t slots = 0;
  uint32_t submission_entries = 0;
  uint32_t completion_entries = 0;
};

class TableRing {
 public:
  TableRing();
  TableRing(TableRing&&) = delete;
  ~TableRing();

  // SINGLE_ISSUER and DEFER_TASKRUN. Errors: kUnavailable for a refused ring, kOsError for a table
  // that RLIMIT_NOFILE forbids.
  Result<void> set_up(const TableRingOptions& options);

  // The next free entry. A full queue is submitted at once; `full` counts how often.
  io_uring_sqe* next_entry(uint64_t& full);
  io_uring& kernel() { return *kernel_; }

  // For a ring that holds: requests not yet answered, and whether it is on the list of this turn.
  uint32_t unanswered = 0;
  bool listed = false;

 private:
  std::unique_ptr<io_uring> kernel_;
  bool made_ = false;
};

}  // namespace lychgate::ring
