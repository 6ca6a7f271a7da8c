// Records are handed out in order until all have an address, so that memory is touched only as far
// as the gate was ever busy; from then on the one that nobody has waited on for longest is given to
// the next address. Everything is chained by index.

#include "dns/inquiries.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

#include "core/base/slots.h"

namespace lychgate::dns {

constexpr uint32_t kNoRecord = InquiryId::kNoRecord;
// Link knows one "none" for both.
static_assert(kNoRecord == kNoSlot);

void* Inquiries::reserve(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  LYCH_CHECK(memory != MAP_FAILED);
  return memory;
}

void Inquiries::give_back(void* memory, size_t bytes) {
  munmap(memory, bytes);
}

Inquiries::Inquiries(const InquiriesOptions& options)
    : lists_(options.lists),
      key_(options.key),
      records_(size_t{options.slots} + options.cached),
      answers_(records_.size() * options.lists),
      waiters_(options.slots),
      buckets_(std::bit_ceil(records_.size())) {
  LYCH_CHECK(options.slots >= 1 && options.slots <= kSlotsMax);
  LYCH_CHECK(options.lists >= 1 && options.lists <= kListsMax);
  LYCH_CHECK(records_.size() < kNoRecord / 2);  // so that buckets are counted in 32 bits
}

uint32_t Inquiries::join(uint32_t slot, const IpAddress& address) {
  Waiter& waiter = waiters_[slot];
  LYCH_CHECK(waiter.record.get() == kNoRecord);
  const uint32_t bucket = bucket_of(address);
  uint32_t index = find_in(bucket, address);
  if (index == kNoRecord) {
    index = make(bucket, address);
    append(awaited_, index);
  } else if (records_[index].first_waiter.get() == kNoSlot) {
    remove(kept_, index);
    append(awaited_, index);
  }
  Record& record = records_[index];
  waiter.record.set(index);
  waiter.prev.set(kNoSlot);
  waiter.next = record.first_waiter;
  if (waiter.next.get() != kNoSlot) waiters_[waiter.next.get()].prev.set(slot);
  record.first_waiter.set(slot);
  ++waiting_;
  return index;
}

uint32_t Inquiries::keep(const IpAddress& address) {
  const uint32_t bucket = bucket_of(address);
  uint32_t index = find_in(bucket, address);
  if (index == kNoRecord) {
    if (known_ == records_.size() && kept_.first.get() == kNoRecord) return kNoRecord;
    index = make(bucket, address);
  } else if (records_[index].first_waiter.get() == kNoSlot) {
    remove(kept_, index);
  } else {
    return index;
  }
  append(kept_, index);
  return index;
}

void Inquiries::leave(uint32_t slot) {
  Waiter& waiter = waiters_[slot];
  const uint32_t index = waiter.record.get();
  if (index == kNoRecord) return;
  Record& record = records_[index];
  const uint32_t next = waiter.next.get();
  const uint32_t prev = waiter.prev.get();
  if (next != kNoSlot) waiters_[next].prev.set(prev);
  (prev == kNoSlot ? record.first_waiter : waiters_[prev].next).set(next);
  waiter.record.set(kNoRecord);
  --waiting_;
  if (record.first_waiter.get() != kNoSlot) return;
  remove(awaited_, index);
  append(kept_, index);
}

uint32_t Inquiries::record_of(uint32_t slot) const {
  return waiters_[slot].record.get();
}

InquiryId Inquiries::id(uint32_t record) const {
  LYCH_CHECK(record < known_);
  return {record, records_[record].generation};
}

std::optional<uint32_t> Inquiries::find(InquiryId id) const {
  if (id.index >= known_ || records_[id.index].generation != id.generation) return std::nullopt;
  return id.index;
}

std::optional<uint32_t> Inquiries::find(const IpAddress& address) const {
  const uint32_t record = find_in(bucket_of(address), address);
  if (record == kNoRecord) return std::nullopt;
  return record;
}

const IpAddress& Inquiries::address(uint32_t record) const {
  LYCH_CHECK(record < known_);
  return records_[record].address;
}

std::span<ListAnswer> Inquiries::answers(uint32_t record) {
  LYCH_CHECK(record < known_);
  return {&answers_[size_t{record} * lists_], lists_};
}

std::span<const ListAnswer> Inquiries::answers(uint32_t record) const {
  LYCH_CHECK(record < known_);
  return {&answers_[size_t{record} * lists_], lists_};
}

uint32_t Inquiries::first_waiter(uint32_t record) const {
  LYCH_CHECK(record < known_);
  return records_[record].first_waiter.get();
}

uint32_t Inquiries::next_waiter(uint32_t slot) const {
  LYCH_CHECK(record_of(slot) != kNoRecord);
  return waiters_[slot].next.get();
}

uint32_t Inquiries::first_awaited() const {
  return awaited_.first.get();
}

uint32_t Inquiries::next_awaited(uint32_t record) const {
  LYCH_CHECK(first_waiter(record) != kNoSlot);
  return records_[record].next.get();
}

uint32_t Inquiries::bucket_of(const IpAddress& address) const {
  return static_cast<uint32_t>(siphash(key_, address.bytes) & (buckets_.size() - 1));
}

uint32_t Inquiries::find_in(uint32_t bucket, const IpAddress& address) const {
  uint32_t record = buckets_[bucket].get();
  while (record != kNoRecord && records_[record].address != address) {
    record = records_[record].chained.get();
  }
  return record;
}

// A record of nothing but the address, in no list.
uint32_t Inquiries::make(uint32_t bucket, const IpAddress& address) {
  const uint32_t index = known_ < records_.size() ? known_++ : evict();
  Record& record = records_[index];
  record.address = address;
  record.bucket = bucket;
  record.chained = buckets_[bucket];
  buckets_[bucket].set(index);
  std::ranges::fill(answers(index), ListAnswer{});
  return index;
}

uint32_t Inquiries::evict() {
  // Each client waits on one record at most and the one that joins on none: with as many records
  // as slots, one at least is not awaited.
  const uint32_t index = kept_.first.get();
  LYCH_CHECK(index != kNoRecord);
  remove(kept_, index);
  Record& record = records_[index];
  Link* link = &buckets_[record.bucket];
  while (link->get() != index) link = &records_[link->get()].chained;
  *link = record.chained;
  ++record.generation;
  ++evicted_;
  return index;
}

void Inquiries::append(RecordList& list, uint32_t index) {
  Record& record = records_[index];
  record.next.set(kNoRecord);
  record.prev = list.last;
  const uint32_t last = list.last.get();
  (last == kNoRecord ? list.first : records_[last].next).set(index);
  list.last.set(index);
}

void Inquiries::remove(RecordList& list, uint32_t index) {
  const Record& record = records_[index];
  const uint32_t next = record.next.get();
  const uint32_t prev = record.prev.get();
  (prev == kNoRecord ? list.first : records_[prev].next).set(next);
  (next == kNoRecord ? list.last : records_[next].prev).set(prev);
}

void Inquiries::check_invariants() const {
  for (uint32_t record = 0; record < known_; ++record) check_record(record);
  LYCH_CHECK(check_list(kept_) + check_list(awaited_) == known_);
  uint32_t awaited_by = 0;
  for (uint32_t record = first_awaited(); record != kNoRecord; record = next_awaited(record)) {
    awaited_by += check_waiters(record);
  }
  LYCH_CHECK(awaited_by == waiting_);
  uint32_t waiting = 0;
  for (uint32_t slot = 0; slot < waiters_.size(); ++slot) {
    if (record_of(slot) != kNoRecord) ++waiting;
  }
  LYCH_CHECK(waiting == waiting_);
  LYCH_CHECK(evicted_ == 0 || known_ == records_.size());
}

// The index leads to the record, in as many steps as there are records at most.
void Inquiries::check_record(uint32_t record) const {
  const uint32_t bucket = bucket_of(records_[record].address);
  LYCH_CHECK(records_[record].bucket == bucket);
  uint32_t at = buckets_[bucket].get();
  for (uint32_t steps = 0; at != record; ++steps) {
    LYCH_CHECK(at < known_ && steps < known_);
    LYCH_CHECK(records_[at].address != records_[record].address);
    at = records_[at].chained.get();
  }
}

uint32_t Inquiries::check_list(const RecordList& list) const {
  const bool awaited = &list == &awaited_;
  uint32_t count = 0;
  uint32_t prev = kNoRecord;
  for (uint32_t at = list.first.get(); at != kNoRecord; at = records_[at].next.get()) {
    LYCH_CHECK(at < known_ && count < known_);
    LYCH_CHECK(records_[at].prev.get() == prev);
    LYCH_CHECK((records_[at].first_waiter.get() != kNoSlot) == awaited);
    prev = at;
    ++count;
  }
  LYCH_CHECK(list.last.get() == prev);
  return count;
}

uint32_t Inquiries::check_waiters(uint32_t record) const {
  uint32_t count = 0;
  uint32_t prev = kNoSlot;
  for (uint32_t slot = first_waiter(record); slot != kNoSlot; slot = next_waiter(slot)) {
    LYCH_CHECK(count < waiters_.size());
    LYCH_CHECK(record_of(slot) == record && waiters_[slot].prev.get() == prev);
    prev = slot;
    ++count;
  }
  return count;
}

}  // namespace lychgate::dns
