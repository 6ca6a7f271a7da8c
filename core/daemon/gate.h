// The supervisor's state and its loop: generations of shards, the steward, and the changes from one
// generation to the next. Only for supervisor.cc and the gate_*.cc files.

#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/counters.h"
#include "core/daemon/cell_book.h"
#include "core/daemon/child.h"
#include "core/daemon/gate_state.h"
#include "core/daemon/generation.h"
#include "core/daemon/listeners.h"
#include "core/daemon/log.h"
#include "core/daemon/plan.h"
#include "core/daemon/steward_line.h"
#include "core/daemon/syn_feed.h"

namespace lychgate::daemon {

// What a leaving steward needs to write what it has been told; a slow disk may need as long.
inline constexpr Tick kStewardGraceMs = 5000;

inline Tick now_tick() {
  return to_tick(monotonic_now());
}

// One generation of shards.
struct Crew {
  uint32_t number = 1;
  uint32_t set = 0;            // of blocks and lines; core/daemon/generation.h
  std::unique_ptr<Plan> plan;  // nullptr: made by the program before an upgrade
  LogSink sink;
  Listeners listeners;
  std::vector<SynFeedDoor> feeds = {};  // of each shard; empty: none
  std::vector<Child> shards;
};

// What stays the same for as long as the gate runs, upgrades included.
struct GateParts {
  std::string config_path;  // empty: built-in defaults
  uint32_t shards = 0;
  std::string user;        // as configured
  uint32_t start_uid = 0;  // who started it; defaults depend on that
  std::string program;     // that runs; what an upgrade executes again unless it is told another
  std::vector<std::string> arguments;  // of the command line
  std::string control_path;            // of the control socket; empty: none
  int steward_fd = -1;                 // listens there
  int notify_fd = -1;                  // of systemd; -1: none
  int signal_fd = -1;
  uint64_t deferred_before = 0;    // deferred_acks() at the start
  std::vector<StewardLine> lines;  // of each block
};

// The new program as `check`, before it takes over.
struct Trial {
  pid_t pid = -1;     // -1: it has ended, or there is none
  int words_fd = -1;  // what it says; -1: it has closed that
  int state_fd = -1;  // what it would take over
  int status = 0;     // of its end
  std::string words;
};

// A change of generations: asked for, under way, or none.
struct Change {
  enum class Stage : uint8_t {
    kNone,
    kWaiting,   // for the generation before to be gone: there are never three
    kTrying,    // the new program is asked whether it can take over
    kStarting,  // the next one makes itself ready
    kCarrying,  // it takes clients; those held go over to it
  } stage = Stage::kNone;
  bool steward_asks = false;  // and wants to hear how it ended
  bool again = false;         // asked for by signal meanwhile
  bool looked = false;        // kWaiting: whether it has to wait
  bool upgrades = false;      // for the words
  std::string program;        // to be executed; empty: a reload
  Tick until = 0;             // of this stage
  Trial trial = {};
};

class Gate {
 public:
  // crew: with its plan, not yet started; or of the program before, whose children go on.
  Gate(GateParts parts, SharedCounters&& counters, CellBook&& book, Crew&& crew);

  // Runs until the gate is to stop. REQUIRES: called once.
  Result<void> run();
  // The same after an upgrade: the crew is that of the program before.
  Result<void> run_on(const GateState& before);

 private:
  // gate.cc: processes, waiting, stopping
  void log(std::string_view text) const { log_now(current_.sink, text); }
  void notify(std::string_view state) const;
  std::vector<Crew*> crews();
  std::vector<Child*> children();
  bool fork_child(const Crew& crew, Child& child, int& child_end);
  void close_what_others_have(const Crew& crew);
  void not_started(Child& child);
  void start_shard(Crew& crew, uint32_t index, int carry_fd);
  void start_steward();
  void serve_on();
  int wait_ms() const;
  void wait_for_news();
  void hear_shard(Child& child);
  void hear_steward();
  bool is_current(const Child& child) const;
  static void close_control(Child& child);
  void take_signals();
  void reap();
  void shard_died(Crew& crew, uint32_t index, int status);
  void clear_block(const Crew& crew, uint32_t index);
  void steward_died(int status);
  void restart_later(Child& child, const std::string& name, int status);
  void restart_due();
  Result<void> await_ready();
  void announce() const;
  void begin_stop();
  bool all_gone();
  void end_steward();
  void stop_all();
  uint32_t block_of(const Crew& crew, uint32_t index) const {
    return crew.set * parts_.shards + index;
  }

  // gate_reload.cc: from one generation to the next
  void ask_for_change(bool by_steward, std::string program);
  void advance_change();
  bool look_ahead();
  void begin_change();
  bool only_access_differs(const Plan& next) const;
  Result<std::string> change_access(Plan& next);
  Result<void> prepare_next(std::unique_ptr<Plan> plan);
  void start_next_shards();
  void await_next(Tick now);
  void close_carry_ends();
  void give_up_next(const std::string& why);
  void retire_shard(uint32_t index, const Crew& next);
  void switch_over();
  void take_times();
  void see_off_retiring(Tick now);
  static void close_sink(const Crew& crew, const Crew& kept);
  static void close_feeds(const Crew& crew, const Crew& kept);
  std::string carry_report() const;
  void end_change(const Result<std::string>& outcome);
  void answer_steward(const Error& answer, Word word);
  void replace_steward();

  // gate_upgrade.cc
  GateState state() const;
  Result<void> begin_trial();
  void hear_trial();
  void await_trial(Tick now);
  Result<void> judge_trial(bool in_time) const;
  Result<void> take_off(int state_fd);

  GateParts parts_;
  SharedCounters counters_;
  CellBook book_;
  CellBook next_book_;
  Crew current_;
  std::optional<Crew> next_;      // kStarting
  std::optional<Crew> retiring_;  // from kCarrying on, until all have gone
  std::vector<int> carry_ends_;   // of the current crew's shards, while the next one starts
  Tick retiring_until_ = 0;
  Child steward_;
  bool steward_leaves_ = false;  // by order; the next one is started when it has gone
  Tick steward_until_ = 0;
  Change change_;
  StewardGeneration generation_;
  Tick drain_ = 0;  // of the current configuration, as the next
  milliseconds waits_{0};
  config::Hold hold_ = config::Hold::kGate;
  bool started_ = false;
  bool stopping_ = false;
  bool stop_now_ = false;
  Tick stop_until_ = 0;
  int start_error_ = 0;    // errno of a process that could not be made at the start
  int failed_status_ = 0;  // of a shard that died before it was ready
};

// The kernel side of SYN feeds, one for each shard, where they are of use and allowed. Those of the
// crew before stay as long as the listeners do.
void open_feeds(Crew& crew, const std::vector<SynFeedDoor>& before);
// The configuration as its files are now, if the running gate can go over to it.
Result<std::unique_ptr<Plan>> plan_next(const GateParts& parts);
// A new program has written it behind the state, so it has understood that.
inline constexpr char kTrialToken[] = "lychgate can take over";
// Makes or mends the store's file, or says why that cannot be.
void prepare_store(const Crew& crew);

// Signals as a descriptor. Errors: none that are not a bug.
int block_signals();

}  // namespace lychgate::daemon
