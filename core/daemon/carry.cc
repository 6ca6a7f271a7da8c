// Field after field, in the order that the header draws.

#include "core/daemon/carry.h"

#include <algorithm>

#include "core/base/slots.h"
#include "core/daemon/message_bytes.h"

namespace lychgate::daemon {
namespace {

// Every field once, for both ways.
template <typename Answer, typename Step>
void each_field_of_answer(Answer& answer, const Step& step) {
  step(answer.code);
  step(answer.seconds);
  step(answer.weight);
  step(answer.cell);
  step(answer.epoch);
}

template <typename Client, typename Step>
void each_field(Client& client, const Step& step) {
  step(client.address.bytes);
  step(client.started);
  step(client.deadline);
  step(client.port);
  step(client.evidence);
  step(client.score);
  step(client.listener);
  step(client.past);
  step(client.answer_count);
}

bool get_answers(MessageReader& in, CarriedClient& client) {
  if (client.answer_count > kListsMax) return false;
  if (in.left() < client.answer_count * kCarriedAnswerBytes) return false;
  for (uint8_t i = 0; i < client.answer_count; ++i) {
    CarriedAnswer& answer = client.answers[i];
    each_field_of_answer(answer, [&in](auto& field) { in.get(field); });
    if (answer.cell >= kListsMax) return false;
  }
  return true;
}

bool get_client(MessageReader& in, CarriedClient& client) {
  if (in.left() < kCarriedClientBytes) return false;
  each_field(client, [&in](auto& field) { in.get(field); });
  // Nobody waits who has hung up, and our own sockets do not wait at all.
  if ((client.evidence & (kHungUp | kOurSocket)) != 0) return false;
  if (client.listener >= kListenersMax) return false;
  return get_answers(in, client);
}

}  // namespace

bool may_carry(config::Hold from, config::Hold to) {
  return from == to;
}

milliseconds longest_silence(const config::Config& config) {
  return std::max(config.greet.wait, config.dns.timeout);
}

void begin_lot(std::vector<uint8_t>& message) {
  message.assign(1, kLotVersion);
}

void add_to_lot(const CarriedClient& client, std::vector<uint8_t>& message) {
  MessageWriter out(message);
  const auto put = [&out](const auto& field) { out.put(field); };
  each_field(client, put);
  for (const CarriedAnswer& answer : client.said()) each_field_of_answer(answer, put);
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
