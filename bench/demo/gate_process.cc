// The gate is started with fork and exec, so that it can be told to end when we die.

#include "bench/demo/gate_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "bench/demo/cast.h"

namespace lychgate::demo {
namespace {

constexpr milliseconds kStartPatience{10'000};
constexpr milliseconds kStopPatience{5'000};
constexpr milliseconds kLookAgain{10};

constexpr std::string_view kConfig = R"(# Written by lychgate-demo.
shards = {shards}
drain = "1s"
[[listen]]
address = "127.0.0.1:0"
[limits]
per_shard = {clients}
[access]
file = "{folder}/access.cidr"
[greet]
banner = "gate.demo ESMTP"
wait = "{wait}ms"
pregreet = "drop"
[dialogue]
command_time_limit = "{patience}ms"
[dns]
servers = ["{dns}"]
cache = 2000  # so that its index is touched early: the demo measures clients
[dnsl]
sites = [{sites}]
action = "drop"
reason = true
probe_interval = "1s"
[[pool]]
name = "friendly"
backends = ["{friendly}"]
connections = {clients}
check_interval = "0s"  # so that the servers' counts are of clients alone
[[pool]]
name = "hostile"
backends = ["{hostile}"]
proxy_protocol = "v2"
connections = {clients}
check_interval = "0s"
[[route]]
pool = "friendly"
when = {{ allowlisted = true }}
[[route]]
pool = "friendly"
when = {{ max_score = -4 }}
[[route]]
pool = "hostile"
[log]
target = "file:{folder}/gate.log"
[control]
socket = "{folder}/control.sock"
)";

// What the first of the demo's lists means; catalogue.d/demo.toml.
constexpr std::string_view kCatalogue = R"(# Written by lychgate-demo.
[[list]]
zone = "{zone}"
codes = [{{ code = "127.0.0.{code}", is = "listed", weight = 5, text = "mailed a spamtrap" }}]
)";

void pause_for(milliseconds span) {
  poll(nullptr, 0, static_cast<int>(span.count()));
}

std::string file_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  return file.flush().good();
}

// The number that follows `mark` at or after `from`; 0 when there is none.
uint64_t number_after(std::string_view text, std::string_view mark, size_t from = 0) {
  const size_t at = text.find(mark, from);
  uint64_t value = 0;
  if (at == std::string_view::npos) return value;
  text.remove_prefix(at + mark.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::from_chars(text.begin(), text.end(), value);
  return value;
}

}  // namespace

Result<TemporaryFolder> TemporaryFolder::make() {
  std::error_code error;
  const std::string base = std::filesystem::temp_directory_path(error).string();
  std::string path = (base.empty() ? "/tmp" : base) + "/lychgate-demo.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    return fail(ExitCode::kCantCreate,
                fmt::format("cannot make a temporary folder {}: {}", path, errno_text(errno)));
  }
  return TemporaryFolder(path);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  if (!path_.empty()) std::filesystem::remove_all(path_, error);
}

uint64_t Status::total(std::string_view section, std::string_view name) const {
  size_t at = json_.find("\"total\":");
  if (at == std::string::npos) return 0;
  if (!section.empty()) at = json_.find(fmt::format("\"{}\":{{", section), at);
  if (at == std::string::npos) return 0;
  return number_after(json_, fmt::format("\"{}\":", name), at);
}

std::vector<pid_t> Status::shard_pids() const {
  constexpr std::string_view kMark = "\"pid\":";
  std::vector<pid_t> out;
  for (size_t at = json_.find(kMark); at != std::string::npos; at = json_.find(kMark, at + 1)) {
    out.push_back(static_cast<pid_t>(number_after(json_, kMark, at)));
  }
  return out;
}

GateProcess::~GateProcess() {
  if (pid_ > 0) static_cast<void>(stop());
}

std::string GateProcess::config_text() const {
  std::string sites;
  for (const DemoList& list : kLists) sites += fmt::format("\n  \"{}\",", list.site);
  return fmt::format(
      kConfig, fmt::arg("shards", kShards), fmt::arg("clients", 2 * kClients),
      fmt::arg("folder", options_.folder), fmt::arg("patience", kGatePatience.count()),
      fmt::arg("wait", kGreetWait.count()), fmt::arg("friendly", options_.friendly),
      fmt::arg("hostile", options_.hostile), fmt::arg("sites", sites + "\n"),
      fmt::arg("dns", fmt::format("{}:{}", options_.dns.address.text(), options_.dns.port)));
}

Result<void> GateProcess::write_files() const {
  const std::string access = fmt::format("127.{}.0.0/16 permit\n", kPermittedNetwork);
  const std::string catalogue =
      fmt::format(kCatalogue, fmt::arg("zone", kNamedList.zone), fmt::arg("code", kNamedList.code));
  std::error_code error;
  std::filesystem::create_directory(options_.folder + "/catalogue.d", error);
  if (write_file(config_path(), config_text()) &&
      write_file(options_.folder + "/access.cidr", access) &&
      write_file(options_.folder + "/catalogue.d/demo.toml", catalogue)) {
    return {};
  }
  return fail(ExitCode::kCantCreate,
              fmt::format("cannot write to {}: {}", options_.folder, errno_text(errno)));
}

Result<void> GateProcess::spawn() {
  const pid_t demo = getpid();
  pid_ = fork();
  if (pid_ < 0) return fail(ExitCode::kOsError, "cannot fork: " + errno_text(errno));
  if (pid_ > 0) return {};
  // Ours are blocked; the gate wants to hear them.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != demo) _exit(EXIT_FAILURE);
  const std::string config = config_path();
  execl(options_.program.c_str(), "lychgate", "run", "--config", config.c_str(), nullptr);
  fmt::print(stderr, "lychgate-demo: cannot start {}: {}\n", options_.program, errno_text(errno));
  _exit(static_cast<int>(ExitCode::kUnavailable));
}

// The log's line "listening on [127.0.0.1]:PORT" comes when all shards accept.
bool GateProcess::find_address() {
  const uint64_t port = number_after(file_text(log_path()), "listening on [127.0.0.1]:");
  address_ = {IpAddress::from_v4(INADDR_LOOPBACK), static_cast<uint16_t>(port)};
  return port != 0;
}

Result<void> GateProcess::start(const std::function<bool()>& interrupted) {
  if (auto written = write_files(); !written) return written;
  if (auto spawned = spawn(); !spawned) return spawned;
  const Instant deadline = monotonic_now() + kStartPatience;
  while (!find_address()) {
    int how = 0;
    if (waitpid(pid_, &how, WNOHANG) == pid_) {
      pid_ = -1;
      const int code = WIFEXITED(how) ? WEXITSTATUS(how) : static_cast<int>(ExitCode::kSoftware);
      return fail(static_cast<ExitCode>(code), "the gate could not start; its own words are above");
    }
    if (interrupted()) return fail(ExitCode::kUnavailable, "interrupted");
    if (monotonic_now() >= deadline) {
      return fail(ExitCode::kUnavailable, fmt::format("the gate does not listen after {} s",
                                                      kStartPatience.count() / 1000));
    }
    pause_for(kLookAgain);
  }
  const auto now = status();
  if (!now) return tl::unexpected(now.error());
  shards_ = now->shard_pids();
  return {};
}

Result<std::string> GateProcess::ask(std::string command, std::string option) const {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail(ExitCode::kOsError, errno_text(errno));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  std::string name = "lychgate";
  std::string config = "--config=" + config_path();
  char* arguments[] = {name.data(), command.data(), config.data(),
                       option.empty() ? nullptr : option.data(), nullptr};
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, options_.program.c_str(), &files, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  std::string answer;
  char chunk[4096];
  for (ssize_t got = 0; (got = read(ends[0], chunk, sizeof(chunk))) > 0;) {
    answer.append(chunk, static_cast<size_t>(got));
  }
  close(ends[0]);
  int how = 0;
  if (error == 0 && waitpid(pid, &how, 0) == pid && how == 0) return answer;
  return fail(ExitCode::kUnavailable, fmt::format("`lychgate {}` did not answer", command));
}

Result<Status> GateProcess::status() const {
  auto answer = ask("status", "--json");
  if (!answer) return tl::unexpected(answer.error());
  return Status(std::move(*answer));
}

Result<std::string> GateProcess::lists() const {
  return ask("lists", "");
}

Usage GateProcess::usage() const {
  Usage out;
  for (const pid_t pid : shards_) {
    // Exact, other than VmRSS, which since Linux 6.2 lags by some pages for each CPU.
    const std::string memory = file_text(fmt::format("/proc/{}/smaps_rollup", pid));
    out.memory_bytes += number_after(memory, "Rss:") * 1024;
    // Nanoseconds on a CPU; /proc/PID/stat counts in hundredths of a second.
    const std::string times = file_text(fmt::format("/proc/{}/schedstat", pid));
    out.cpu += std::chrono::nanoseconds(number_after(times, ""));
  }
  return out;
}

bool GateProcess::wait_for_end(milliseconds patience, int& how) {
  const Instant deadline = monotonic_now() + patience;
  while (waitpid(pid_, &how, WNOHANG) != pid_) {
    if (monotonic_now() >= deadline) return false;
    pause_for(kLookAgain);
  }
  pid_ = -1;
  return true;
}

Result<void> GateProcess::stop() {
  int how = 0;
  kill(pid_, SIGTERM);
  if (wait_for_end(kStopPatience, how)) {
    if (how == 0) return {};
    return fail(ExitCode::kSoftware,
                WIFEXITED(how) ? fmt::format("the gate ended with exit code {}", WEXITSTATUS(how))
                               : fmt::format("the gate died of signal {}", WTERMSIG(how)));
  }
  // Its shards end by themselves when their supervisor is gone.
  kill(pid_, SIGKILL);
  waitpid(std::exchange(pid_, -1), &how, 0);
  return fail(ExitCode::kSoftware, fmt::format("the gate did not end within {} s and was killed",
                                               kStopPatience.count() / 1000));
}

}  // namespace lychgate::demo
