// Fuzz target of the PROXY reader: bounds hold, nothing is read behind the header, and the first
// outcome as bytes come one by one is the outcome of all of them.

#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/smtp/proxy_reader.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {
namespace {

using smtp::ProxyOutcome;
using smtp::ReadProxy;

// An allocation of its own: a byte read behind it is seen.
ReadProxy read_first(std::span<const char> bytes, size_t size) {
  const std::vector<char> copy(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
  return smtp::read_proxy_header(copy);
}

bool is_same(const ReadProxy& a, const ReadProxy& b) {
  return a.outcome == b.outcome && a.size == b.size && a.client == b.client && a.server == b.server;
}

}  // namespace

void fuzz_proxy(std::span<const uint8_t> input) {
  const std::span<const char> bytes(reinterpret_cast<const char*>(input.data()), input.size());
  const ReadProxy whole = read_first(bytes, bytes.size());
  const bool complete = whole.outcome == ProxyOutcome::kComplete;
  LYCH_CHECK(complete == (whole.size > 0) && whole.size <= bytes.size());
  LYCH_CHECK(whole.size <= kProxyHeaderReadMax);
  LYCH_CHECK(whole.client.has_value() == whole.server.has_value());
  LYCH_CHECK(complete || !whole.client);
  LYCH_CHECK(!whole.client || !whole.client->address.is_unspecified());
  LYCH_CHECK(whole.outcome != ProxyOutcome::kNeedMore || bytes.size() < kProxyHeaderReadMax);
  if (complete) LYCH_CHECK(is_same(read_first(bytes, whole.size), whole));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const ReadProxy part = read_first(bytes, size);
    if (part.outcome == ProxyOutcome::kNeedMore) continue;
    LYCH_CHECK(is_same(part, whole));
    return;
  }
}

}  // namespace lychgate::fuzz
