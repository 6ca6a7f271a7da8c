// The least SMTP server that takes whole messages and forgets them, so that bench/compare measures
// what stands in front of a mail server and not the mail server. Owns a listener on 127.0.0.1, if
// asked for a `pass` socket (descriptors of accepted clients, as Postfix passes them), and its
// sessions. It keeps no message, checks no syntax and ends no slow client.
//
// One line with its port when it is ready; on SIGTERM a JSON line with its counts and exit.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace {

enum class Kind : uint8_t { kFree, kListener, kPassListener, kPass, kClient, kSignals };

struct Session {
  Kind kind = Kind::kFree;
  bool in_data = false;
  std::array<char, 8> head{};  // of the line being read, as much as tells lines apart
  size_t line_bytes = 0;
  int passed = -1;  // kPass: the descriptor that came, until its attributes have
};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "lychgate-sink: %s: %s\n", what, std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

class Sink {
 public:
  Sink() : poll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (poll_ < 0) give_up("epoll_create1");
  }
  uint16_t listen_tcp(uint16_t port);
  void listen_pass(const std::string& path);
  void run();

 private:
  void watch(int fd, Kind kind);
  void forget(int fd);
  void greet(int fd);
  void accept_all(int listener, Kind kind);
  void take_passed(int fd);
  void converse(int fd);
  bool answer(Session& session, std::string_view bytes, std::string& replies);
  bool answer_line(Session& session, std::string& replies);

  int poll_;
  std::vector<Session> sessions_;  // by descriptor
  std::array<char, 65536> input_{};
  uint64_t clients_ = 0;
  uint64_t messages_ = 0;
};

void Sink::watch(int fd, Kind kind) {
  const auto index = static_cast<size_t>(fd);
  if (sessions_.size() <= index) sessions_.resize(index + 1);
  sessions_[index] = {};
  sessions_[index].kind = kind;
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl");
}

void Sink::forget(int fd) {
  sessions_[static_cast<size_t>(fd)] = {};
  close(fd);
}

uint16_t Sink::listen_tcp(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, raw, size) != 0 || listen(listener, 4096) != 0 ||
      getsockname(listener, raw, &size) != 0) {
    give_up("--port");
  }
  watch(listener, Kind::kListener);
  return ntohs(address.sin_port);
}

void Sink::listen_pass(const std::string& path) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    give_up("--pass");
  }
  path.copy(address.sun_path, path.size());
  if (listener < 0 ||
      bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      // Whoever passes clients runs as a user of its own.
      chmod(path.c_str(), 0666) != 0 || listen(listener, 4096) != 0) {
    give_up("--pass");
  }
  watch(listener, Kind::kPassListener);
}

void Sink::accept_all(int listener, Kind kind) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    watch(fd, kind);
    if (kind == Kind::kClient) greet(fd);
  }
}

void Sink::greet(int fd) {
  constexpr std::string_view kGreeting = "220 sink.example ESMTP\r\n";
  ++clients_;
  // A client that has gone already is seen by the next read.
  static_cast<void>(send(fd, kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL));
}

// The descriptor comes with the first byte, attributes follow and end with an empty name; closing
// tells the sender that the client was taken, so they are waited for.
void Sink::take_passed(int fd) {
  iovec part{input_.data(), input_.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && errno == EAGAIN) return;
  Session& session = sessions_[static_cast<size_t>(fd)];
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (got > 0 && header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&session.passed, CMSG_DATA(header), sizeof(int));
  }
  const std::string_view bytes{input_.data(), got > 0 ? static_cast<size_t>(got) : 0};
  if (got > 0 && !bytes.ends_with(std::string_view("\0\0", 2))) return;
  const int client = session.passed;
  forget(fd);
  if (client < 0) return;
  watch(client, Kind::kClient);
  greet(client);
}

// False: the client said QUIT.
bool Sink::answer_line(Session& session, std::string& replies) {
  const std::string_view head{session.head.data(),
                              std::min(session.line_bytes, session.head.size())};
  if (session.in_data) {
    if (head != ".\r\n") return true;
    session.in_data = false;
    ++messages_;
    replies += "250 forgotten\r\n";
    return true;
  }
  if (head.starts_with("QUIT")) {
    replies += "221 bye\r\n";
    return false;
  }
  session.in_data = head.starts_with("DATA");
  replies += session.in_data ? "354 go on\r\n" : "250 sink\r\n";
  return true;
}

bool Sink::answer(Session& session, std::string_view bytes, std::string& replies) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const bool whole = end != std::string_view::npos;
    const std::string_view line = bytes.substr(0, whole ? end + 1 : bytes.size());
    if (session.line_bytes < session.head.size()) {
      line.copy(session.head.data() + session.line_bytes, session.head.size() - session.line_bytes);
    }
    session.line_bytes += line.size();
    bytes.remove_prefix(line.size());
    if (!whole) return true;
    if (!answer_line(session, replies)) return false;
    session.line_bytes = 0;
  }
  return true;
}

void Sink::converse(int fd) {
  const ssize_t got = recv(fd, input_.data(), input_.size(), MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return forget(fd);
  std::string replies;
  const bool goes_on = answer(sessions_[static_cast<size_t>(fd)],
                              {input_.data(), static_cast<size_t>(got)}, replies);
  if (!replies.empty() && send(fd, replies.data(), replies.size(), MSG_NOSIGNAL) < 0) {
    return forget(fd);
  }
  if (!goes_on) forget(fd);
}

void Sink::run() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT}) sigaddset(&signals, one);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  watch(signalfd(-1, &signals, SFD_CLOEXEC), Kind::kSignals);
  std::array<epoll_event, 256> events{};
  for (;;) {
    const int ready = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      switch (sessions_[static_cast<size_t>(fd)].kind) {
        case Kind::kListener:
          accept_all(fd, Kind::kClient);
          break;
        case Kind::kPassListener:
          accept_all(fd, Kind::kPass);
          break;
        case Kind::kPass:
          take_passed(fd);
          break;
        case Kind::kClient:
          converse(fd);
          break;
        case Kind::kFree:
          break;  // closed earlier in this turn
        case Kind::kSignals:
          std::printf("{\"clients\":%llu,\"messages\":%llu}\n",
                      static_cast<unsigned long long>(clients_),
                      static_cast<unsigned long long>(messages_));
          return;
      }
    }
  }
}

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) give_up("--cpu");
}

int run(int argc, char** argv) {
  uint16_t port = 0;
  std::string pass;
  std::optional<unsigned> cpu;
  CLI::App app{"Takes SMTP messages on 127.0.0.1 and forgets them."};
  app.add_option("--port", port, "port; 0: the kernel picks one")->capture_default_str();
  app.add_option("--pass", pass, "path of a socket that takes passed clients");
  app.add_option("--cpu", cpu, "core to run on");
  CLI11_PARSE(app, argc, argv);
  if (cpu) pin_to(*cpu);
  Sink sink;
  port = sink.listen_tcp(port);
  if (!pass.empty()) sink.listen_pass(pass);
  std::printf("port %u\n", port);
  std::fflush(stdout);
  sink.run();
  return EXIT_SUCCESS;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): out of memory or a wrong option table may end it.
int main(int argc, char** argv) {
  return run(argc, argv);
}
