// How the input of the target of DNS messages begins.

#pragma once

#include <cstdint>

namespace lychgate::fuzz {

// Bits of the input's first byte.
inline constexpr uint8_t kAskText = 1;
inline constexpr uint8_t kAskV6 = 2;
inline constexpr uint8_t kMixCase = 4;
inline constexpr uint8_t kMakeReply = 8;  // put id and question in; otherwise the bytes as they are

}  // namespace lychgate::fuzz
