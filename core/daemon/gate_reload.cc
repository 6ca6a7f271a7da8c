// From one generation of shards to the next. Everything that can be wrong is found out before the
// first shard is told anything; until then an error costs nobody a client.

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "core/config/reader.h"
#include "core/config/values.h"
#include "core/daemon/access_image.h"
#include "core/daemon/gate.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

void close_trial(const Trial& trial) {
  if (trial.words_fd >= 0) close(trial.words_fd);
  if (trial.state_fd >= 0) close(trial.state_fd);
}

using Stage = Change::Stage;

// What new shards have to make themselves ready: rings, slots, sockets.
constexpr Tick kStartMs = 30000;
// What the old ones have to carry those they hold: a million takes some ten seconds.
constexpr Tick kCarryMs = 30000;
// Beyond its time: what a retiring shard needs to notice that it is over.
constexpr Tick kRetireGraceMs = 2000;

std::string lines_of(const config::LoadFailure& failure) {
  std::string lines;
  for (const config::Problem& problem : failure.problems) {
    if (!lines.empty()) lines += '\n';
    lines += problem.line();
  }
  return lines;
}

Result<void> needs_restart(std::string_view key) {
  return fail(ExitCode::kConfig,
              fmt::format("{} cannot be changed while the gate runs; restart it for that", key));
}

// Whole lines, as many as a message takes.
std::string shortened(const std::string& text) {
  constexpr size_t kRoom = kControlMessageMax - 64;
  if (text.size() <= kRoom) return text;
  const size_t cut = text.rfind('\n', kRoom);
  const size_t end = cut == std::string::npos ? kRoom : cut;
  const auto left = std::count(text.begin() + static_cast<std::ptrdiff_t>(end), text.end(), '\n');
  return fmt::format("{}\n... and {} lines more; `lychgate check` prints them all",
                     text.substr(0, end), left);
}

milliseconds whole_seconds(Tick ms) {
  return milliseconds{(int64_t{ms} + 999) / 1000 * 1000};
}

// Whoever is in silence when its shard retires but cannot be carried waits here to the end.
milliseconds longest_wait(const config::Config& config) {
  return longest_silence(config) + milliseconds{kMoveWaitMs};
}

}  // namespace

void Gate::ask_for_change(bool by_steward, std::string program) {
  if (change_.stage != Stage::kNone || stopping_) {
    if (by_steward) {
      answer_steward({ExitCode::kUnavailable, stopping_ ? "the gate stops" : kUnderWay},
                     Word::kAnswer);
    } else if (change_.stage != Stage::kWaiting) {
      change_.again = true;  // its files are read already
    }
    return;
  }
  const Tick now = now_tick();
  const bool upgrades = !program.empty();
  change_ = {.stage = Stage::kWaiting,
             .steward_asks = by_steward,
             .upgrades = upgrades,
             .program = std::move(program),
             .until = now};
  if (retiring_) change_.until = retiring_until_;
  // sd_notify(3): the clock's reading tells an old READY=1 from the one to come.
  const auto since_boot = monotonic_now().time_since_epoch();
  notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                     std::chrono::duration_cast<std::chrono::microseconds>(since_boot).count()));
}

void Gate::advance_change() {
  const Tick now = now_tick();
  if (retiring_) see_off_retiring(now);
  switch (change_.stage) {
    case Stage::kNone:
      if (std::exchange(change_.again, false)) ask_for_change(false, "");
      return;
    case Stage::kWaiting:
      // A third generation is never begun.
      if (!retiring_ && !steward_leaves_) return begin_change();
      if (!std::exchange(change_.looked, true) && look_ahead()) return;
      change_.until = retiring_ ? retiring_until_ : steward_until_;
      return;
    case Stage::kTrying:
      return await_trial(now);
    case Stage::kStarting:
      return await_next(now);
    case Stage::kCarrying: {
      const auto is_done = [](const Child& child) {
        return child.carried.has_value() || !child.lives();
      };
      const bool all = std::ranges::all_of(retiring_->shards, is_done);
      if (all || tick_reached(now, change_.until)) end_change(carry_report());
      return;
    }
  }
}

void Gate::see_off_retiring(Tick now) {
  bool gone = true;
  for (Child& child : retiring_->shards) {
    if (!child.lives()) continue;
    gone = false;
    if (tick_reached(now, retiring_until_)) kill(child.pid, SIGKILL);
  }
  if (tick_reached(now, retiring_until_)) retiring_until_ = now + kRetireGraceMs;
  // What was carried is asked for once more, at the end of the change.
  if (!gone || change_.stage == Stage::kCarrying) return;
  log(fmt::format("generation {} has ended", retiring_->number));
  close_sink(*retiring_, current_);
  close_feeds(*retiring_, current_);
  retiring_.reset();
}

void Gate::close_sink(const Crew& crew, const Crew& kept) {
  if (crew.sink.fd > STDERR_FILENO && crew.sink.fd != kept.sink.fd) close(crew.sink.fd);
}

void Gate::close_feeds(const Crew& crew, const Crew& kept) {
  const bool shared =
      !crew.feeds.empty() && !kept.feeds.empty() && crew.feeds[0].ring_fd == kept.feeds[0].ring_fd;
  if (shared) return;
  for (const SynFeedDoor& door : crew.feeds) {
    close(door.ring_fd);
    close(door.lost_fd);
  }
}

// What need not wait, or cannot succeed, is told at once. True: it was.
bool Gate::look_ahead() {
  if (!change_.program.empty()) return false;
  auto plan = plan_next(parts_);
  if (plan && !only_access_differs(**plan)) return false;
  end_change(plan ? change_access(**plan) : tl::unexpected(plan.error()));
  return true;
}

void Gate::begin_change() {
  if (!change_.program.empty()) {
    if (const auto begun = begin_trial(); !begun) end_change(tl::unexpected(begun.error()));
    return;
  }
  auto plan = plan_next(parts_);
  if (!plan) return end_change(tl::unexpected(plan.error()));
  if (only_access_differs(**plan)) return end_change(change_access(**plan));
  if (const auto prepared = prepare_next(std::move(*plan)); !prepared) {
    return end_change(tl::unexpected(prepared.error()));
  }
  start_next_shards();
}

Result<std::unique_ptr<Plan>> plan_next(const GateParts& parts) {
  config::Defaults defaults = config::Defaults::of_this_process();
  defaults.uid = parts.start_uid;
  const auto loaded = config::load(parts.config_path, defaults);
  if (!loaded) return fail(loaded.error().code, lines_of(loaded.error()));
  auto plan = make_plan(*loaded->config, parts.config_path);
  if (!plan) return tl::unexpected(plan.error());
  const config::Config& config = plan->config;
  Result<void> same;
  if (config.shards != parts.shards) same = needs_restart("shards");
  if (config.control.socket != parts.control_path) same = needs_restart("control.socket");
  if (config.user != parts.user) same = needs_restart("user");
  if (same) same = check_backend_rights(config);
  if (!same) return tl::unexpected(same.error());
  for (const config::Problem& warning : loaded->warnings) {
    plan->lists.warnings.push_back(warning.line());
  }
  return std::make_unique<Plan>(std::move(*plan));
}

bool Gate::only_access_differs(const Plan& next) const {
  const Plan* now = current_.plan.get();
  if (now == nullptr || !now->access || !next.access) return false;
  return now->loaded == next.loaded && now->lists.lists == next.lists.lists &&
         now->lists.servers == next.lists.servers && now->teaser == next.teaser &&
         !std::ranges::equal(now->access->image(), next.access->image());
}

// The shards that run take the new list and keep their clients. One that cannot be told does not
// read what it is told, so it is started again.
Result<std::string> Gate::change_access(Plan& next) {
  const auto image = make_access_image(*next.access);
  if (!image) return tl::unexpected(image.error());
  for (Child& child : current_.shards) {
    if (child.lives() && !send_control(child.control_fd, Word::kAccess, "", *image)) {
      kill(child.pid, SIGKILL);
    }
  }
  close(*image);
  current_.plan->access = std::move(next.access);
  return fmt::format("access list: {} rules, taken by the shards that run",
                     current_.plan->access->rules());
}

// The next crew, without its processes. Opens what it needs beside what there is.
Result<void> Gate::prepare_next(std::unique_ptr<Plan> plan) {
  config::Config& config = plan->config;
  std::vector<Counted> running;
  if (const Plan* now = current_.plan.get(); now != nullptr) {
    running.push_back({.config = now->config, .lists = now->lists.lists});
  }
  auto cells = book_.assign({.config = config, .lists = plan->lists.lists}, running);
  if (!cells) return tl::unexpected(cells.error());
  config.cells = cells->cells;
  auto listeners = open_listeners(config, {}, current_.listeners);
  if (!listeners) return tl::unexpected(listeners.error());
  auto sink = open_log(config.log);
  if (!sink) {
    close_fresh(*listeners);
    return tl::unexpected(sink.error());
  }
  empty_cells(cells->emptied, counters_);
  next_book_ = std::move(cells->book);
  next_.emplace();
  next_->number = current_.number + 1;
  next_->set = (current_.set + 1) % kGenerationsMax;
  next_->plan = std::move(plan);
  next_->sink = std::move(*sink);
  next_->listeners = std::move(*listeners);
  next_->shards.resize(parts_.shards);
  open_feeds(*next_, current_.feeds);
  prepare_store(*next_);
  return {};
}

void Gate::start_next_shards() {
  change_.stage = Stage::kStarting;
  change_.until = now_tick() + kStartMs;
  for (uint32_t i = 0; i < parts_.shards; ++i) {
    int ends[2] = {-1, -1};
    // Without one nobody is carried; those held then stay where they are to the end.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      log(fmt::format("warning: shard {} cannot carry its clients: {}", i, errno_text(errno)));
    }
    carry_ends_.push_back(ends[0]);
    start_shard(*next_, i, ends[1]);
    if (ends[1] >= 0) close(ends[1]);
  }
}

void Gate::await_next(Tick now) {
  bool all = true;
  for (const Child& child : next_->shards) {
    all = all && child.ready;
    if (!child.failure.empty()) return give_up_next(child.failure);
    if (!child.lives()) return give_up_next("a new shard ended before it was ready");
  }
  if (all) return switch_over();
  if (tick_reached(now, change_.until)) give_up_next("the new shards were not ready in time");
}

void Gate::close_carry_ends() {
  for (const int end : carry_ends_) {
    if (end >= 0) close(end);
  }
  carry_ends_.clear();
}

// The current generation has heard nothing of it.
void Gate::give_up_next(const std::string& why) {
  close_carry_ends();
  for (Child& child : next_->shards) {
    if (child.lives()) kill(child.pid, SIGKILL);
    close_control(child);
  }
  for (uint32_t i = 0; i < parts_.shards; ++i) {
    if (next_->shards[i].lives()) waitpid(next_->shards[i].pid, nullptr, 0);
    clear_block(*next_, i);
  }
  close_fresh(next_->listeners);
  close_sink(*next_, current_);
  close_feeds(*next_, current_);
  next_.reset();
  end_change(fail(ExitCode::kOsError, why));
}

void Gate::retire_shard(uint32_t index, const Crew& next) {
  const Child& child = current_.shards[index];
  if (child.control_fd < 0) return;
  CarryOrder order;
  const Plan* old = current_.plan.get();
  order.same_lists = old != nullptr && old->lists.lists == next.plan->lists.lists;
  const auto& from = current_.listeners.groups;
  const auto& to = next.listeners.groups;
  for (size_t i = 0; i < from.size(); ++i) {
    for (size_t j = 0; j < to.size(); ++j) {
      if (from[i].members == to[j].members) order.listeners[i] = static_cast<uint8_t>(j);
    }
  }
  const bool may = may_carry(hold_, next.plan->config.greet.hold);
  send_control(child.control_fd, Word::kRetire, encode(order), may ? carry_ends_[index] : -1);
}

void Gate::switch_over() {
  for (uint32_t i = 0; i < parts_.shards; ++i) retire_shard(i, *next_);
  close_carry_ends();
  for (const Child& child : next_->shards) send_control(child.control_fd, Word::kOpen);
  const Tick now = now_tick();
  retiring_until_ = now + drain_ + to_ticks(waits_) + kRetireGraceMs;
  retiring_.emplace(std::move(current_));
  current_ = std::move(*next_);
  next_.reset();
  book_ = std::move(next_book_);
  generation_ = {.number = current_.number, .set = current_.set, .since = std::time(nullptr)};
  if (steward_.control_fd >= 0) {
    send_control(steward_.control_fd, Word::kSwitched,
                 fmt::format("{} {}", generation_.number, generation_.set));
  }
  take_times();
  for (const std::string& warning : current_.listeners.warnings) log(warning);
  for (const std::string& warning : current_.plan->lists.warnings) log("warning: " + warning);
  tune_listeners(current_.listeners, current_.plan->config);
  close_listeners(retiring_->listeners, current_.listeners, true);
  change_.stage = Stage::kCarrying;
  change_.until = now + kCarryMs;
}

void Gate::take_times() {
  drain_ = to_ticks(current_.plan->config.drain);
  waits_ = longest_wait(current_.plan->config);
  hold_ = current_.plan->config.greet.hold;
}

std::string Gate::carry_report() const {
  CarryResult sum;
  for (const Child& child : retiring_->shards) {
    if (!child.carried) continue;
    sum.carried += child.carried->carried;
    sum.stayed += child.carried->stayed;
    sum.lasted_ms = std::max(sum.lasted_ms, child.carried->lasted_ms);
  }
  std::string text = fmt::format("generation {} takes clients; {} held clients went over in {} ms",
                                 current_.number, sum.carried, sum.lasted_ms);
  if (sum.stayed > 0) {
    text +=
        fmt::format("; generation {} finishes {} more, for {} at most", current_.number - 1,
                    sum.stayed, config::duration_text(whole_seconds(retiring_until_ - now_tick())));
  }
  return text;
}

void Gate::end_change(const Result<std::string>& outcome) {
  const Change ended = std::exchange(change_, {});
  close_trial(ended.trial);
  change_.again = ended.again;
  const std::string_view what = ended.upgrades ? "upgrade" : "reload";
  std::string text = outcome ? *outcome : outcome.error().text;
  if (outcome) {
    log(fmt::format("{}: {}", what, text));
  } else if (current_.plan == nullptr) {
    text += "\nthe shards of the program before go on; mend this and reload";
    log(fmt::format("warning: the new program cannot start its shards: {}", text));
  } else {
    log(fmt::format("warning: {} failed, nothing has changed: {}", what, text));
  }
  notify("READY=1");
  const bool replaces = ended.stage == Stage::kCarrying;
  if (ended.steward_asks) {
    answer_steward({outcome ? ExitCode::kOk : outcome.error().code, std::move(text)},
                   replaces ? Word::kLastAnswer : Word::kAnswer);
  }
  if (replaces) replace_steward();
}

void Gate::answer_steward(const Error& answer, Word word) {
  if (steward_.control_fd < 0) return;
  send_control(steward_.control_fd, word,
               fmt::format("{} {}", static_cast<int>(answer.code), shortened(answer.text)));
}

// The next one writes to the store and to the metrics' port only when this one has left them.
void Gate::replace_steward() {
  steward_.restart_due = false;
  if (!steward_.lives()) return start_steward();
  // What it has asked before it knew.
  for (auto last = read_control(steward_.control_fd); last && *last;
       last = read_control(steward_.control_fd)) {
    if ((*last)->word == Word::kAskStop) begin_stop();
  }
  close_control(steward_);
  steward_leaves_ = true;
  steward_until_ = now_tick() + kStewardGraceMs;
}

}  // namespace lychgate::daemon
