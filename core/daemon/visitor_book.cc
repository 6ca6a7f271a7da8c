// The store's map, and configuration to options.

#include "core/daemon/visitor_book.h"

#include <utility>

#include <fmt/format.h>

#include "core/base/limits.h"

namespace lychgate::daemon {

std::optional<std::string> StoreBook::keep_open(Tick now) {
  if (options_.path.empty()) return std::nullopt;
  if (view_ && view_->is_cut()) {
    view_.reset();
    look_at_ = now + kStoreReopenMs;
    return fmt::format(
        "warning: client store {}: the file was cut short by another program; all clients are "
        "strangers until the steward has set it aside",
        options_.path);
  }
  if (look_at_ && !tick_reached(now, *look_at_)) return std::nullopt;
  look_at_ = now + kStoreReopenMs;
  // The old one first: a process may have a file open once.
  if (view_ && view_->is_replaced()) view_.reset();
  if (view_) return std::nullopt;
  auto view = store::View::open(options_);
  if (view) view_.emplace(std::move(*view));
  return std::nullopt;
}

std::optional<ClientRecord> StoreBook::find(const ClientKey& key) {
  return view_ ? view_->find(key) : std::nullopt;
}

void StoreBook::end_turn() {
  if (view_) view_->end_turn();
}

store::Options store_options(const config::Store& config) {
  return {.path = config.file, .bytes_max = uint64_t{config.size_max} << 20, .sync = config.sync};
}

PrefixLengths prefix_lengths(const config::Store& config) {
  return {.ipv4 = static_cast<uint8_t>(config.ipv4_prefix),
          .ipv6 = static_cast<uint8_t>(config.ipv6_prefix)};
}

}  // namespace lychgate::daemon
