// The fuzz target of DNS messages, for libFuzzer and for the smoke test.

#pragma once

#include <cstddef>
#include <cstdint>

namespace lychgate::dns {

// Bits of the input's first byte.
inline constexpr uint8_t kAskText = 1;
inline constexpr uint8_t kAskV6 = 2;
inline constexpr uint8_t kMixCase = 4;
inline constexpr uint8_t kMakeReply = 8;  // put id and question in; otherwise the bytes as they are

}  // namespace lychgate::dns

// The name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
