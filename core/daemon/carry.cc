// Field after field, in the order that the header draws.

#include "core/daemon/carry.h"

#include "core/base/slots.h"
#include "core/daemon/message_bytes.h"

namespace lychgate::daemon {
namespace {

bool get_answers(MessageReader& in, CarriedClient& client) {
  if (client.answer_count > kListsMax) return false;
  if (in.left() < client.answer_count * kCarriedAnswerBytes) return false;
  for (uint8_t i = 0; i < client.answer_count; ++i) {
    CarriedAnswer& answer = client.answers[i];
    in.get(answer.code);
    in.get(answer.seconds);
    in.get(answer.weight);
    in.get(answer.cell);
    in.get(answer.epoch);
    if (answer.cell >= kListsMax) return false;
  }
  return true;
}

bool get_client(MessageReader& in, CarriedClient& client) {
  if (in.left() < kCarriedClientBytes) return false;
  in.get(client.address.bytes);
  in.get(client.started);
  in.get(client.deadline);
  in.get(client.port);
  in.get(client.evidence);
  in.get(client.score);
  in.get(client.listener);
  in.get(client.past);
  in.get(client.answer_count);
  // Nobody waits who has hung up, and our own sockets do not wait at all.
  if ((client.evidence & (kHungUp | kOurSocket)) != 0) return false;
  if (client.listener >= kListenersMax) return false;
  return get_answers(in, client);
}

}  // namespace

bool may_carry(config::Hold from, config::Hold to) {
  return from == to;
}

void begin_lot(std::vector<uint8_t>& message) {
  message.assign(1, kLotVersion);
}

void add_to_lot(const CarriedClient& client, std::vector<uint8_t>& message) {
  MessageWriter out(message);
  out.put(client.address.bytes);
  out.put(client.started);
  out.put(client.deadline);
  out.put(client.port);
  out.put(client.evidence);
  out.put(client.score);
  out.put(client.listener);
  out.put(client.past);
  out.put(client.answer_count);
  for (const CarriedAnswer& answer : client.said()) {
    out.put(answer.code);
    out.put(answer.seconds);
    out.put(answer.weight);
    out.put(answer.cell);
    out.put(answer.epoch);
  }
}

bool decode_lot(std::span<const uint8_t> message, std::vector<CarriedClient>& clients) {
  clients.clear();
  if (message.size() <= kLotHeadBytes || message.size() > kLotBytesMax) return false;
  if (message[0] != kLotVersion) return false;
  MessageReader in(message.subspan(kLotHeadBytes));
  while (in.left() > 0) {
    const bool good =
        clients.size() < ring::kDescriptorsPerMessage && get_client(in, clients.emplace_back());
    if (good) continue;
    clients.clear();
    return false;
  }
  return true;
}

}  // namespace lychgate::daemon
