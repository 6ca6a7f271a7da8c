// The batches, and what becomes of them when the disk is full.

#include "core/daemon/registrar.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

constexpr Tick kChoresMs = 1000;

}  // namespace

Registrar::Registrar(const config::Config& config, const LogSink& sink, Tick now)
    : config_(config), sink_(sink), chores_at_(now + kChoresMs) {
  if (!config.store.file.empty()) open(now);
}

void Registrar::open(Tick now) {
  open_at_ = now + kStoreReopenMs;
  const store::Options options = store_options(config_.store);
  // The supervisor has done so, unless it could not.
  const auto prepared = store::prepare(options);
  if (!prepared) return judge(tl::unexpected(prepared.error()), trouble_);
  if (!prepared->warning.empty()) log_now(sink_, "warning: " + prepared->warning);
  auto writer = store::Writer::open(options);
  if (!writer) return judge(tl::unexpected(writer.error()), trouble_);
  writer_.emplace(std::move(*writer));
  open_at_.reset();
  judge({}, trouble_);
}

void Registrar::judge(const Result<void>& tried, std::string& trouble) {
  const std::string news = tried ? "" : tried.error().text;
  if (news == trouble) return;
  trouble = news;
  if (news.empty()) {
    log_now(sink_, fmt::format("the client store {} works again", config_.store.file));
  } else {
    log_now(sink_, fmt::format("warning: {}; meanwhile nothing new is remembered", news));
  }
}

std::string Registrar::store_state() const {
  if (config_.store.file.empty()) return "none";
  if (!trouble_.empty()) return trouble_;
  return chores_trouble_.empty() ? "good" : chores_trouble_;
}

void Registrar::take_visits(std::span<const uint8_t> message) {
  std::span<const uint8_t> rest = message.empty() ? message : message.subspan(1);
  while (rest.size() >= kVisitBytes) {
    const auto visit = decode_visit(rest.first<kVisitBytes>());
    rest = rest.subspan(kVisitBytes);
    if (visit && writer_) {
      writer_->add_visit(visit->key, visit->record);
    } else {
      ++dropped_;
    }
  }
  if (!rest.empty()) ++dropped_;
}

void Registrar::turn(Tick now, Seconds wall) {
  if (open_at_ && tick_reached(now, *open_at_)) open(now);
  if (!writer_) return;
  if (writer_->uncommitted() > 0) commit(now);
  if (tick_reached(now, chores_at_)) do_chores(now, wall);
}

void Registrar::commit(Tick now) {
  if (!commit_at_) commit_at_ = now + kStoreCommitMs;
  const bool due = writer_->uncommitted() >= kStoreCommitRecords || tick_reached(now, *commit_at_);
  if (retry_at_ ? !tick_reached(now, *retry_at_) : !due) return;
  const auto committed = writer_->commit();
  judge(committed, trouble_);
  retry_at_.reset();
  commit_at_.reset();
  if (!committed) retry_at_ = now + kStoreRetryMs;
}

// Once a second. While commits fail, nothing is cleaned: that is a commit too.
void Registrar::do_chores(Tick now, Seconds wall) {
  chores_at_ = now + kChoresMs;
  if (retry_at_) return;
  Result<void> tried = writer_->sync();
  const uint64_t share = writer_->stats().records / kStoreCleanRoundSeconds + 1;
  const auto retention =
      std::chrono::duration_cast<std::chrono::seconds>(config_.store.retention).count();
  const auto cleaned = writer_->clean(wall, static_cast<Seconds>(retention),
                                      std::min<uint64_t>(share, kStoreCleanMax));
  if (tried && !cleaned) tried = tl::unexpected(cleaned.error());
  judge(tried, chores_trouble_);
}

std::optional<Tick> Registrar::next_wake() const {
  if (!writer_) return open_at_;
  Tick wake = chores_at_;
  const auto consider = [&wake](std::optional<Tick> at) {
    if (at && tick_reached(wake, *at)) wake = *at;
  };
  if (retry_at_) {
    consider(retry_at_);
  } else if (writer_->uncommitted() > 0) {
    consider(commit_at_);
  }
  return wake;
}

void Registrar::close() {
  if (!writer_) return;
  if (writer_->uncommitted() > 0) judge(writer_->commit(), trouble_);
  if (config_.store.sync != config::Sync::kNone) judge(writer_->sync(), chores_trouble_);
}

}  // namespace lychgate::daemon
