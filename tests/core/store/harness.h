// A folder for one store, clients by number, and other processes: a store may be opened once in a
// process, so whoever reads beside the writer is a child.

#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/store/store.h"

namespace lychgate::store {

// Gone with everything in it at the end of the test.
class Folder {
 public:
  Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "lychgate-store-XXXXXX";
    LYCH_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  Options options() const {
    return {.path = path_ / "clients.mdb", .bytes_max = 256 << 20, .sync = Sync::kNone};
  }

 private:
  std::filesystem::path path_;
};

// Chance from a seed, the same on every machine.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t operator()() { return static_cast<uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

// Scattered over IPv4 and, every fourth, IPv6.
inline ClientKey key_of(uint32_t number) {
  const uint32_t scattered = number * 2654435761U;
  IpAddress address = IpAddress::from_v4(scattered);
  if (number % 4 == 3) {
    address.bytes = {0x20, 0x01, 0x0d, 0xb8};
    for (size_t i = 0; i < 4; ++i) {
      address.bytes[4 + i] = static_cast<uint8_t>(scattered >> (24 - 8 * i));
    }
  }
  return ClientKey::of(address, {});
}

inline ClientRecord record_of(uint32_t number) {
  ClientRecord record;
  record.passed_until[0] = 1000 + number;
  record.first_seen = 10;
  record.last_seen = 20;
  record.passes = 1;
  return record;
}

// The exit status of `work` in a child, or 128 and the signal that ended it.
inline int in_child(const std::function<int()>& work) {
  const pid_t child = fork();
  LYCH_CHECK(child >= 0);
  if (child == 0) _exit(work());
  int status = 0;
  LYCH_CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A child that runs `work` with one end of a socket pair; killed at the end of the test.
class Peer {
 public:
  explicit Peer(const std::function<void(int fd)>& work) {
    int ends[2];
    LYCH_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    child_ = fork();
    LYCH_CHECK(child_ >= 0);
    if (child_ == 0) {
      close(ends[0]);
      work(ends[1]);
      _exit(0);
    }
    close(ends[1]);
    fd_ = ends[0];
  }
  ~Peer() {
    kill_now();
    close(fd_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  char ask(char question) {
    LYCH_CHECK(write(fd_, &question, 1) == 1);
    return hear();
  }
  // The next byte it says; 0: it has ended.
  char hear() {
    char answer = 0;
    return read(fd_, &answer, 1) == 1 ? answer : '\0';
  }
  void kill_now() {
    if (child_ < 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  pid_t child_ = -1;
  int fd_ = -1;
};

}  // namespace lychgate::store
