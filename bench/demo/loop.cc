// Completions first, then alarms, then the next turn.

#include "bench/demo/loop.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

namespace lychgate::demo {

using ring::Op;
using ring::OpTag;

Result<std::unique_ptr<Loop>> Loop::create() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  const int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  // All sockets are real descriptors, so the table and the buffers of the ring stay small.
  auto reactor = ring::UringReactor::create({.slots = kSlotsMin, .buffers = 8});
  if (!reactor) return tl::unexpected(reactor.error());
  return std::unique_ptr<Loop>(new Loop(std::move(*reactor), signal_fd));
}

Loop::Loop(std::unique_ptr<ring::UringReactor> reactor, int signal_fd)
    : reactor_(std::move(reactor)), signal_fd_(signal_fd) {
  reactor_->poll_fd(signal_fd_, OpTag::of(Op::kControl));
}

Loop::~Loop() {
  close(signal_fd_);
}

uint32_t Loop::add(Task& task) {
  tasks_.push_back(&task);
  return static_cast<uint32_t>(tasks_.size() - 1);
}

int Loop::interrupted() {
  signalfd_siginfo signal{};
  if (read(signal_fd_, &signal, sizeof(signal)) == sizeof(signal)) {
    signal_ = static_cast<int>(signal.ssi_signo);
  }
  return signal_;
}

void Loop::turn(Instant deadline) {
  if (!alarms_.empty()) deadline = std::min(deadline, alarms_.top().when);
  // Rounded up: a wait that is too short by a fraction would make the loop spin.
  const auto wait = std::chrono::ceil<milliseconds>(deadline - monotonic_now());
  for (const ring::Completion& completion : reactor_->turn(wait)) {
    if (completion.tag.operation() == Op::kIgnored) continue;
    if (completion.tag.operation() == Op::kControl) {
      interrupted();
    } else {
      tasks_[completion.tag.slot]->complete(completion);
    }
  }
  const Instant now = monotonic_now();
  while (!alarms_.empty() && alarms_.top().when <= now) {
    const uint32_t task = alarms_.top().task;
    alarms_.pop();
    tasks_[task]->wake();
  }
}

Wait Loop::run_until(const std::function<bool()>& done, Instant deadline) {
  for (;;) {
    if (signal_ != 0) return Wait::kInterrupted;
    if (done()) return Wait::kDone;
    if (monotonic_now() >= deadline) return Wait::kTooLate;
    turn(deadline);
  }
}

Wait Loop::run_for(milliseconds span) {
  return run_until([] { return false; }, monotonic_now() + span);
}

}  // namespace lychgate::demo
