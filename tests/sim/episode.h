// One run: a whole shard over the simulated kernel, in one random world, with the invariants that
// hold after each step and the ones that hold at the end.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/counters.h"
#include "core/daemon/log.h"
#include "core/daemon/shard.h"
#include "tests/sim/world.h"

namespace lychgate::sim {

struct EpisodeResult {
  uint64_t steps = 0;
  uint32_t accepted = 0;
  std::string violation;  // empty: none
};

class Episode {
 public:
  // sessions: about how many clients come.
  Episode(uint64_t seed, uint32_t sessions);
  EpisodeResult go();

  const ShardCounters& counters() const { return counters_.shards()[0]; }

 private:
  struct Moving {
    ConnId id;       // of nobody: it is somewhere else
    Time since = 0;  // first seen so
  };
  Tick tick() const { return scenario_.first_tick + static_cast<Tick>(agenda_.now()); }
  static bool is_waiting(Phase phase);
  std::optional<daemon::SynFeed> make_syn_feed();
  void serve();
  void see_off();
  bool busy() const;
  void step();
  void plan_carries();
  void begin_carry();
  uint64_t accepted_so_far() const;
  void look_at_carry();
  void taken_over(std::span<const uint8_t> lot, std::span<const SocketPtr> sockets);
  void check_taken_over(const Client& client, const daemon::CarriedClient& told);
  void check_carried();
  void plan_orders();
  void give_order();
  daemon::Order draw_order();
  void check_row(const daemon::Order& order, const daemon::SessionRow& row, uint32_t index);
  void check_step();
  void check_questions();
  void check_lookups();
  void check_slots();
  void check_wait(uint32_t index);
  void check_syn_feed();
  void check_prefetch(uint64_t asked);
  void check_move(uint32_t index);
  void check_pools();
  void check_end();
  void check_nothing_left();
  void check_counters();
  void check_looks();
  void check_visits();
  void plan_loads();
  void check_tarpit();
  void check_borrowed();
  void check_talk_counters();
  void expect(uint64_t got, uint64_t want, const char* what);
  uint64_t count(Counter counter) const { return counters().get(counter); }

  Random random_;
  Scenario scenario_;
  Agenda agenda_;
  SimReactor reactor_;
  Stage stage_;
  World world_;
  SlotTable slots_;
  SharedCounters counters_;
  daemon::LogSink sink_;
  daemon::Log log_;
  std::optional<daemon::SynFeed> syn_feed_;
  std::vector<Moving> moving_;  // by slot
  int carry_end_;               // -1: none, or told that no more will come
  std::unique_ptr<daemon::Shard> shard_;
  uint64_t syn_budget_ = UINT32_MAX;  // thousandths of addresses; a second's worth at most
  Time earned_until_ = 0;
  uint64_t steps_ = 0;
  bool asked_to_stop_ = false;  // after all was over
  std::optional<Tick> stopped_at_;
  // Of clients that are carried: what is due, what was told, and who came out elsewhere.
  uint32_t loops_due_ = 0;
  size_t loops_begun_ = 0;
  bool loop_goes_on_ = false;
  bool retires_now_ = false;
  std::optional<uint64_t> accepted_at_retirement_;
  Time carried_until_ = 0;     // and SYNs are not read
  uint64_t told_carried_ = 0;  // to itself
  uint64_t carried_away_ = 0;
  uint32_t orders_due_ = 0;
  // Who is in the tarpit, and since which step.
  struct Held {
    ConnId id;
    uint64_t since = 0;
  };
  std::vector<Held> held_;
};

}  // namespace lychgate::sim
