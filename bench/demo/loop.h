// The demo's one ring and one loop: mail servers and clients are tasks on it, each named by a
// number that is never used twice. Also notices that somebody wants the demo to end.
// Owns the ring, not the tasks; knows nothing of mail.

#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "ring/uring_reactor.h"

namespace lychgate::demo {

// Somebody whose requests complete on the ring.
class Task {
 public:
  virtual ~Task() = default;
  virtual void complete(const ring::Completion& completion) = 0;
  // A time asked for by Loop::wake_at has come.
  virtual void wake() = 0;
};

// Why a wait of the loop came back.
enum class Wait : uint8_t { kDone, kTooLate, kInterrupted };

class Loop {
 public:
  // Blocks SIGINT, SIGTERM and SIGHUP, which from now on interrupt run_until.
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The number of a task, which must stay where it is until its last request has completed.
  uint32_t add(Task& task);
  void wake_at(Instant when, uint32_t task) { alarms_.push({when, task}); }
  ring::Reactor& reactor() { return *reactor_; }

  Wait run_until(const std::function<bool()>& done, Instant deadline);
  // Just lets time pass.
  Wait run_for(milliseconds span);
  // The signal that interrupted, 0 when none has. Also asks the kernel, for use between waits.
  int interrupted();

 private:
  struct Alarm {
    Instant when;
    uint32_t task;
    bool operator>(const Alarm& other) const { return when > other.when; }
  };
  Loop(std::unique_ptr<ring::UringReactor> reactor, int signal_fd);
  void turn(Instant deadline);

  std::unique_ptr<ring::UringReactor> reactor_;
  int signal_fd_;
  int signal_ = 0;
  std::vector<Task*> tasks_;
  std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms_;
};

}  // namespace lychgate::demo
