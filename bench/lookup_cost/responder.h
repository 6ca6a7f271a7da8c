// The other end of every lookup: a process on a core of its own that answers at one UDP socket, in
// batches. Most names are not listed (NXDOMAIN and an SOA), some are (127.0.0.2), by a rule of the
// name's bytes. Owns the process and ends it; knows no questions but those of dns/wire.h, IPv4.

#pragma once

#include <sys/types.h>

#include <span>

#include "core/base/address.h"
#include "core/base/result.h"

namespace lychgate::lookup_cost {

// The name in a question of write_question.
std::span<const char> name_of(std::span<const char> question);
// What the responder will say about that name.
bool is_listed(std::span<const char> name);

class Responder {
 public:
  static Result<Responder> start(int core);
  Responder(Responder&& other) noexcept;
  Responder& operator=(Responder&&) = delete;
  ~Responder();

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  Responder(pid_t pid, const Endpoint& endpoint) : pid_(pid), endpoint_(endpoint) {}
  pid_t pid_;
  Endpoint endpoint_;
};

}  // namespace lychgate::lookup_cost
