// libFuzzer's entry to one target, which the build names.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

// The name is libFuzzer's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lychgate::fuzz::LYCHGATE_FUZZ_TARGET({data, size});
  return 0;
}
