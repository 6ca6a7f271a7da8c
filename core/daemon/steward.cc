// One loop over everything that may have something: shards' lines, the control socket and its
// clients, the supervisor.

#include "core/daemon/steward.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/child.h"
#include "core/daemon/client_book.h"
#include "core/daemon/control_answers.h"
#include "core/daemon/control_request.h"
#include "core/daemon/control_server.h"
#include "core/daemon/control_sessions.h"
#include "core/daemon/control_socket.h"
#include "core/daemon/listeners.h"
#include "core/daemon/load.h"
#include "core/daemon/metrics.h"
#include "core/daemon/pools_report.h"
#include "core/daemon/registrar.h"
#include "core/daemon/steward_line.h"

namespace lychgate::daemon {
namespace {

// Messages of one shard read in a turn; the others and the clients have their turn, too.
constexpr int kMessagesPerTurn = 64;
// A metrics address that is taken is tried again.
constexpr Tick kMetricsRetryMs = 5000;
constexpr Tick kMemoryPeriodMs = 1000;
// Who has asked something when the steward is to end is answered first, for as long as this.
constexpr Tick kLastAnswersMs = 1000;

Tick now_tick() {
  return to_tick(monotonic_now());
}

Seconds now_seconds() {
  return static_cast<Seconds>(std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::system_clock::now().time_since_epoch())
                                  .count());
}

class Steward {
 public:
  explicit Steward(const StewardSeat& seat)
      : seat_(seat),
        registrar_(seat.config, seat.sink, now_tick()),
        book_(seat.config, registrar_),
        server_(seat.listen_fd, geteuid()),
        jobs_(seat.shard_lines, seat.counters),
        metrics_at_(now_tick()),
        memory_at_(now_tick()) {}

  [[noreturn]] void run();

 private:
  int wait_ms(Tick now) const;
  [[noreturn]] void end();
  void hear_supervisor(Tick now);
  void note_generation(std::string_view body);
  bool may_end(Tick now) const;
  void begin_change(const ControlAsk& ask, const ControlRequest& request, Tick now);
  bool read_line(int fd, Tick now);
  void serve(const ControlAsk& ask, Tick now);
  void search(const ControlAsk& ask, ControlRequest request, Tick now);
  void stop(const ControlAsk& ask, Tick now);
  void finish(const SessionsFound& found, Tick now);
  void serve_metrics(Tick now);
  void sample_memory(Tick now);
  ControlParts parts();

  const StewardSeat& seat_;
  Registrar registrar_;
  ClientBook book_;
  ControlServer server_;
  SessionJobs jobs_;
  StoreBoard store_board_;
  std::unique_ptr<MetricsServer> metrics_;
  std::optional<Tick> metrics_at_;  // when to open it; none: it is open, or not wanted
  bool metrics_failed_ = false;     // and the log knows
  struct ChangeAsk {
    ControlClient client;
    bool json = false;
  };
  std::optional<ChangeAsk> change_ask_;  // who waits for the end of a reload or upgrade
  StewardGeneration generation_ = seat_.generation;
  Tick memory_at_;              // when to look at the host's memory
  std::optional<Tick> end_by_;  // set when the supervisor wants us to end
};

void Steward::run() {
  std::vector<pollfd> polls;
  for (;;) {
    polls.assign({{end_by_ ? -1 : seat_.control_fd, POLLIN, 0}});
    for (const int line : seat_.shard_lines) polls.push_back({line, POLLIN, 0});
    const size_t clients_at = polls.size();
    server_.add_polls(polls);
    if (poll(polls.data(), polls.size(), wait_ms(now_tick())) < 0) {
      if (errno != EINTR) _exit(EXIT_FAILURE);
      continue;
    }
    const Tick now = now_tick();
    if (polls[0].revents != 0) hear_supervisor(now);
    for (size_t i = 0; i < seat_.shard_lines.size(); ++i) {
      if (polls[i + 1].revents != 0) read_line(seat_.shard_lines[i], now);
    }
    const auto asks = server_.turn(std::span(polls).subspan(clients_at), now);
    for (const ControlAsk& ask : asks) serve(ask, now);
    for (const SessionsFound& found : jobs_.turn(now)) finish(found, now);
    registrar_.turn(now, now_seconds());
    store_board_.set(book_.stats());
    serve_metrics(now);
    sample_memory(now);
    if (may_end(now)) end();
  }
}

void Steward::hear_supervisor(Tick now) {
  const auto message = read_control(seat_.control_fd);
  if (message && !*message) return;
  if (message && (*message)->word == Word::kSwitched) return note_generation((*message)->body);
  if (!message || (*message)->word == Word::kLastAnswer) {
    end_by_ = now + kLastAnswersMs;
    server_.close_doors();
  }
  if (!change_ask_) return;
  if (!message) {
    const ControlError lost{ExitCode::kUnavailable, "another reload has just ended; ask again"};
    return server_.answer(change_ask_->client, error_answer(lost, change_ask_->json), now);
  }
  // "CODE sentence"
  const std::string_view body = (*message)->body;
  const size_t space = std::min(body.find(' '), body.size());
  int code = static_cast<int>(ExitCode::kSoftware);
  std::from_chars(body.data(), body.data() + space, code);
  const std::string text(body.substr(std::min(space + 1, body.size())));
  const ChangeAsk ask = *std::exchange(change_ask_, std::nullopt);
  if (code != 0) {
    server_.answer(ask.client, error_answer({static_cast<ExitCode>(code), text}, ask.json), now);
  } else {
    server_.answer(
        ask.client,
        ask.json ? fmt::format("{{\"text\":{}}}\n", config::toml_quoted(text)) : text + "\n", now);
  }
}

// What it counts from now on, until the next steward comes, who also knows its configuration.
void Steward::note_generation(std::string_view body) {
  const char* end = body.data() + body.size();
  const auto [space, wrong] = std::from_chars(body.data(), end, generation_.number);
  if (wrong == std::errc() && space != end) std::from_chars(space + 1, end, generation_.set);
  generation_.since = now_seconds();
}

bool Steward::may_end(Tick now) const {
  return end_by_ && (!server_.is_busy() || tick_reached(now, *end_by_));
}

// Of an ordered end the shards have gone before us, and what they said last is in their lines.
void Steward::end() {
  for (const int line : seat_.shard_lines) {
    while (read_line(line, now_tick())) {
    }
  }
  registrar_.close();
  _exit(EXIT_SUCCESS);
}

int Steward::wait_ms(Tick now) const {
  int wait = -1;
  for (const std::optional<Tick>& at :
       {server_.next_wake(), jobs_.next_wake(), registrar_.next_wake(), metrics_at_,
        std::optional(memory_at_), end_by_}) {
    if (!at) continue;
    const int ms = tick_reached(now, *at) ? 0 : static_cast<int>(*at - now);
    if (wait < 0 || ms < wait) wait = ms;
  }
  return wait;
}

// True when there may be more.
bool Steward::read_line(int fd, Tick now) {
  uint8_t bytes[kLineMessageMax];
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    const ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got <= 0) return false;
    const std::span<const uint8_t> message(bytes, static_cast<size_t>(got));
    switch (static_cast<LineMessage>(message[0])) {
      case LineMessage::kVisits:
        registrar_.take_visits(message);
        break;
      case LineMessage::kReport:
        jobs_.take_report(message, now);
        break;
      case LineMessage::kOrder:
        break;
    }
  }
  return true;
}

ControlParts Steward::parts() {
  return {.config = seat_.config,
          .counters = seat_.counters,
          .lists = seat_.lists,
          .boards = seat_.boards,
          .deferred_acks = deferred_acks() - seat_.deferred_before,
          .book = book_,
          .now = now_seconds(),
          .generation = generation_};
}

void Steward::serve(const ControlAsk& ask, Tick now) {
  const auto request = parse_control_request(ask.line);
  if (!request) {
    return server_.answer(ask.client, error_answer({ExitCode::kUsage, request.error()}, false),
                          now);
  }
  if (request->changes() && !ask.may_change) {
    const ControlError error{ExitCode::kNoPermission,
                             "only root and the gate's own user may change something"};
    return server_.answer(ask.client, error_answer(error, request->json), now);
  }
  if (request->verb == ControlVerb::kStop) return stop(ask, now);
  if (request->verb == ControlVerb::kReload || request->verb == ControlVerb::kUpgrade) {
    return begin_change(ask, *request, now);
  }
  if (request->verb == ControlVerb::kSessions) return search(ask, *request, now);
  std::string answer = answer_request(*request, parts());
  const bool ends_relays =
      request->use == BackendUse::kDown && code_of_answer(answer) == ExitCode::kOk;
  if (!ends_relays) return server_.answer(ask.client, std::move(answer), now);
  const auto choice = choose_backends(seat_.config, *request);
  ControlRequest relays = *request;
  relays.kill = true;
  relays.filter.phases = 1U << static_cast<unsigned>(Phase::kRelay);
  const Cells& cells = seat_.config.cells;
  relays.filter.pool = cells.pools[choice->pool];
  if (choice->backend) relays.filter.backend = cells.backends[choice->pool][*choice->backend];
  search(ask, std::move(relays), now);
}

void Steward::search(const ControlAsk& ask, ControlRequest request, Tick now) {
  const bool no_such_shard = request.shard && *request.shard >= seat_.shard_lines.size();
  ControlError error{ExitCode::kUsage,
                     fmt::format("there are only {} shards, counted from 0", seat_.config.shards)};
  if (!no_such_shard) {
    if (jobs_.begin(ask.client, request, now)) return;
    error = {ExitCode::kUnavailable,
             fmt::format("{} others are asking for sessions; try again", kSessionJobsMax)};
  }
  server_.answer(ask.client, error_answer(error, request.json), now);
}

void Steward::finish(const SessionsFound& found, Tick now) {
  const ControlRequest& request = found.request;
  const SessionNames names{seat_.config};
  if (request.verb == ControlVerb::kSessions) {
    return server_.answer(found.client,
                          request.json ? sessions_json(found, names) : sessions_text(found, names),
                          now);
  }
  if (request.json) {
    return server_.answer(found.client,
                          pools_json(seat_.config, seat_.counters, &seat_.boards.pools), now);
  }
  const auto choice = choose_backends(seat_.config, request);
  server_.answer(found.client,
                 fmt::format("{}\n{} relays were ended\n",
                             change_text(seat_.config, *choice, BackendUse::kDown), found.killed),
                 now);
}

void Steward::stop(const ControlAsk& ask, Tick now) {
  if (end_by_ || !send_control(seat_.control_fd, Word::kAskStop)) {
    const ControlError error{ExitCode::kUnavailable, "a reload has just ended; ask again"};
    return server_.answer(ask.client, error_answer(error, false), now);
  }
  server_.answer(ask.client, "stopping\n", now);
}

// The answer comes when the supervisor has one.
void Steward::begin_change(const ControlAsk& ask, const ControlRequest& request, Tick now) {
  const bool upgrade = request.verb == ControlVerb::kUpgrade;
  const bool sent = !change_ask_ && !end_by_ &&
                    send_control(seat_.control_fd, upgrade ? Word::kAskUpgrade : Word::kAskReload,
                                 request.program);
  if (!sent) {
    const ControlError error{ExitCode::kUnavailable, kUnderWay};
    return server_.answer(ask.client, error_answer(error, request.json), now);
  }
  change_ask_ = {.client = ask.client, .json = request.json};
  server_.wait_longer(ask.client, now + to_ticks(kReloadPatience));
}

// What it says is of the host, or of the container that has its own /proc/meminfo (lxcfs).
void Steward::sample_memory(Tick now) {
  if (!tick_reached(now, memory_at_)) return;
  memory_at_ = now + kMemoryPeriodMs;
  char text[1024];  // what is wanted is at its beginning
  const int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  const ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text));
  if (fd >= 0) close(fd);
  const size_t size = got > 0 ? static_cast<size_t>(got) : 0;
  seat_.boards.load.memory_percent.store(memory_percent({text, size}), std::memory_order_relaxed);
}

void Steward::serve_metrics(Tick now) {
  if (!metrics_at_ || !tick_reached(now, *metrics_at_)) return;
  metrics_at_.reset();
  if (!seat_.config.metrics.address) return;
  auto opened = MetricsServer::open({.config = seat_.config,
                                     .shards = seat_.counters,
                                     .lists = seat_.lists,
                                     .boards = seat_.boards,
                                     .store = store_board_,
                                     .config_read_at = seat_.config_read_at,
                                     .generation = seat_.generation},
                                    *seat_.config.metrics.address);
  if (opened) {
    metrics_ = std::move(*opened);
    if (metrics_failed_) log_now(seat_.sink, "metrics are served again");
    return;
  }
  if (!metrics_failed_) log_now(seat_.sink, "warning: " + opened.error().text);
  metrics_failed_ = true;
  metrics_at_ = now + kMetricsRetryMs;
}

}  // namespace

void run_steward(const StewardSeat& seat) {
  prctl(PR_SET_NAME, "lychgate/steward");
  Steward(seat).run();
}

}  // namespace lychgate::daemon
