// The client store as the steward's commands see it: joins the registrar with the settings that say
// who is one client.

#pragma once

#include "core/daemon/client_book.h"
#include "core/daemon/registrar.h"

namespace lychgate::daemon {

class RegistrarBook : public ClientBook {
 public:
  // Both must live longer.
  RegistrarBook(const config::Config& config, Registrar& registrar)
      : config_(config), registrar_(registrar) {}

  void take_visits(std::span<const uint8_t> message) override { registrar_.take_visits(message); }
  void turn(Tick now, Seconds wall) override { registrar_.turn(now, wall); }
  std::optional<Tick> next_wake() const override { return registrar_.next_wake(); }
  void close() override { registrar_.close(); }

  std::string state() const override { return registrar_.store_state(); }
  std::string name_of(const IpAddress& address) const override;
  std::optional<store::Stats> stats() const override;
  bool is_open() const override { return registrar_.writer() != nullptr; }
  Result<std::optional<ClientRecord>> find(const IpAddress& address) override;
  void replace(const IpAddress& address, const ClientRecord& record) override;
  void forget(const IpAddress& address) override;

 private:
  ClientKey key_of(const IpAddress& address) const;

  const config::Config& config_;
  Registrar& registrar_;
};

}  // namespace lychgate::daemon
