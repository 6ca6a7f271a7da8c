// Slot array in one anonymous mapping, touched whole at the start, with the address index woven
// into it: bucket heads and counting cells are fields of the slots, chained by index, cells on a
// free list.

#include "core/base/slots.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/limits.h"

namespace lychgate {

const char* const kPhaseNames[kPhaseCount] = {
    "free",  "proxy",  "silent_wait", "looking", "moving",  "dialogue", "queued", "handoff",
    "relay", "tarpit", "replying",    "linger",  "backend", "retiring", "closing"};

Result<SlotTable> SlotTable::create(uint32_t count, const SipKey& key) {
  LYCH_CHECK(count >= kSlotsMin && count <= kSlotsMax);
  const size_t bytes = size_t{count} * sizeof(Slot);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot reserve {} bytes for {} connection slots: {}; lower "
                            "limits.per_shard or add memory",
                            bytes, count, errno_text(errno)));
  }
  // Clients are met in no order, so each touches lines all over the table: with large pages a
  // million's lives take a quarter less user time (docs/benchmarks.md). Refused, it works as well.
  madvise(memory, bytes, MADV_HUGEPAGE);
  auto* slots = static_cast<Slot*>(memory);
  for (uint32_t i = 0; i < count; ++i) new (&slots[i]) Slot();
  return SlotTable(slots, count, key);
}

SlotTable::SlotTable(Slot* slots, uint32_t size, const SipKey& key)
    : slots_(slots), size_(size), key_(key) {
  for (uint32_t i = size; i-- > 0;) {
    slots_[i].cell.next = free_cell_;
    free_cell_ = i;
  }
}

SlotTable::SlotTable(SlotTable&& other) noexcept
    : slots_(std::exchange(other.slots_, nullptr)),
      size_(other.size_),
      used_(other.used_),
      free_cell_(other.free_cell_),
      key_(other.key_) {}

SlotTable::~SlotTable() {
  if (slots_ != nullptr) munmap(slots_, size_t{size_} * sizeof(Slot));
}

Slot& SlotTable::open(uint32_t index, Phase phase) {
  Slot& slot = (*this)[index];
  LYCH_CHECK(slot.phase == Phase::kFree && phase != Phase::kFree);
  slot.address = IpAddress{};
  slot.started = 0;
  slot.transfer = kNoSlot;
  slot.port = 0;
  slot.evidence = 0;
  slot.score = 0;
  slot.listener = 0;
  slot.in_flight = 0;
  slot.past = 0;
  slot.misconduct = 0;
  slot.phase = phase;
  ++used_;
  return slot;
}

void SlotTable::release(uint32_t index) {
  Slot& slot = (*this)[index];
  LYCH_CHECK(slot.phase != Phase::kFree);
  LYCH_CHECK(slot.in_flight == 0 && slot.timer_home == TimerHome::kNone);
  slot.phase = Phase::kFree;
  ++slot.generation;
  LYCH_CHECK(used_ > 0);
  --used_;
}

SlotTable::Place SlotTable::place_of(const IpAddress& address) const {
  const uint64_t hash = siphash(key_, address.bytes);
  const auto high = static_cast<uint32_t>(hash >> 32);
  // Multiply-shift maps the high half to 0..size-1; the low half tells clients of a bucket apart.
  return {static_cast<uint32_t>((uint64_t{high} * size_) >> 32), static_cast<uint32_t>(hash)};
}

uint32_t SlotTable::find_cell(Place place) const {
  uint32_t cell = slots_[place.bucket].cell.bucket_head;
  while (cell != kNoSlot && slots_[cell].cell.fingerprint != place.fingerprint) {
    cell = slots_[cell].cell.next;
  }
  return cell;
}

uint32_t SlotTable::address_add(const IpAddress& address) {
  const Place place = place_of(address);
  uint32_t cell = find_cell(place);
  if (cell == kNoSlot) {
    // There are as many cells as slots and each counted client has a slot, so one is free.
    LYCH_CHECK(free_cell_ != kNoSlot);
    cell = free_cell_;
    AddressCell& taken = slots_[cell].cell;
    free_cell_ = taken.next;
    taken.fingerprint = place.fingerprint;
    taken.next = slots_[place.bucket].cell.bucket_head;
    slots_[place.bucket].cell.bucket_head = cell;
    slots_[cell].cell_count = 0;
  }
  LYCH_CHECK(slots_[cell].cell_count < UINT16_MAX);
  return ++slots_[cell].cell_count;
}

uint32_t SlotTable::address_drop(const IpAddress& address) {
  const Place place = place_of(address);
  const uint32_t cell = find_cell(place);
  LYCH_CHECK(cell != kNoSlot && slots_[cell].cell_count > 0);
  if (--slots_[cell].cell_count > 0) return slots_[cell].cell_count;
  uint32_t* link = &slots_[place.bucket].cell.bucket_head;
  while (*link != cell) link = &slots_[*link].cell.next;
  *link = slots_[cell].cell.next;
  slots_[cell].cell.next = free_cell_;
  free_cell_ = cell;
  return 0;
}

uint32_t SlotTable::address_count(const IpAddress& address) const {
  const uint32_t cell = find_cell(place_of(address));
  return cell == kNoSlot ? 0 : slots_[cell].cell_count;
}

}  // namespace lychgate
