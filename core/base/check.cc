// Reports a failed invariant with one write and aborts, so that a core dump shows the place.

#include "core/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lychgate {

void check_failed(const char* file, int line, const char* condition) noexcept {
  std::fprintf(stderr, "panic: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace lychgate
