// All chance in a simulated run, from one seed: the same seed gives the same run on every machine
// (the distributions of std differ between libraries, so none is used).

#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

namespace lychgate::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t next() { return engine_(); }
  // Both ends included.
  uint64_t between(uint64_t low, uint64_t high) { return low + engine_() % (high - low + 1); }
  bool chance(uint64_t percent) { return engine_() % 100 < percent; }
  bool one_in(uint64_t n) { return engine_() % n == 0; }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + engine_() % values.size());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace lychgate::sim
