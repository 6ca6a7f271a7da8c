// The client store as the steward's commands see it: one record by the address of a client. Joins
// the registrar with the settings that say who is one client.

#pragma once

#include <optional>
#include <string>

#include "core/base/address.h"
#include "core/base/client_record.h"
#include "core/base/result.h"
#include "core/config/config.h"
#include "core/daemon/registrar.h"
#include "core/store/store.h"

namespace lychgate::daemon {

class ClientBook {
 public:
  // Both must live longer.
  ClientBook(const config::Config& config, Registrar& registrar)
      : config_(config), registrar_(registrar) {}

  // "good", or why nothing is remembered.
  std::string state() const { return registrar_.store_state(); }
  // The network that is one client with the address: "192.0.2.1" or "2001:db8::/64".
  std::string name_of(const IpAddress& address) const;
  // nullopt: there is no store.
  std::optional<store::Stats> stats() const;
  // False: nothing can be looked up or changed.
  bool is_open() const { return registrar_.writer() != nullptr; }
  // REQUIRES for all below: is_open(). nullopt: a stranger.
  Result<std::optional<ClientRecord>> find(const IpAddress& address);
  void replace(const IpAddress& address, const ClientRecord& record);
  void forget(const IpAddress& address);

 private:
  ClientKey key_of(const IpAddress& address) const;

  const config::Config& config_;
  Registrar& registrar_;
};

}  // namespace lychgate::daemon
