// Addresses to keys, and the calls behind them.

#include "core/daemon/client_book.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {

ClientKey ClientBook::key_of(const IpAddress& address) const {
  return ClientKey::of(address, prefix_lengths(config_.store));
}

std::string ClientBook::name_of(const IpAddress& address) const {
  const uint32_t prefix = address.is_v4() ? config_.store.ipv4_prefix : config_.store.ipv6_prefix;
  const uint32_t whole = address.is_v4() ? 32 : 128;
  const std::string first = key_of(address).address().text();
  return prefix == whole ? first : fmt::format("{}/{}", first, prefix);
}

std::optional<store::Stats> ClientBook::stats() const {
  const store::Writer* writer = registrar_.writer();
  return writer == nullptr ? std::nullopt : std::optional(writer->stats());
}

Result<std::optional<ClientRecord>> ClientBook::find(const IpAddress& address) {
  LYCH_CHECK(is_open());
  return registrar_.writer()->find(key_of(address));
}

void ClientBook::replace(const IpAddress& address, const ClientRecord& record) {
  LYCH_CHECK(is_open());
  registrar_.writer()->replace(key_of(address), record);
}

void ClientBook::forget(const IpAddress& address) {
  LYCH_CHECK(is_open());
  registrar_.writer()->forget(key_of(address));
}

}  // namespace lychgate::daemon
