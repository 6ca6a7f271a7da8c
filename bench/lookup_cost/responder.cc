// recvmmsg, a few bytes turned in each message, sendmmsg.

#include "bench/lookup_cost/responder.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "dns/wire.h"

namespace lychgate::lookup_cost {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kMessageBytes = 512;
constexpr size_t kOptBytes = 11;
constexpr size_t kTypeAndClassBytes = 4;
constexpr int kSocketBytes = 8 << 20;
constexpr uint32_t kListedOneIn = 32;

// A of the question's name, 127.0.0.2 for 300 s.
constexpr std::array<uint8_t, 16> kListedRecord = {0xc0, 12, 0, 1, 0,   1, 0, 0,
                                                   1,    44, 0, 4, 127, 0, 0, 2};
// SOA of the zone, whose place in the question goes where kZoneAt says: 60 s, "ns" and "hostmaster"
// of the zone, and five numbers of which the last is 60 s.
constexpr std::array<uint8_t, 50> kSoaRecord = {
    0xc0, 0,   0,   6,   0,   1,   0,   0,   0,   60,  0,   38,   2, 'n', 's', 0xc0, 0,
    10,   'h', 'o', 's', 't', 'm', 'a', 's', 't', 'e', 'r', 0xc0, 0, 0,   0,   0,    1,
    0,    0,   14,  16,  0,   0,   2,   88,  0,   1,   81,  128,  0, 0,   0,   60};
constexpr std::array<size_t, 3> kZoneAt = {1, 16, 29};

struct Message {
  std::array<char, kMessageBytes> bytes;
  sockaddr_in peer;
  iovec part;
};

// The question becomes its answer; returns its bytes, 0: it was no question.
size_t answer(std::span<char> room, size_t size) {
  if (size < dns::kHeaderBytes + kTypeAndClassBytes + kOptBytes) return 0;
  char* const at = room.data();
  const auto name = name_of(room.first(size));
  const bool listed = is_listed(name);
  std::array<char, kOptBytes> opt;
  std::memcpy(opt.data(), at + size - kOptBytes, kOptBytes);
  char* end = at + size - kOptBytes;
  if (listed) {
    std::memcpy(end, kListedRecord.data(), kListedRecord.size());
    end += kListedRecord.size();
  } else {
    size_t zone = 0;  // behind the four labels of an IPv4 address
    for (int i = 0; i < 4; ++i) zone += 1U + static_cast<uint8_t>(name[zone]);
    std::memcpy(end, kSoaRecord.data(), kSoaRecord.size());
    for (const size_t i : kZoneAt) end[i] = static_cast<char>(dns::kHeaderBytes + zone);
    end += kSoaRecord.size();
  }
  std::memcpy(end, opt.data(), kOptBytes);
  at[2] = static_cast<char>(0x81);                  // a reply; recursion desired
  at[3] = static_cast<char>(listed ? 0x80 : 0x83);  // recursion available; no error or NXDOMAIN
  at[listed ? 7 : 9] = 1;                           // one answer, or one of the authority
  return static_cast<size_t>(end - at) + kOptBytes;
}

[[noreturn]] void serve(int fd) {
  static std::array<Message, kBatch> messages;
  static std::array<mmsghdr, kBatch> headers;
  for (;;) {
    for (size_t i = 0; i < kBatch; ++i) {
      Message& message = messages[i];
      message.part = {message.bytes.data(), message.bytes.size()};
      msghdr& header = headers[i].msg_hdr;
      header = {};
      header.msg_name = &message.peer;
      header.msg_namelen = sizeof(message.peer);
      header.msg_iov = &message.part;
      header.msg_iovlen = 1;
    }
    const int got = recvmmsg(fd, headers.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (got < 0 && errno != EINTR) _exit(1);
    for (int i = 0; i < got; ++i) {
      Message& message = messages[static_cast<size_t>(i)];
      message.part.iov_len = answer(message.bytes, headers[static_cast<size_t>(i)].msg_len);
    }
    if (got > 0) sendmmsg(fd, headers.data(), static_cast<unsigned>(got), 0);
  }
}

void pin_to(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<size_t>(core), &cores);
  sched_setaffinity(0, sizeof(cores), &cores);
}

}  // namespace

std::span<const char> name_of(std::span<const char> question) {
  return question.subspan(dns::kHeaderBytes,
                          question.size() - dns::kHeaderBytes - kTypeAndClassBytes - kOptBytes);
}

bool is_listed(std::span<const char> name) {
  const uint32_t sum = std::accumulate(name.begin(), name.end(), 0u, [](uint32_t s, char c) {
    return s * 31 + static_cast<uint8_t>(c);
  });
  return (sum >> 7) % kListedOneIn == 0;
}

Result<Responder> Responder::start(int core) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const SocketAddress any = SocketAddress::from({IpAddress::from_v4(INADDR_LOOPBACK), 0});
  SocketAddress bound = any;
  if (fd < 0 || bind(fd, &any.any, any.length) != 0 ||
      getsockname(fd, &bound.any, &bound.length) != 0) {
    return fail(ExitCode::kOsError, "cannot bind a UDP socket to 127.0.0.1: " + errno_text(errno));
  }
  for (const int option : {SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF, SO_SNDBUFFORCE}) {
    setsockopt(fd, SOL_SOCKET, option, &kSocketBytes, sizeof(kSocketBytes));
  }
  const pid_t pid = fork();
  if (pid < 0) return fail(ExitCode::kOsError, "cannot fork: " + errno_text(errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to(core);
    serve(fd);
  }
  close(fd);
  return Responder(pid, Endpoint::from_sockaddr(&bound.any));
}

Responder::Responder(Responder&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), endpoint_(other.endpoint_) {}

Responder::~Responder() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace lychgate::lookup_cost
