// A tiny DNS server on the loop that serves the demo's DNS lists over UDP from the table in cast.h:
// A and TXT of who is listed, NXDOMAIN with an SOA of who is not. One of its lists can be told to
// answer everybody with an error code, as lists do that are asked too much or by the wrong people.
// Knows IPv4 clients alone; asks nobody.

#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "bench/demo/cast.h"
#include "bench/demo/loop.h"
#include "core/base/address.h"

namespace lychgate::demo {

// What the TXT record of a listed address says.
std::string reason_for(const IpAddress& address);

class ListServer : public Task {
 public:
  static Result<std::unique_ptr<ListServer>> open(Loop& loop);
  ~ListServer() override;
  ListServer(const ListServer&) = delete;
  ListServer& operator=(const ListServer&) = delete;

  const Endpoint& address() const { return address_; }
  // From now on kQuotaList answers every question with 127.255.255.254, or is itself again.
  void have_had_enough() { had_enough_ = true; }
  void forgive() { had_enough_ = false; }

  uint64_t questions() const { return questions_; }
  // Error codes given for addresses in 127.network.0.0/16.
  uint64_t errors_for(uint8_t network) const { return errors_[network]; }

 private:
  ListServer(Loop& loop, int fd);
  void complete(const ring::Completion& completion) override;
  void wake() override {}
  void listen();
  std::string answer(std::string_view message);

  Loop& loop_;
  const uint32_t id_;
  const int fd_;
  const Endpoint address_;
  bool had_enough_ = false;
  uint64_t questions_ = 0;
  std::array<uint64_t, 256> errors_{};
};

}  // namespace lychgate::demo
