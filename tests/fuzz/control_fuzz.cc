// Fuzz target of the control socket's requests: any line gives a request within its bounds or a
// sentence that is safe to repeat.

#include <algorithm>
#include <string_view>

#include "core/base/check.h"
#include "core/daemon/control_request.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {

void fuzz_control(std::span<const uint8_t> input) {
  const std::string_view line(reinterpret_cast<const char*>(input.data()), input.size());
  const auto request = daemon::parse_control_request(line);
  if (!request) {
    LYCH_CHECK(!request.error().empty());
    LYCH_CHECK(std::ranges::all_of(request.error(), [](char c) { return c >= 0x20 && c < 0x7f; }));
    return;
  }
  LYCH_CHECK(request->limit <= daemon::kSessionsToldMax);
  LYCH_CHECK(request->filter.network.prefix <= 128);
  LYCH_CHECK(!request->use || !request->pool.empty());
  LYCH_CHECK(!request->duration || request->duration->count() >= 1000);
  // One session is named whole, or not at all.
  LYCH_CHECK(request->shard.has_value() == request->filter.generation.has_value());
  // Read once more it is the same.
  LYCH_CHECK(daemon::parse_control_request(line)->verb == request->verb);
}

}  // namespace lychgate::fuzz
