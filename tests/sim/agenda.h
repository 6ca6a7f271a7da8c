// The virtual clock and what is to happen when. Nothing in a simulated run reads another clock.
// Things of one moment happen in the order in which they were put down.

#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace lychgate::sim {

using Time = uint64_t;  // milliseconds since the run began

class Agenda {
 public:
  Time now() const { return now_; }
  void at(Time when, std::function<void()> what) {
    entries_.push_back({std::max(when, now_), sequence_++, std::move(what)});
    std::push_heap(entries_.begin(), entries_.end(), later);
  }
  void after(Time span, std::function<void()> what) { at(now_ + span, std::move(what)); }
  std::optional<Time> next() const {
    if (entries_.empty()) return std::nullopt;
    return entries_.front().when;
  }
  // Moves to the next thing and lets it happen. REQUIRES: next().
  void run_next() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    now_ = entry.when;
    entry.what();
  }
  // Lets everything up to and including `until` happen; it is then `until`.
  void run_until(Time until) {
    while (next() && *next() <= until) run_next();
    now_ = std::max(now_, until);
  }

 private:
  struct Entry {
    Time when;
    uint64_t sequence;
    std::function<void()> what;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  Time now_ = 0;
  uint64_t sequence_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace lychgate::sim
