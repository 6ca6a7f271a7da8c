// Plain escape sequences (ECMA-48, and xterm's alternate screen), no library.

#include "core/daemon/top_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>

#include <fmt/format.h>

#include "core/daemon/control_socket.h"
#include "core/daemon/top.h"

namespace lychgate::daemon {
namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // alternate screen, no cursor
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kPlain = "\x1b[m";
constexpr std::string_view kEndOfLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";
constexpr milliseconds kPatience{2000};  // with a gate that does not answer
constexpr size_t kPlainColumns = 120;
constexpr size_t kPlainRows = 1000;

bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// Keys come one by one and unseen while it lives.
class Terminal {
 public:
  Terminal() {
    has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    enter();
  }
  ~Terminal() { leave(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void enter() {
    if (has_keys_) {
      termios raw = before_;
      raw.c_lflag &= static_cast<tcflag_t>(~(ICANON | ECHO));
      raw.c_cc[VMIN] = 0;
      raw.c_cc[VTIME] = 0;
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    write_all(kEnter);
  }
  void leave() {
    write_all(kLeave);
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  bool has_keys() const { return has_keys_; }
  static ScreenSize size() {
    winsize window{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
    return {window.ws_col, window.ws_row};
  }

 private:
  termios before_{};
  bool has_keys_ = false;
};

// Asks the gate and remembers what it said before.
class Source {
 public:
  explicit Source(const std::string& socket) : socket_(socket) {}
  void ask() {
    const auto answer = ask_steward(socket_, "figures", kPatience);
    view_.trouble = answer ? "" : answer.error().text;
    if (!answer) return;
    auto figures = read_figures(*answer);
    if (!figures) {
      view_.trouble = answer->substr(0, answer->find('\n'));
      return;
    }
    const Instant now = monotonic_now();
    view_.before = view_.now.version.empty() ? *figures : std::move(view_.now);
    view_.seconds = std::chrono::duration<double>(now - asked_).count();
    view_.now = std::move(*figures);
    asked_ = now;
  }
  const TopView& view() const { return view_; }

 private:
  std::string socket_;
  TopView view_;
  Instant asked_{};
};

std::string screen_of(const TopView& view, ScreenSize size) {
  std::string out(kHome);
  const auto lines = draw_top(view, size);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\r\n";  // none behind the last, which would scroll
    if (lines[i].is_heading) out += kBold;
    out += lines[i].text;
    if (lines[i].is_heading) out += kPlain;
    out += kEndOfLine;
  }
  out += kClearBelow;
  return out;
}

int print_once(Source& source, milliseconds interval) {
  source.ask();
  poll(nullptr, 0, static_cast<int>(interval.count()));
  source.ask();
  for (const TopLine& line : draw_top(source.view(), {kPlainColumns, kPlainRows})) {
    fmt::print("{}\n", line.text);
  }
  return source.view().trouble.empty() ? 0 : static_cast<int>(ExitCode::kUnavailable);
}

int open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP}) {
    sigaddset(&set, signal);
  }
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

// The signal that ends it, 0: go on.
int take_signals(int fd, Terminal& terminal) {
  signalfd_siginfo signal{};
  while (read(fd, &signal, sizeof(signal)) == sizeof(signal)) {
    const int number = static_cast<int>(signal.ssi_signo);
    if (number == SIGWINCH) continue;
    if (number != SIGTSTP) return number;
    terminal.leave();
    raise(SIGSTOP);
    terminal.enter();
  }
  return 0;
}

// True when q was pressed, or nobody can press it any more.
bool take_keys(const pollfd& keys) {
  char pressed[64];
  const ssize_t got = read(STDIN_FILENO, pressed, sizeof(pressed));
  if (got <= 0) return (keys.revents & (POLLHUP | POLLERR)) != 0;
  return std::any_of(pressed, pressed + got, [](char key) { return key == 'q' || key == 'Q'; });
}

}  // namespace

int run_top(const TopOptions& options) {
  Source source(options.socket);
  if (isatty(STDOUT_FILENO) == 0) return print_once(source, options.interval);
  const int signals = open_signals();
  std::signal(SIGPIPE, SIG_IGN);
  Terminal terminal;
  Instant next = monotonic_now();
  for (;;) {
    if (monotonic_now() >= next) {
      source.ask();
      next = monotonic_now() + options.interval;
    }
    if (!write_all(screen_of(source.view(), Terminal::size()))) return 0;
    const auto left = std::chrono::ceil<milliseconds>(next - monotonic_now());
    pollfd waits[2] = {{signals, POLLIN, 0}, {terminal.has_keys() ? STDIN_FILENO : -1, POLLIN, 0}};
    poll(waits, 2, static_cast<int>(std::max(left, milliseconds{0}).count()));
    if (const int signal = take_signals(signals, terminal); signal != 0) return 128 + signal;
    if (waits[1].revents != 0 && take_keys(waits[1])) return 0;
  }
}

}  // namespace lychgate::daemon
