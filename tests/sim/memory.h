// The steward and its store at the other end of a shard's line: takes visits, makes them readable
// some time later, and is dead for a while, so that visits are lost on the way and after it. What
// the gate may then believe of a client is asked of it by those who judge the gate.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/daemon/steward_line.h"
#include "core/daemon/visitor_book.h"
#include "tests/sim/actor.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {

// The wall clock of a run at its time 0: a midnight, since budgets of lists end there.
inline constexpr Seconds kFirstSecond = 20000 * 86400;
inline Seconds second_at(Time time) {
  return kFirstSecond + static_cast<Seconds>(time / 1000);
}

class Memory : public daemon::VisitorBook, public PacketFar {
 public:
  Memory(Stage& stage, const Scenario& scenario);

  int line() const { return line_; }
  std::optional<ClientRecord> find(const ClientKey& key) override;
  void end_turn() override {}
  bool has_room() const override;
  void packet_came(int fd, std::span<const char> bytes) override;

  // What can be read of a client now; nothing of a stranger.
  ClientRecord record_of(const IpAddress& address) const;
  // It was let on without a test if it came at `since` or later.
  bool may_be_known(const IpAddress& address, Time since) const;
  bool may_be_spared(const IpAddress& address, ScreenTest test, Time since) const;
  bool may_have_failed(const IpAddress& address, ScreenTest test, Time since) const;
  // Its network was deferred, and the delay is over.
  bool may_have_returned(const IpAddress& address) const;
  // The same for certain, of one who comes now.
  bool is_known(const IpAddress& address) const;
  bool is_offender(const IpAddress& address) const;
  uint64_t visits_came() const { return came_; }

 private:
  using Book = std::map<std::string, ClientRecord>;
  struct Change {
    std::string key;
    ClientRecord visit;
  };
  void read_all();
  void commit();
  void die();
  bool is_screened(ScreenTest test) const;
  const config::DialogueTest& settings_of(ScreenTest test) const;
  std::string key_of(const IpAddress& address) const;

  Stage& stage_;
  const Scenario& scenario_;
  PrefixLengths prefixes_;
  int line_;
  bool dead_ = false;
  bool committing_ = false;
  std::deque<std::string> queue_;  // in the socket while nobody reads
  std::vector<Change> uncommitted_;
  Book book_;
  uint64_t came_ = 0;
};

}  // namespace lychgate::sim
