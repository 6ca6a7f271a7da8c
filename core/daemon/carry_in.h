// Takes over the held clients of the shard before: reads lots off the socket, finds slots for their
// descriptors and lets each client wait on to the deadline it had. Owns the socket and the lot it
// is at; what finds no room is closed and counted.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/daemon/acceptor.h"
#include "core/daemon/carry.h"
#include "core/daemon/lookups.h"
#include "ring/connections.h"

namespace lychgate::daemon {

class CarryIn {
 public:
  // listeners: how many there are. lookups: nullptr without lists.
  CarryIn(int fd, ring::Connections& connections, Acceptor& acceptor, size_t listeners,
          Lookups* lookups);

  void start();
  // Op::kCarry: there is something to read.
  void woken() { readable_ = true; }
  // Once a turn; one lot at most.
  void advance();
  // A completion of Op::kCarryAdopt. The slots of those who wait here now.
  std::span<const uint32_t> adopted(const ring::Completion& completion, Tick now);
  // No more will come.
  bool over() const { return fd_ < 0 && idle(); }
  // advance should be called though nothing completes.
  bool has_work() const { return adopting_ == 0 && (readable_ || !idle()); }

 private:
  // Between two lots.
  bool idle() const { return next_ == clients_.size(); }
  void read();
  void take(const ring::MessageIn& message);
  bool is_welcome(const CarriedClient& client) const;
  void adopt_some();
  void admit(uint32_t slot, const CarriedClient& client, Tick now);
  void lose(int fd);

  int fd_;
  ring::Connections& connections_;
  Acceptor& acceptor_;
  size_t listeners_;
  Lookups* lookups_;
  bool readable_ = false;
  std::vector<uint8_t> bytes_;
  std::vector<CarriedClient> clients_;
  std::array<int, ring::kDescriptorsPerMessage> fds_{};           // of clients_
  std::array<int, ring::kDescriptorsPerMessage> adopting_fds_{};  // the kernel's, with adopting_
  size_t next_ = 0;                                               // of clients_
  uint32_t adopting_ = 0;  // from next_ on, asked of the kernel
  std::vector<uint32_t> slots_;
};

}  // namespace lychgate::daemon
