// Fuzz target of lots of held clients: what is decoded is within its bounds, and encoded again it
// is the same bytes.

#include <algorithm>
#include <vector>

#include "core/base/check.h"
#include "core/daemon/carry.h"
#include "tests/fuzz/targets.h"

namespace lychgate::fuzz {

void fuzz_carry(std::span<const uint8_t> input) {
  std::vector<daemon::CarriedClient> clients;
  const bool good = daemon::decode_lot(input, clients);
  LYCH_CHECK(good == !clients.empty());
  if (!good) return;
  LYCH_CHECK(clients.size() <= ring::kDescriptorsPerMessage);
  std::vector<uint8_t> again;
  daemon::begin_lot(again);
  for (const daemon::CarriedClient& client : clients) {
    LYCH_CHECK(client.listener < kListenersMax && client.answer_count <= kListsMax);
    LYCH_CHECK(std::ranges::all_of(client.said(), [](const daemon::CarriedAnswer& answer) {
      return answer.cell < kListsMax;
    }));
    daemon::add_to_lot(client, again);
  }
  LYCH_CHECK(std::ranges::equal(again, input));
}

}  // namespace lychgate::fuzz
