// The one result type for failures of the world (files, sockets, configuration).
// A rude client is not an error (see Verdict); a broken invariant is LYCH_CHECK.

#pragma once

#include <cstring>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace lychgate {

// Exit codes of sysexits.h that lychgate uses; values are fixed by that header.
enum class ExitCode : int {
  kOk = 0,
  kUsage = 64,         // EX_USAGE: bad command line
  kNoInput = 66,       // EX_NOINPUT: a named file cannot be read
  kUnavailable = 69,   // EX_UNAVAILABLE: io_uring missing, port taken, daemon not running
  kSoftware = 70,      // EX_SOFTWARE: our bug
  kOsError = 71,       // EX_OSERR: a system resource is missing or too small
  kCantCreate = 73,    // EX_CANTCREAT: a log or control path cannot be made
  kNoPermission = 77,  // EX_NOPERM
  kConfig = 78,        // EX_CONFIG: configuration or access list is wrong
};

// What went wrong in words for an operator (place, cause, remedy) and the exit code it deserves.
struct Error {
  ExitCode code = ExitCode::kOsError;
  std::string text;
};

template <typename T>
using Result = tl::expected<T, Error>;

// fail(code, text): the error branch of any Result.
inline tl::unexpected<Error> fail(ExitCode code, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(text)});
}

// errno in words; only for edges where a system call has just failed.
inline std::string errno_text(int error) {
  return std::strerror(error);
}

}  // namespace lychgate
