// A resolver alone on the simulated kernel, with servers that misbehave as told, and a ledger of
// what came of each question. Checks after each turn what must always hold.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dns/resolver.h"
#include "tests/sim/dns_server.h"
#include "tests/sim/small_world.h"

namespace lychgate::dns {

// Every address is listed, with a code of its own.
class PlainBook : public sim::DnsBook {
 public:
  std::optional<sim::DnsAnswer> answer(const sim::DnsQuestion& question, sim::Time now) override;
  sim::DnsAnswer lie(const sim::DnsQuestion& question) override;
  static uint32_t code_of(const IpAddress& address);
};

struct ResolverSetup {
  uint32_t servers = 1;
  config::Dns dns{};
  sim::KernelOptions kernel{};
  uint64_t seed = 1;
};

// What came of one question.
struct Fate {
  int times = 0;
  OutcomeKind kind = OutcomeKind::kFailed;
  sim::Time took = 0;
  bool right = false;  // kReply: what the book says
};

class ResolverWorld {
 public:
  explicit ResolverWorld(const ResolverSetup& setup);

  sim::DnsServer& server(size_t index) { return *servers_[index]; }
  // About address number n, whose fate is found under n.
  void ask(uint32_t n, RecordType type = RecordType::kA);
  void ask_many(uint32_t count);
  void turn(sim::Time wait_max);
  void run_for(sim::Time span);
  // Until no question is open.
  void run_out();

  const Fate& fate(uint32_t n) const { return fates_.at(n); }
  const std::map<uint64_t, Fate>& fates() const { return fates_; }
  uint64_t count(Counter counter) const { return world.counters.shards()[0].get(counter); }
  sim::Time now() const { return world.agenda.now(); }
  // The first thing that was wrong; empty: nothing.
  std::string trouble() const;

  sim::SmallWorld world;
  std::unique_ptr<Resolver> resolver;

 private:
  struct Asked {
    IpAddress address;
    sim::Time at = 0;
    RecordType type = RecordType::kA;
  };
  Tick tick() const { return first_tick_ + world.now(); }
  void dispatch(const ring::Completion& completion);
  void note(const std::optional<Outcome>& outcome);

  Tick first_tick_;
  config::Dns config_;
  sim::Stage stage_;
  PlainBook book_;
  std::vector<char> zone_;
  std::vector<ZoneName> zones_;
  std::vector<Endpoint> endpoints_;
  std::vector<int> sockets_;
  std::vector<std::unique_ptr<sim::DnsServer>> servers_;
  std::map<uint64_t, Asked> asked_;
  std::map<uint64_t, Fate> fates_;
};

}  // namespace lychgate::dns
