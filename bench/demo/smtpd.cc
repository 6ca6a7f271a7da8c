// Sessions of both doors, and the receiving side of the pass protocol as smtpd does it: accept,
// one byte with the descriptor, the attribute list, close (which tells the gate it was taken).

#include "bench/demo/smtpd.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "bench/demo/upstream.h"

namespace lychgate::demo {

using ring::Op;
using ring::OpTag;

Session::Session(Loop& loop, const SmtpdOptions& options)
    : Channel(loop), options_(options), dialogue_(options.name) {}

void Session::serve_proxied(int fd) {
  attach(fd);
}

void Session::serve(int fd, const Endpoint& client) {
  client_ = client;
  attach(fd);
  greet();
}

void Session::greet() {
  introduced_ = true;
  say(dialogue_.greeting());
  heard_at_ = monotonic_now();
  loop_.wake_at(heard_at_ + options_.patience, id_);
}

void Session::received() {
  if (!introduced_) {
    const Introduction header = read_proxy_header(inbox_);
    if (header.parse == Parse::kNeedMore) return;
    if (header.parse == Parse::kMalformed) return finish();
    client_ = header.client;
    inbox_.erase(0, header.bytes);
    greet();
  }
  heard_at_ = monotonic_now();
  while (const auto line = next_line()) {
    say(dialogue_.answer(*line));
    if (dialogue_.has_quit()) return finish();
  }
}

void Session::wake() {
  if (!is_open()) return;
  const Instant due = heard_at_ + options_.patience;
  if (monotonic_now() < due) return loop_.wake_at(due, id_);
  say(dialogue_.farewell());
  finish();
}

// One connection of the pass protocol, open until descriptor and attributes have been read.
class Smtpd::PassDoor : public Channel {
 public:
  PassDoor(Smtpd& server, int fd) : Channel(server.loop_), server_(server) { attach(fd); }
  ~PassDoor() override {
    if (client_fd_ >= 0) close(client_fd_);
  }

 private:
  ssize_t take(int fd, std::span<char> into) override;
  void received() override;
  void ended(int) override {}
  void wake() override {}

  Smtpd& server_;
  int client_fd_ = -1;
};

// The descriptor comes with the first byte, whose value means nothing; the rest are attributes.
ssize_t Smtpd::PassDoor::take(int fd, std::span<char> into) {
  if (client_fd_ >= 0) return Channel::take(fd, into);
  iovec part{into.data(), 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return got;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    errno = EBADMSG;
    return -1;
  }
  std::memcpy(&client_fd_, CMSG_DATA(header), sizeof(int));
  return got;
}

void Smtpd::PassDoor::received() {
  const Introduction attributes = read_pass_attributes(std::string_view(inbox_).substr(1));
  if (attributes.parse == Parse::kNeedMore) return;
  if (attributes.parse == Parse::kComplete) {
    auto& session =
        server_.sessions_.emplace_back(std::make_unique<Session>(server_.loop_, server_.options_));
    session->serve(std::exchange(client_fd_, -1), attributes.client);
  }
  finish();
}

Result<std::unique_ptr<Smtpd>> Smtpd::open(Loop& loop, const SmtpdOptions& options) {
  SocketAddress address = SocketAddress::from({IpAddress::from_v4(INADDR_LOOPBACK), 0});
  if (!options.pass_path.empty()) {
    const auto path = SocketAddress::unix_path(options.pass_path);
    if (!path) {
      return fail(ExitCode::kCantCreate,
                  fmt::format("{} is too long for a unix socket; set TMPDIR to a shorter folder",
                              options.pass_path));
    }
    address = *path;
  }
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, &address.any, address.length) != 0 || ::listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(ExitCode::kOsError, fmt::format("the {} mail server cannot listen: {}",
                                                options.name, errno_text(error)));
  }
  return std::unique_ptr<Smtpd>(new Smtpd(loop, options, fd));
}

Smtpd::Smtpd(Loop& loop, const SmtpdOptions& options, int fd)
    : loop_(loop), options_(options), id_(loop.add(*this)), fd_(fd) {
  backend_ = options.pass_path.empty()
                 ? fmt::format("tcp:127.0.0.1:{}", loop.reactor().local_endpoint(fd).port)
                 : "pass:" + options.pass_path;
  listen();
}

Smtpd::~Smtpd() {
  close(fd_);
}

void Smtpd::listen() {
  loop_.reactor().poll_fd(fd_, OpTag::of(Op::kListenerPoll, id_));
}

void Smtpd::complete(const ring::Completion& /*completion*/) {
  for (;;) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) break;
    if (options_.pass_path.empty()) {
      sessions_.emplace_back(std::make_unique<Session>(loop_, options_))->serve_proxied(fd);
    } else {
      doors_.push_back(std::make_unique<PassDoor>(*this, fd));
    }
  }
  listen();
}

const Session* Smtpd::find(const Endpoint& client) const {
  for (const auto& session : sessions_) {
    if (session->client() == client) return session.get();
  }
  return nullptr;
}

}  // namespace lychgate::demo
