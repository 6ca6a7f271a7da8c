// What the smoke tests share: how long they last, and streams made of fragments.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/random.h"

namespace lychgate::fuzz {

#ifdef NDEBUG
inline constexpr int kRounds = 400'000;
#else
inline constexpr int kRounds = 30'000;  // unoptimised, or with sanitizers
#endif

// Two bytes for the target and some fragments, now and then with a byte changed.
inline std::vector<uint8_t> stream_of(sim::Random& random,
                                      std::initializer_list<std::string_view> fragments) {
  std::string text = {static_cast<char>(random.next()), static_cast<char>(random.next())};
  for (uint64_t left = random.between(0, 12); left > 0; --left) text += random.pick(fragments);
  if (random.one_in(4)) text[random.between(0, text.size() - 1)] = static_cast<char>(random.next());
  return {text.begin(), text.end()};
}

}  // namespace lychgate::fuzz
