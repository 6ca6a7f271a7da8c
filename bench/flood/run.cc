// The engine works in slices; between them the run is looked at.

#include "bench/flood/run.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "bench/flood/csv_report.h"
#include "bench/flood/progress.h"

namespace lychgate::flood {
namespace {

// Short enough that a signal is obeyed at once and that rates of short runs are right.
constexpr milliseconds kSlice{20};
// Resets of everybody who is open take some 7 us each; after this the kernel does the rest.
constexpr milliseconds kStopPatience{60000};

volatile std::sig_atomic_t caught = 0;

void remember(int signal) {
  caught = signal;
}

double seconds(Clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto both = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return both(usage.ru_utime) + both(usage.ru_stime);
}

void write_row(FILE* csv, const Sample& sample) {
  if (csv == nullptr) return;
  std::fputs(csv_row(sample).c_str(), csv);
  std::fflush(csv);  // whoever follows the file sees it now
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void run_watched(Engine& engine, const Output& output, FILE* csv, Outcome& outcome) {
  LiveLine line(STDERR_FILENO, !output.quiet);
  const double cpu_before = cpu_seconds();
  const Instant begin = monotonic_now();
  if (csv != nullptr) std::fputs(csv_header().c_str(), csv);
  Sample shown;
  Instant next_row = begin + output.interval;
  Instant stop_by = Instant::max();
  uint64_t started = 0;
  bool works = true;
  while (works) {
    works = engine.run_until(std::min(monotonic_now() + kSlice, next_row));
    const Instant now = monotonic_now();
    if (const uint64_t sum = outcome.tally->sum().started; sum > started) {
      started = sum;
      outcome.arriving_s = seconds(now - begin);
    }
    if (caught != 0 && outcome.signal == 0) {
      outcome.signal = caught;
      engine.stop();
      stop_by = now + kStopPatience;
    }
    if (now >= stop_by) works = false;
    if (now < next_row && works) continue;
    shown = sample_of(*outcome.tally, seconds(now - begin), shown);
    write_row(csv, shown);
    line.show(shown);
    while (next_row <= now) next_row += output.interval;
  }
  outcome.elapsed_s = seconds(monotonic_now() - begin);
  outcome.cpu_s = cpu_seconds() - cpu_before;
}

}  // namespace lychgate::flood
