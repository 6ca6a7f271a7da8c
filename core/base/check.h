// Invariant checks that stay on in release builds: a failed one is our bug and ends the process.
// Never used for what a client, a server or an operator can do; those are Verdict and Result.

#pragma once

namespace lychgate {

// Prints file, line and the condition to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition) noexcept;

}  // namespace lychgate

#define LYCH_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::lychgate::check_failed(__FILE__, __LINE__, #condition))
