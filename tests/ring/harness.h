// What the tests of the ring share: loopback sockets that close themselves, and a driver that turns
// a small real reactor and sorts what comes back. Every wait is a turn() with a bound.

#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ring/uring_reactor.h"

namespace lychgate::ring {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

struct ListenOptions {
  int backlog = 64;
  int send_buffer = 0;  // inherited by accepted sockets; 0: the system's
};

struct Listener {
  Fd fd;
  SocketAddress address;  // where to connect to
  uint16_t port = 0;
};

// 127.0.0.1, port chosen by the kernel.
Listener listen_tcp(const ListenOptions& options = {});

// A listening unix socket in a fresh directory, which goes with it.
class UnixListener {
 public:
  explicit UnixListener(int backlog);
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  int fd() const { return fd_.get(); }
  const SocketAddress& address() const { return address_; }

 private:
  std::string directory_;
  std::string path_;
  Fd fd_;
  SocketAddress address_;
};

// A connected client; its own reads give up after ten seconds.
Fd connect_client(const Listener& listener);
Endpoint local_endpoint_of(const Fd& fd);
void write_all(const Fd& fd, std::string_view bytes);
// Blocking, until so many bytes or the end of the stream.
std::string read_some(const Fd& fd, size_t bytes);

// What a client would see now, without waiting.
enum class PeerSees : uint8_t { kNothing, kBytes, kEnd, kReset };
PeerSees peer_sees(const Fd& fd);

// A text in which every position is recognizable.
std::string pattern(size_t bytes);

// Worker threads that io_uring has made for this process.
size_t worker_threads();

// What the function answers in a forked child, whose limits and filters end with it.
std::string in_child(const std::function<std::string()>& function);

inline constexpr ReactorOptions kSmallRing = {.slots = kSlotsMin,
                                              .buffers = 16,
                                              .buffer_bytes = 4096,
                                              .submission_entries = 64,
                                              .completion_entries = 256};

class Driver {
 public:
  explicit Driver(const ReactorOptions& options = kSmallRing);

  UringReactor& ring() { return *ring_; }
  UringReactor* operator->() { return ring_.get(); }

  // The next completion of op. One that does not come within some seconds fails the test.
  Completion next(Op op);
  // All of op that a short wait brings.
  std::vector<Completion> all(Op op);
  // True when nothing of op has come and none comes within a short wait.
  bool silent(Op op);

  // Turns while a peer reads, until so many bytes have been read or none come for some seconds.
  // What completes meanwhile is left for next().
  std::string turn_while_reading(const Fd& peer, size_t bytes);

  // Accepts one waiting client.
  uint32_t accept(const Listener& listener);
  // A connected TCP pair.
  struct Pair {
    Fd client;
    uint32_t slot;
  };
  Pair pair(const Listener& listener);
  // The real descriptor of a slot.
  Fd real(uint32_t slot);
  int32_t close(uint32_t slot);

 private:
  std::optional<Completion> take(Op op);
  void turn(milliseconds wait);

  std::unique_ptr<UringReactor> ring_;
  std::vector<Completion> mailbox_;
};

// Skips, with the reason, where the kernel cannot do what lychgate needs.
class RingTest : public testing::Test {
 protected:
  void SetUp() override;
};

// The tag of an operation on a slot whose generation does not matter.
inline OpTag on(Op op, uint32_t slot) {
  return OpTag::of(op, ConnId{slot, 0});
}

}  // namespace lychgate::ring
