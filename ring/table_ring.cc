// Set-up of a ring and its table.

#include "ring/table_ring.h"

#include <liburing.h>
#include <sys/resource.h>

#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"
#include "ring/features.h"

namespace lychgate::ring {

TableRing::TableRing() : kernel_(std::make_unique<io_uring>()) {}

TableRing::~TableRing() {
  if (made_) io_uring_queue_exit(kernel_.get());
}

Result<void> TableRing::set_up(const TableRingOptions& options) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_SUBMIT_ALL;
  params.cq_entries = options.completion_entries;
  int outcome = io_uring_queue_init_params(options.submission_entries, kernel_.get(), &params);
  if (outcome < 0) {
    return fail(ExitCode::kUnavailable,
                fmt::format("{}", setup_refusal(-outcome, read_io_uring_disabled())));
  }
  made_ = true;
  outcome = io_uring_register_files_sparse(kernel_.get(), options.slots);
  if (outcome == -EMFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return fail(ExitCode::kOsError,
                fmt::format("descriptor limit too low: {} connection slots need RLIMIT_NOFILE {} "
                            "(it is {}); raise LimitNOFILE or lower limits.per_shard",
                            options.slots, options.slots, limit.rlim_cur));
  }
  if (outcome < 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot register {} direct descriptors: {}",
                                                options.slots, errno_text(-outcome)));
  }
  return {};
}

io_uring_sqe* TableRing::next_entry(uint64_t& full) {
  io_uring_sqe* entry = io_uring_get_sqe(kernel_.get());
  // Twice, since a submit may fail for a moment when the kernel is out of memory.
  for (int tries = 0; entry == nullptr && tries < 2; ++tries) {
    ++full;
    io_uring_submit(kernel_.get());
    entry = io_uring_get_sqe(kernel_.get());
  }
  LYCH_CHECK(entry != nullptr);
  return entry;
}

}  // namespace lychgate::ring
