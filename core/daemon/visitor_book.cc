// The store's map, and configuration to options.

#include "core/daemon/visitor_book.h"

#include <utility>

#include "core/base/limits.h"

namespace lychgate::daemon {

void StoreBook::keep_open(Tick now) {
  if (view_ || options_.path.empty() || (open_at_ && !tick_reached(now, *open_at_))) return;
  auto view = store::View::open(options_);
  if (view) view_.emplace(std::move(*view));
  open_at_ = now + kStoreReopenMs;
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
