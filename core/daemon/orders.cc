// Field after field, in the order of the structs.

#include "core/daemon/orders.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

class Out {
 public:
  explicit Out(size_t bytes) { bytes_.reserve(bytes); }
  template <typename T>
  void put(T value) {
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof(value));
  }
  void put(const IpAddress& address) {
    bytes_.insert(bytes_.end(), address.bytes.begin(), address.bytes.end());
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

// REQUIRES: never more is taken than there is; the callers check the size first.
class In {
 public:
  explicit In(std::span<const uint8_t> bytes) : rest_(bytes) {}
  template <typename T>
  T get() {
    LYCH_CHECK(rest_.size() >= sizeof(T));
    T value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  bool get_bool() { return get<uint8_t>() != 0; }
  IpAddress get_address() { return IpAddress{get<std::array<uint8_t, 16>>()}; }
  size_t left() const { return rest_.size(); }

 private:
  std::span<const uint8_t> rest_;
};

void put_row(const SessionRow& row, Out& out) {
  out.put(row.id.slot);
  out.put(row.id.generation);
  out.put(row.address);
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

SessionRow get_row(In& in) {
  SessionRow row;
  row.id.slot = in.get<uint32_t>();
  row.id.generation = in.get<uint32_t>();
  row.address = in.get_address();
  row.age = in.get<uint32_t>();
  row.port = in.get<uint16_t>();
  row.evidence = in.get<uint16_t>();
  row.score = in.get<int16_t>();
  row.phase = static_cast<Phase>(in.get<uint8_t>());
  row.listener = in.get<uint8_t>();
  row.pool = in.get<uint8_t>();
  row.backend = in.get<uint8_t>();
  row.killed = in.get_bool();
  return row;
}

}  // namespace

std::vector<uint8_t> encode(const Order& order) {
  Out out(kOrderBytes);
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
  out.put(order.filter.network.base);
  out.put(order.filter.network.prefix);
  out.put(order.filter.pool);
  out.put(order.filter.backend);
  return out.take();
}

std::optional<Order> decode_order(std::span<const uint8_t> message) {
  if (message.size() != kOrderBytes) return std::nullopt;
  In in(message);
  if (in.get<uint8_t>() != static_cast<uint8_t>(LineMessage::kOrder)) return std::nullopt;
  Order order;
  order.id = in.get<uint32_t>();
  order.from_slot = in.get<uint32_t>();
  order.slots_max = in.get<uint32_t>();
  order.filter.age_min = in.get<uint32_t>();
  const auto generation = in.get<uint32_t>();
  order.rows_max = in.get<uint16_t>();
  order.filter.phases = in.get<uint16_t>();
  order.kill = in.get_bool();
  if (in.get_bool()) order.filter.generation = generation;
  order.filter.network.base = in.get_address();
  order.filter.network.prefix = in.get<uint8_t>();
  order.filter.pool = in.get<uint8_t>();
  order.filter.backend = in.get<uint8_t>();
  const bool good = order.slots_max <= kSlotsPerOrder && order.rows_max <= kRowsPerReport &&
                    order.filter.network.prefix <= 128;
  return good ? std::optional(order) : std::nullopt;
}

std::vector<uint8_t> encode(const Report& report) {
  LYCH_CHECK(report.rows.size() <= kRowsPerReport);
  Out out(kReportHeadBytes + report.rows.size() * kRowBytes);
  out.put(static_cast<uint8_t>(LineMessage::kReport));
  out.put(report.order);
  out.put(report.next_slot);
  out.put(report.matched);
  out.put(static_cast<uint16_t>(report.rows.size()));
  for (const SessionRow& row : report.rows) put_row(row, out);
  return out.take();
}

std::optional<Report> decode_report(std::span<const uint8_t> message) {
  if (message.size() < kReportHeadBytes || message.size() > kLineMessageMax) return std::nullopt;
  In in(message);
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
