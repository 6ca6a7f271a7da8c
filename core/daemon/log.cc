// Framing for each target and the two lots: one gathers while the other is written.

#include "core/daemon/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

constexpr char kSyslogPath[] = "/dev/log";
constexpr char kJournalPath[] = "/run/systemd/journal/socket";
constexpr int kMailInfo = 2 * 8 + 6;     // RFC 5424: facility mail, severity informational
constexpr int kMailWarning = 2 * 8 + 4;  // severity warning
constexpr size_t kPrefixMax = 128;

bool is_warning(std::string_view text) {
  return text.starts_with("warning: ");
}

Result<int> connect_datagram(const char* path) {
  const auto address = SocketAddress::unix_path(path);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, &address->any, address->length) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(ExitCode::kUnavailable,
                fmt::format("cannot reach the log socket {}: {}; is the log daemon running? "
                            "log.target = \"stderr\" needs none",
                            path, errno_text(error)));
  }
  return fd;
}

Result<int> open_file(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd >= 0) return fd;
  return fail(ExitCode::kCantCreate,
              fmt::format("cannot open the log file {}: {}", path, errno_text(errno)));
}

}  // namespace

std::string host_name() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  return name;
}

Result<LogSink> open_log(const config::Log& log) {
  LogSink sink{log.target, STDERR_FILENO, log.ident, host_name()};
  Result<int> fd = STDERR_FILENO;
  switch (log.target) {
    case config::LogTarget::kStderr:
      break;
    case config::LogTarget::kFile:
      fd = open_file(log.file);
      break;
    case config::LogTarget::kSyslog:
      fd = connect_datagram(kSyslogPath);
      break;
    case config::LogTarget::kJournal:
      fd = connect_datagram(kJournalPath);
      break;
  }
  if (!fd) return tl::unexpected(fd.error());
  sink.fd = *fd;
  return sink;
}

void LogFrame::new_second(std::time_t second) {
  second_ = second;
  switch (sink_.target) {
    case config::LogTarget::kStderr:
    case config::LogTarget::kFile:
      head_ = fmt::format("{:%Y-%m-%dT%H:%M:%S}.", fmt::gmtime(second));
      tail_ = fmt::format("+00:00 {} {}[{}]: ", sink_.hostname, sink_.ident, pid_);
      return;
    case config::LogTarget::kSyslog:
      head_ = fmt::format("{:%b %e %H:%M:%S} {}[{}]: ", fmt::localtime(second), sink_.ident, pid_);
      return;
    case config::LogTarget::kJournal:
      tail_ = fmt::format("\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER={}\nSYSLOG_PID={}\n", sink_.ident,
                          pid_);
      return;
  }
}

void LogFrame::append(WallTime at, std::string_view text, std::string& out) {
  using std::chrono::microseconds;
  const std::time_t second = std::chrono::system_clock::to_time_t(at);
  if (second != second_) new_second(second);
  const auto to = std::back_inserter(out);
  switch (sink_.target) {
    case config::LogTarget::kStderr:
    case config::LogTarget::kFile: {
      // By hand: fmt takes four times as long to a string (docs/benchmarks.md).
      auto since =
          std::chrono::duration_cast<microseconds>(at.time_since_epoch()).count() % 1000000;
      char fraction[6];
      for (int i = 5; i >= 0; --i, since /= 10) fraction[i] = static_cast<char>('0' + since % 10);
      out.append(head_)
          .append(fraction, sizeof(fraction))
          .append(tail_)
          .append(text)
          .push_back('\n');
      return;
    }
    case config::LogTarget::kSyslog:
      fmt::format_to(to, "<{}>{}{}", is_warning(text) ? kMailWarning : kMailInfo, head_, text);
      return;
    case config::LogTarget::kJournal:
      fmt::format_to(to, "MESSAGE={}\nPRIORITY={}{}", text, is_warning(text) ? 4 : 6, tail_);
      return;
  }
}

void log_now(const LogSink& sink, std::string_view text) {
  std::string record;
  LogFrame(sink, getpid()).append(std::chrono::system_clock::now(), text, record);
  // Nobody may be held up by a log that is not read, least of all the supervisor: a line that
  // cannot go at once is lost. A pipe that is ready takes PIPE_BUF bytes, far more than a line.
  pollfd ready{sink.fd, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1) return;
  const bool datagram =
      sink.target == config::LogTarget::kSyslog || sink.target == config::LogTarget::kJournal;
  [[maybe_unused]] const ssize_t written =
      datagram ? send(sink.fd, record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
               : write(sink.fd, record.data(), record.size());
}

Log::Log(const LogSink& sink, ring::Reactor& reactor, ShardCounters& counters, int pid)
    : sink_(sink), reactor_(reactor), counters_(counters), frame_(sink, pid) {
  for (Lot* lot : {&gathering_, &writing_}) {
    // With room for one more line, the one that tells of the lost ones.
    // Touched now, so that a gate takes no more memory under load than at its start.
    lot->bytes.resize(kLogQueueBytes + kLogLineMax);
    lot->ends.resize(kLogQueueBytes / 64 + 1);
    lot->clear();
  }
}

bool Log::is_stream() const {
  return sink_.target == config::LogTarget::kStderr || sink_.target == config::LogTarget::kFile;
}

void Log::add(WallTime at, std::string_view text) {
  const bool fits = gathering_.bytes.size() + text.size() + kPrefixMax + sink_.ident.size() +
                            sink_.hostname.size() <=
                        kLogQueueBytes &&
                    gathering_.ends.size() < kLogQueueBytes / 64;
  if (!fits) {
    counters_.add(Counter::kLogLost);
    ++lost_unsaid_;
    return;
  }
  append(at, text);
}

void Log::append(WallTime at, std::string_view text) {
  frame_.append(at, text, gathering_.bytes);
  gathering_.ends.push_back(static_cast<uint32_t>(gathering_.bytes.size()));
}

std::optional<Tick> Log::next_wake() const {
  if (gathering_.empty() || in_flight_ > 0) return std::nullopt;
  return next_lot_;
}

void Log::flush(Tick now) {
  // Forgotten once it is past, or after 25 silent days it would seem to lie ahead.
  if (next_lot_ && tick_reached(now, *next_lot_)) next_lot_.reset();
  if (gathering_.empty() || in_flight_ > 0) return;
  const bool half_full = gathering_.bytes.size() > kLogQueueBytes / 2;
  if (!half_full && !due(now)) return;
  next_lot_ = now + (gathering_.ends.size() < kLogLotLines ? kTimerGrainMs : kLogLotMs);
  if (lost_unsaid_ > 0) {
    append(now_, fmt::format("warning: {} log lines lost", lost_unsaid_));
    lost_unsaid_ = 0;
  }
  std::swap(gathering_, writing_);
  gathering_.clear();
  written_ = 0;
  if (is_stream()) return write_rest();
  uint32_t begin = 0;
  for (const uint32_t end : writing_.ends) {
    ++in_flight_;
    reactor_.send_fd(sink_.fd, std::span<const char>(writing_.bytes).subspan(begin, end - begin),
                     ring::OpTag::of(ring::Op::kLogWrite));
    begin = end;
  }
}

void Log::write_rest() {
  in_flight_ = 1;
  reactor_.write_fd(sink_.fd, std::span<const char>(writing_.bytes).subspan(written_),
                    ring::OpTag::of(ring::Op::kLogWrite));
}

void Log::complete(const ring::Completion& completion) {
  LYCH_CHECK(in_flight_ > 0);
  --in_flight_;
  if (completion.result < 0) {
    const uint64_t lines = is_stream() ? writing_.ends.size() : 1;
    counters_.add(Counter::kLogLost, lines);
    lost_unsaid_ += lines;
    return;
  }
  if (!is_stream()) return;
  written_ += static_cast<size_t>(completion.result);
  if (completion.result > 0 && written_ < writing_.bytes.size()) write_rest();
}

}  // namespace lychgate::daemon
