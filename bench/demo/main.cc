// lychgate-demo: shows the whole way on one machine. Starts the real gate and, in this process, two
// tiny mail servers, a server of DNS lists and some hundreds of clients of several kinds; prints
// who was held, refused and sent where, what the lists did, and what it cost. Exit code 0 only if
// every client got what it should; 1 if not; sysexits codes when it cannot start; 128 and the
// signal when interrupted. Leaves nothing behind.

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "bench/demo/cast.h"
#include "bench/demo/client.h"
#include "bench/demo/gate_log.h"
#include "bench/demo/gate_process.h"
#include "bench/demo/list_server.h"
#include "bench/demo/loop.h"
#include "bench/demo/report.h"
#include "bench/demo/smtpd.h"

namespace lychgate::demo {
namespace {

// The silent come in two lots: the second shows what one more of them costs.
constexpr uint32_t kFirstZombies = 60;
constexpr milliseconds kZombieGap{1};
constexpr milliseconds kErrorGap{1};
constexpr milliseconds kQuiet{300};
// The others come mixed, over this time.
constexpr milliseconds kArrivals{1200};
// Far more than needed; whoever has not finished by then is reported.
constexpr milliseconds kPlayPatience{15'000};
constexpr milliseconds kEmptyPatience{4'000};
constexpr milliseconds kAskAgain{50};
// How often the gate's log is looked at.
constexpr milliseconds kReadLog{20};

// Sockets of both ends of a session and of the gate's connection to a server.
constexpr rlim_t kDescriptors = rlim_t{4} * kClients;

// Why the demo ends early: exit code, and words unless it was interrupted.
struct Early {
  int code = 1;
  std::string text;
};
template <typename T>
using Scene = tl::expected<T, Early>;

tl::unexpected<Early> cannot(const Error& error) {
  return tl::unexpected(Early{static_cast<int>(error.code), error.text});
}

// The exit code a shell gives to what a signal ended.
tl::unexpected<Early> interrupted_by(int signal) {
  return tl::unexpected(Early{128 + signal, ""});
}

Result<void> raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < kDescriptors) {
    return fail(ExitCode::kOsError,
                fmt::format("descriptor limit too low: {} are needed, the hard limit is {}; raise "
                            "it (ulimit -Hn, or docker run --ulimit nofile={})",
                            kDescriptors, limit.rlim_max, kDescriptors));
  }
  limit.rlim_cur = std::max(limit.rlim_cur, kDescriptors);
  setrlimit(RLIMIT_NOFILE, &limit);
  return {};
}

class Demo {
 public:
  Demo(Loop& loop, GateProcess& gate, ListServer& lists, const Smtpd& friendly,
       const Smtpd& hostile)
      : loop_(loop),
        gate_(gate),
        log_(gate.log_path()),
        lists_(lists),
        friendly_(friendly),
        hostile_(hostile) {}
  Scene<bool> run();

 private:
  void invite(const Kind& kind, uint32_t count, milliseconds gap);
  uint32_t held() const;
  tl::unexpected<Early> interrupted() const { return interrupted_by(loop_.interrupted()); }
  void progress(const std::string& text) const { say_progress(monotonic_now() - start_, text); }
  bool all_are_teased() const;
  bool are_gone(const Kind& kind) const;
  Scene<void> wait_until(const std::function<bool()>& done);
  void follow_lists();
  Scene<Holding> hold_zombies();
  Scene<void> others_come();
  Scene<Status> wait_until_empty();

  Loop& loop_;
  GateProcess& gate_;
  GateLog log_;
  ListServer& lists_;
  const Smtpd& friendly_;
  const Smtpd& hostile_;
  Clients clients_;
  ListsSeen seen_;
  const Instant start_ = monotonic_now();
};

// Clients of a kind, one after another from now on; more than once for one kind goes on counting.
void Demo::invite(const Kind& kind, uint32_t count, milliseconds gap) {
  uint32_t number = 0;
  for (const auto& client : clients_) number += &client->kind() == &kind ? 1 : 0;
  const Instant now = monotonic_now();
  for (uint32_t i = 0; i < count; ++i) {
    const Client::Call call{.number = number + i, .gate = gate_.address(), .when = now + i * gap};
    clients_.push_back(std::make_unique<Client>(loop_, kind, call));
  }
}

uint32_t Demo::held() const {
  uint32_t count = 0;
  for (const auto& client : clients_) count += client->is_held() ? 1 : 0;
  return count;
}

bool Demo::all_are_teased() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) {
    return client->was_teased() || client->has_finished();
  });
}

bool Demo::are_gone(const Kind& kind) const {
  return std::all_of(clients_.begin(), clients_.end(), [&](const auto& client) {
    return &client->kind() != &kind || client->has_finished();
  });
}

// Being late is no reason to stop: the report names who waited in vain.
Scene<void> Demo::wait_until(const std::function<bool()>& done) {
  const Instant patience = start_ + kPlayPatience;
  for (;;) {
    const Wait wait = loop_.run_until(done, std::min(monotonic_now() + kReadLog, patience));
    if (wait == Wait::kInterrupted) return interrupted();
    follow_lists();
    if (wait == Wait::kDone || monotonic_now() >= patience) return {};
  }
}

// What the gate's log says of the lists. The one that was disabled is forgiven at once, so that it
// can come back.
void Demo::follow_lists() {
  while (const auto line = log_.next("DNS list ")) {
    progress("the gate's log says:");
    print_wrapped(*line);
    if (line->find(kQuotaList.zone) == std::string::npos) continue;
    if (line->find(" disabled: ") != std::string::npos) {
      seen_.disabled = true;
      seen_.table = gate_.lists().value_or("");
      lists_.forgive();
      progress(fmt::format("{} answers us again", kQuotaList.zone));
    }
    seen_.back = seen_.back || line->find(" is back ") != std::string::npos;
  }
}

Scene<Holding> Demo::hold_zombies() {
  Holding out{.pause = kQuiet};
  const auto teased = [this] { return all_are_teased(); };
  invite(kZombie, kFirstZombies, kZombieGap);
  if (auto waited = wait_until(teased); !waited) return tl::unexpected(waited.error());
  out.first = held();
  out.at_first = gate_.usage();
  invite(kZombie, kZombie.count - kFirstZombies, kZombieGap);
  if (auto waited = wait_until(teased); !waited) return tl::unexpected(waited.error());
  out.all = held();
  out.at_all = gate_.usage();
  progress(
      fmt::format("{} {} have connected, were told to wait and are held", out.all, kZombie.plural));
  if (loop_.run_for(kQuiet) == Wait::kInterrupted) return interrupted();
  out.after_pause = gate_.usage();
  return out;
}

Scene<void> Demo::others_come() {
  lists_.have_had_enough();
  progress(
      fmt::format("{} has had enough of us: to every question an error code", kQuotaList.zone));
  // They come first, so that the gate meets the error codes before it knows what they mean.
  invite(kErrorCoded, kErrorCoded.count, kErrorGap);
  for (const Kind* kind : {&kPreferred, &kStranger, &kEarlyTalker, &kListed, &kVouched}) {
    invite(*kind, kind->count, kArrivals / kind->count);
  }
  progress(fmt::format("now {} more clients come, of all the other kinds, mixed",
                       kClients - kZombie.count));
  for (const Kind* kind :
       {&kListed, &kVouched, &kPreferred, &kEarlyTalker, &kErrorCoded, &kStranger, &kZombie}) {
    if (auto ok = wait_until([&] { return are_gone(*kind); }); !ok) return ok;
    if (are_gone(*kind)) progress(fmt::format("the last of the {} has left", kind->plural));
  }
  return wait_until([this] { return seen_.back; });
}

// Closing goes on a moment after the clients have left.
Scene<Status> Demo::wait_until_empty() {
  const Instant deadline = monotonic_now() + kEmptyPatience;
  for (;;) {
    const auto status = gate_.status();
    if (!status) {
      progress(status.error().text);
      return Status("");
    }
    if (status->total("", "held") == 0 || monotonic_now() >= deadline) return *status;
    if (loop_.run_for(kAskAgain) == Wait::kInterrupted) return interrupted();
  }
}

Scene<bool> Demo::run() {
  progress(
      fmt::format("the gate listens on {} with {} shards", gate_.address().bracketed(), kShards));
  const Usage before = gate_.usage();
  const auto holding = hold_zombies();
  if (!holding) return tl::unexpected(holding.error());
  if (auto came = others_come(); !came) return tl::unexpected(came.error());
  const auto status = wait_until_empty();
  if (!status) return tl::unexpected(status.error());
  const Usage after = gate_.usage();
  const auto stopped = gate_.stop();
  progress(stopped ? "the gate was told to stop and is gone" : stopped.error().text);

  const Play play{clients_, friendly_, hostile_};
  seen_.errors = lists_.errors_for(kErrorCoded.network);
  seen_.questions = lists_.questions();
  print_table(play);
  const bool lists_good = print_lists(play, seen_);
  print_cost(*holding, before, after);
  const uint32_t differences = print_agreement(play, *status);
  const uint32_t failures = print_failures(play);
  const bool good = stopped && lists_good && differences == 0 && failures == 0;
  if (!good) print_tail(gate_.log_path());
  print_verdict(good, monotonic_now() - start_);
  return good;
}

Scene<bool> play(const std::string& program) {
  if (auto raised = raise_descriptor_limit(); !raised) return cannot(raised.error());
  auto loop = Loop::create();
  if (!loop) return cannot(loop.error());
  const auto folder = TemporaryFolder::make();
  if (!folder) return cannot(folder.error());
  auto friendly = Smtpd::open(
      **loop, {.name = "friendly.demo", .pass_path = folder->path() + "/friendly.sock"});
  if (!friendly) return cannot(friendly.error());
  auto hostile =
      Smtpd::open(**loop, {.name = "hostile.demo", .pass_path = "", .patience = kHostilePatience});
  if (!hostile) return cannot(hostile.error());
  auto lists = ListServer::open(**loop);
  if (!lists) return cannot(lists.error());
  print_introduction(**friendly, **hostile);
  GateProcess gate({.program = program,
                    .folder = folder->path(),
                    .friendly = (*friendly)->backend(),
                    .hostile = (*hostile)->backend(),
                    .dns = (*lists)->address()});
  const auto started = gate.start([&] { return (*loop)->interrupted() != 0; });
  if (const int signal = (*loop)->interrupted(); signal != 0) return interrupted_by(signal);
  if (!started) return cannot(started.error());
  return Demo(**loop, gate, **lists, **friendly, **hostile).run();
}

int run(const std::string& program) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever stops reading our output must not stop the cleaning up
  const auto outcome = play(program);
  if (outcome) return *outcome ? 0 : 1;
  print_line(outcome.error().text.empty() ? "\nlychgate-demo: interrupted; everything is put away"
                                          : "lychgate-demo: " + outcome.error().text);
  return outcome.error().code;
}

}  // namespace
}  // namespace lychgate::demo

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    fmt::print(stderr, "usage: lychgate-demo [path of lychgate, default {}]\n", LYCHGATE_PROGRAM);
    return static_cast<int>(lychgate::ExitCode::kUsage);
  }
  return lychgate::demo::run(argc == 2 ? argv[1] : LYCHGATE_PROGRAM);
}
