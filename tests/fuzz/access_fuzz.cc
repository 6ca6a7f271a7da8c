// Fuzz target of an access list's image: whatever is taken for one is read within its bytes, and
// every client gets one of the results.

#include <array>
#include <cstring>
#include <vector>

#include "core/admission/access_list.h"
#include "core/base/check.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {

void fuzz_access_image(std::span<const uint8_t> input) {
  struct alignas(admission::kTableAlignment) Line {
    std::array<uint8_t, admission::kTableAlignment> bytes;
  };
  // Aligned as a mapping is, and ended by the sanitizer's guard when the input is whole lines.
  std::vector<Line> lines((input.size() + sizeof(Line) - 1) / sizeof(Line));
  if (!input.empty()) std::memcpy(lines.data(), input.data(), input.size());
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(lines.data()),
                                       input.size());
  const auto list = admission::AccessList::from_image(bytes);
  if (!list) return;
  LYCH_CHECK(list->image().data() == bytes.data() && list->bytes() == bytes.size());
  // The edges of both families, and addresses that the input chooses.
  std::array<IpAddress, 8> clients{};
  clients[0] = IpAddress::from_v4(0);
  clients[1] = IpAddress::from_v4(~uint32_t{0});
  clients[2].bytes.fill(0xff);
  for (size_t i = 4; i < clients.size(); ++i) {
    IpAddress& client = clients[i];
    std::memcpy(client.bytes.data(), bytes.data() + bytes.size() - 16 * i, client.bytes.size());
    if (i % 2 == 0) client = IpAddress::from_v4(static_cast<uint32_t>(client.low()));
  }
  for (const IpAddress& client : clients) {
    LYCH_CHECK(list->lookup(client) <= admission::AccessResult::kReject);
  }
}

}  // namespace lychgate::fuzz
