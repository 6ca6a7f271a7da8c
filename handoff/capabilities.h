// What backends announce in answer to EHLO (RFC 5321 4.1.1.1), as text of one keyword with its
// parameters a line, each ended by '\n': taken out of a reply, brought together for the backends of
// a pool, and compared before a client is handed over. Pure and bounded: what cannot be read or has
// no room is not announced, which costs a client a convenience and never a broken session.

#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/limits.h"

namespace lychgate::handoff {

// Keyword lines of one backend.
class Capabilities {
 public:
  // A line of an EHLO reply without its code; the first line of such a reply is no keyword line.
  // Dropped are malformed lines (also "AUTH=PLAIN", which was never a standard), a keyword's second
  // line, and what has no room.
  void add(std::string_view line);
  void clear() { size_ = 0; }
  std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, kCapabilityBytesMax> text_;
  size_t size_ = 0;
};

// What the gate may announce for backends that announce these, each as text(): what all of them
// have, without what cannot outlive the gate in between (PIPELINING, XCLIENT, XFORWARD) and what
// is hidden by configuration. SIZE is the smallest that is a limit; of other parameters the words
// that all have, and a keyword whose parameters have nothing in common is left out.
std::string announced_for(std::span<const std::string_view> backends,
                          std::span<const std::string> hide);

// Every keyword in `announced` is in `backend` with all its words; a SIZE of the backend is no
// smaller.
bool covers(std::string_view backend, std::string_view announced);

}  // namespace lychgate::handoff
