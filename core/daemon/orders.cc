// Field after field, in the order of the structs.

#include "core/daemon/orders.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/daemon/message_bytes.h"

namespace lychgate::daemon {
namespace {

void put_row(const SessionRow& row, MessageWriter& out) {
  out.put(row.id.slot);
  out.put(row.id.generation);
  out.put(row.address.bytes);
  out.put(row.age);
  out.put(row.port);
  out.put(row.evidence);
  out.put(row.score);
  out.put(static_cast<uint8_t>(row.phase));
  out.put(row.listener);
  out.put(row.pool);
  out.put(row.backend);
  out.put(uint8_t{row.killed});
}

SessionRow get_row(MessageReader& in) {
  SessionRow row;
  row.id.slot = in.get<uint32_t>();
  row.id.generation = in.get<uint32_t>();
  in.get(row.address.bytes);
  row.age = in.get<uint32_t>();
  row.port = in.get<uint16_t>();
  row.evidence = in.get<uint16_t>();
  row.score = in.get<int16_t>();
  row.phase = static_cast<Phase>(in.get<uint8_t>());
  row.listener = in.get<uint8_t>();
  row.pool = in.get<uint8_t>();
  row.backend = in.get<uint8_t>();
  row.killed = in.get<uint8_t>() != 0;
  return row;
}

}  // namespace

std::vector<uint8_t> encode(const Order& order) {
  std::vector<uint8_t> message;
  message.reserve(kOrderBytes);
  MessageWriter out(message);
  out.put(static_cast<uint8_t>(LineMessage::kOrder));
  out.put(order.id);
  out.put(order.from_slot);
  out.put(order.slots_max);
  out.put(order.filter.age_min);
  out.put(order.filter.generation.value_or(0));
  out.put(order.rows_max);
  out.put(order.filter.phases);
  out.put(uint8_t{order.kill});
  out.put(uint8_t{order.filter.generation.has_value()});
  out.put(order.filter.network.base.bytes);
  out.put(order.filter.network.prefix);
  out.put(order.filter.pool);
  out.put(order.filter.backend);
  return message;
}

std::optional<Order> decode_order(std::span<const uint8_t> message) {
  if (message.size() != kOrderBytes) return std::nullopt;
  MessageReader in(message);
  if (in.get<uint8_t>() != static_cast<uint8_t>(LineMessage::kOrder)) return std::nullopt;
  Order order;
  order.id = in.get<uint32_t>();
  order.from_slot = in.get<uint32_t>();
  order.slots_max = in.get<uint32_t>();
  order.filter.age_min = in.get<uint32_t>();
  const auto generation = in.get<uint32_t>();
  order.rows_max = in.get<uint16_t>();
  order.filter.phases = in.get<uint16_t>();
  order.kill = in.get<uint8_t>() != 0;
  if (in.get<uint8_t>() != 0) order.filter.generation = generation;
  in.get(order.filter.network.base.bytes);
  order.filter.network.prefix = in.get<uint8_t>();
  order.filter.pool = in.get<uint8_t>();
  order.filter.backend = in.get<uint8_t>();
  const bool good = order.slots_max <= kSlotsPerOrder && order.rows_max <= kRowsPerReport &&
                    order.filter.network.prefix <= 128;
  return good ? std::optional(order) : std::nullopt;
}

std::vector<uint8_t> encode(const Report& report) {
  LYCH_CHECK(report.rows.size() <= kRowsPerReport);
  std::vector<uint8_t> message;
  message.reserve(kReportHeadBytes + report.rows.size() * kRowBytes);
  MessageWriter out(message);
  out.put(static_cast<uint8_t>(LineMessage::kReport));
  out.put(report.order);
  out.put(report.next_slot);
  out.put(report.matched);
  out.put(static_cast<uint16_t>(report.rows.size()));
  for (const SessionRow& row : report.rows) put_row(row, out);
  return message;
}

std::optional<Report> decode_report(std::span<const uint8_t> message) {
  if (message.size() < kReportHeadBytes || message.size() > kLineMessageMax) return std::nullopt;
  MessageReader in(message);
  if (in.get<uint8_t>() != static_cast<uint8_t>(LineMessage::kReport)) return std::nullopt;
  Report report;
  report.order = in.get<uint32_t>();
  report.next_slot = in.get<uint32_t>();
  report.matched = in.get<uint32_t>();
  const auto rows = in.get<uint16_t>();
  if (in.left() != rows * kRowBytes) return std::nullopt;
  for (uint16_t i = 0; i < rows; ++i) {
    report.rows.push_back(get_row(in));
    if (static_cast<size_t>(report.rows.back().phase) >= kPhaseCount) return std::nullopt;
  }
  return report;
}

bool matches(const SessionFilter& filter, const Slot& slot, Tick now) {
  if (slot.phase == Phase::kFree || (slot.evidence & kOurSocket) != 0) return false;
  if ((filter.phases >> static_cast<unsigned>(slot.phase) & 1) == 0) return false;
  if (filter.generation && *filter.generation != slot.generation) return false;
  if (now - slot.started < filter.age_min) return false;
  return filter.network.prefix == 0 || filter.network.contains(slot.address);
}

}  // namespace lychgate::daemon
