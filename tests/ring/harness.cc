// Sockets, driver and skip of the ring tests.

#include "tests/ring/harness.h"

#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lychgate::ring {
namespace {

// Long enough for the slowest sanitizer build; only a failing test waits for it.
constexpr milliseconds kPatience{10'000};
// How long a test watches for something that must not happen.
constexpr milliseconds kShort{30};

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(release());
}

Listener listen_tcp(const ListenOptions& options) {
  Listener out{Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), {}, 0};
  if (options.send_buffer > 0) {
    setsockopt(out.fd.get(), SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof(int));
  }
  out.address = SocketAddress::from({IpAddress::from_v4(INADDR_LOOPBACK), 0});
  EXPECT_EQ(bind(out.fd.get(), &out.address.any, out.address.length), 0) << errno_text(errno);
  EXPECT_EQ(listen(out.fd.get(), options.backlog), 0) << errno_text(errno);
  EXPECT_EQ(getsockname(out.fd.get(), &out.address.any, &out.address.length), 0);
  out.port = Endpoint::from_sockaddr(&out.address.any).port;
  return out;
}

UnixListener::UnixListener(int backlog) {
  directory_ = testing::TempDir() + "ring_test.XXXXXX";
  EXPECT_NE(mkdtemp(directory_.data()), nullptr) << errno_text(errno);
  path_ = directory_ + "/socket";
  address_ = SocketAddress::unix_path(path_).value();
  fd_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(fd_.get(), &address_.any, address_.length), 0) << errno_text(errno);
  EXPECT_EQ(listen(fd_.get(), backlog), 0) << errno_text(errno);
}

UnixListener::~UnixListener() {
  unlink(path_.c_str());
  rmdir(directory_.c_str());
}

Fd connect_client(const Listener& listener) {
  Fd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  EXPECT_EQ(connect(out.get(), &listener.address.any, listener.address.length), 0)
      << errno_text(errno);
  return out;
}

Endpoint local_endpoint_of(const Fd& fd) {
  SocketAddress local;
  local.length = sizeof(local.path);
  EXPECT_EQ(getsockname(fd.get(), &local.any, &local.length), 0);
  return Endpoint::from_sockaddr(&local.any);
}

void write_all(const Fd& fd, std::string_view bytes) {
  EXPECT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

std::string read_some(const Fd& fd, size_t bytes) {
  std::string out(bytes, '\0');
  size_t have = 0;
  while (have < bytes) {
    const ssize_t got = read(fd.get(), out.data() + have, bytes - have);
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  out.resize(have);
  return out;
}

PeerSees peer_sees(const Fd& fd) {
  char byte = 0;
  const ssize_t got = recv(fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0) return PeerSees::kBytes;
  if (got == 0) return PeerSees::kEnd;
  return errno == EAGAIN ? PeerSees::kNothing : PeerSees::kReset;
}

std::string pattern(size_t bytes) {
  std::string out;
  out.reserve(bytes + 8);
  for (size_t i = 0; out.size() < bytes; ++i) out += std::to_string(i) + ' ';
  out.resize(bytes);
  return out;
}

size_t worker_threads() {
  size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    if (std::getline(file, name) && name.starts_with("iou-wrk")) ++count;
  }
  return count;
}

std::string in_child(const std::function<std::string()>& function) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = fork();
  EXPECT_GE(child, 0);
  if (child == 0) {
    const std::string answer = function();
    // Not exit(): the parent's buffers and tests are not the child's to finish.
    _exit(write(write_end.get(), answer.data(), answer.size()) < 0 ? 1 : 0);
  }
  write_end.reset();
  std::string out = read_some(read_end, PIPE_BUF);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child died";
  return out;
}

Driver::Driver(const ReactorOptions& options) {
  auto made = UringReactor::create(options);
  if (!made) {
    ADD_FAILURE() << made.error().text;
    std::abort();
  }
  ring_ = std::move(*made);
}

void Driver::turn(milliseconds wait) {
  const auto came = ring_->turn(wait);
  mailbox_.insert(mailbox_.end(), came.begin(), came.end());
}

std::optional<Completion> Driver::take(Op op) {
  const auto found = std::find_if(mailbox_.begin(), mailbox_.end(), [op](const Completion& done) {
    return done.tag.operation() == op;
  });
  if (found == mailbox_.end()) return std::nullopt;
  const Completion out = *found;
  mailbox_.erase(found);
  return out;
}

Completion Driver::next(Op op) {
  const Instant limit = monotonic_now() + kPatience;
  while (true) {
    if (const auto found = take(op)) return *found;
    const auto left = std::chrono::ceil<milliseconds>(limit - monotonic_now());
    if (left <= milliseconds(0)) break;
    turn(left);
  }
  ADD_FAILURE() << "no completion of operation " << static_cast<int>(op);
  return Completion{OpTag::of(op), INT32_MIN, false, std::nullopt};
}

std::vector<Completion> Driver::all(Op op) {
  const Instant limit = monotonic_now() + kShort;
  while (monotonic_now() < limit) {
    turn(std::chrono::ceil<milliseconds>(limit - monotonic_now()));
  }
  std::vector<Completion> out;
  while (const auto found = take(op)) out.push_back(*found);
  return out;
}

bool Driver::silent(Op op) {
  return all(op).empty();
}

std::string Driver::turn_while_reading(const Fd& peer, size_t bytes) {
  constexpr int kIdleTurnsMax = 300;
  std::string out;
  std::vector<char> part(50'000);
  for (int idle = 0; idle < kIdleTurnsMax && out.size() < bytes;) {
    const ssize_t got = recv(peer.get(), part.data(), part.size(), MSG_DONTWAIT);
    if (got > 0) out.append(part.data(), static_cast<size_t>(got));
    idle = got > 0 ? 0 : idle + 1;
    turn(milliseconds(got > 0 ? 0 : 10));
  }
  return out;
}

uint32_t Driver::accept(const Listener& listener) {
  PeerAddress peer;
  ring_->accept_direct(listener.fd.get(), 0, peer, OpTag::of(Op::kAccept));
  const Completion done = next(Op::kAccept);
  EXPECT_GE(done.result, 0) << errno_text(-done.result);
  return static_cast<uint32_t>(done.result);
}

Driver::Pair Driver::pair(const Listener& listener) {
  Fd client = connect_client(listener);
  const uint32_t slot = accept(listener);
  return {std::move(client), slot};
}

Fd Driver::real(uint32_t slot) {
  ring_->install(slot, on(Op::kInstall, slot));
  const Completion done = next(Op::kInstall);
  EXPECT_GE(done.result, 0) << errno_text(-done.result);
  return Fd(done.result);
}

int32_t Driver::close(uint32_t slot) {
  ring_->close(slot, on(Op::kClose, slot));
  return next(Op::kClose).result;
}

void RingTest::SetUp() {
  const auto features = probe_features();
  if (!features) GTEST_SKIP() << features.error().text;
}

}  // namespace lychgate::ring
