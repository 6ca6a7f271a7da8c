// The real gate as a process of its own: writes its configuration into a temporary folder, starts
// `lychgate run`, asks `lychgate status` and `lychgate lists`, reads what the kernel says its
// shards use, and ends it. Owns the folder and the process; both are gone when it is.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"
#include "core/base/time.h"

namespace lychgate::demo {

// A folder of our own under TMPDIR (/tmp), removed with everything in it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The answer of `lychgate status --json`, as far as the demo asks.
class Status {
 public:
  explicit Status(std::string json) : json_(std::move(json)) {}
  // A number of the sum over all shards; section: "" for a member of the sum itself, else
  // "counters" or the name of a pool. 0 when it is not there.
  uint64_t total(std::string_view section, std::string_view name) const;
  std::vector<pid_t> shard_pids() const;

 private:
  std::string json_;
};

// What the shards use, summed.
struct Usage {
  uint64_t memory_bytes = 0;  // resident
  std::chrono::nanoseconds cpu{};
};

struct GateOptions {
  std::string program;  // path of lychgate
  std::string folder;
  std::string friendly;  // backend as the configuration writes it
  std::string hostile;
  Endpoint dns;  // the server to ask
};

class GateProcess {
 public:
  explicit GateProcess(GateOptions options) : options_(std::move(options)) {}
  ~GateProcess();
  GateProcess(const GateProcess&) = delete;
  GateProcess& operator=(const GateProcess&) = delete;

  // Returns when the gate listens. interrupted: asked now and then; true gives up.
  Result<void> start(const std::function<bool()>& interrupted);
  const Endpoint& address() const { return address_; }
  Result<Status> status() const;
  // What `lychgate lists` prints.
  Result<std::string> lists() const;
  Usage usage() const;
  // Ends it in order; an error says how it ended instead.
  Result<void> stop();
  std::string log_path() const { return options_.folder + "/gate.log"; }

 private:
  std::string config_path() const { return options_.folder + "/lychgate.toml"; }
  Result<void> write_files() const;
  std::string config_text() const;
  // The output of `lychgate COMMAND [OPTION]`.
  Result<std::string> ask(std::string command, std::string option) const;
  Result<void> spawn();
  bool find_address();
  bool wait_for_end(milliseconds patience, int& how);

  const GateOptions options_;
  pid_t pid_ = -1;
  Endpoint address_;
  std::vector<pid_t> shards_;
};

}  // namespace lychgate::demo
