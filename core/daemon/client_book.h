// What the steward and its commands need of the client store: visits taken in, the work that is
// due, one record by address. The seam between them and the store, so that they are tested without
// a file.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/base/address.h"
#include "core/base/client_record.h"
#include "core/base/result.h"
#include "core/base/time.h"
#include "core/store/store.h"

namespace lychgate::daemon {

class ClientBook {
 public:
  virtual ~ClientBook() = default;

  // A kVisits message of a shard, kind byte included.
  virtual void take_visits(std::span<const uint8_t> message) = 0;
  // Once a turn of the steward.
  virtual void turn(Tick now, Seconds wall) = 0;
  virtual std::optional<Tick> next_wake() const = 0;
  // The steward is about to end: what has gathered is written at once.
  virtual void close() = 0;

  // "good", or why nothing is remembered.
  virtual std::string state() const = 0;
  // The network that is one client with the address: "192.0.2.1" or "2001:db8::/64".
  virtual std::string name_of(const IpAddress& address) const = 0;
  // nullopt: there is no store.
  virtual std::optional<store::Stats> stats() const = 0;
  // False: nothing can be looked up or changed.
  virtual bool is_open() const = 0;
  // REQUIRES for all below: is_open(). nullopt: a stranger.
  virtual Result<std::optional<ClientRecord>> find(const IpAddress& address) = 0;
  virtual void replace(const IpAddress& address, const ClientRecord& record) = 0;
  virtual void forget(const IpAddress& address) = 0;
};

}  // namespace lychgate::daemon
