// What the lists have said about addresses: one record an address, shared by all its clients and
// kept after they have gone, for as long as an answer's TTL allows. Joins, caches and forgets; asks
// nothing, scores nothing, knows clients only as slot numbers that it is told to let go.
// All memory is reserved at start; untouched records cost nothing.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/siphash.h"
#include "core/base/time.h"

namespace lychgate::dns {

enum class AnswerState : uint8_t {
  kNone,      // not asked, or the answer has been too long ago
  kAsked,     // a query is in flight or queued; weight: what counts until it is answered
  kAnswered,  // good until `expires`
  kFailed,    // asked, and nothing came of it; the next client asks again
};

// What one list said about one address. 12 bytes: there is one for each list and address.
struct ListAnswer {
  uint32_t code = 0;     // the A record that counted most, host byte order; 0: none
  uint32_t expires = 0;  // kAnswered: second of the asker's clock, which must not wrap
  int16_t weight = 0;    // what it is worth
  AnswerState state = AnswerState::kNone;
  uint8_t epoch = 0;  // of the list's board when it was answered
};
static_assert(sizeof(ListAnswer) == 12);

// Names a record; stale once the record was given to another address.
struct InquiryId {
  uint32_t index = kNoRecord;
  uint32_t generation = 0;
  static constexpr uint32_t kNoRecord = 0xffffffff;
  bool operator==(const InquiryId&) const = default;
};

struct InquiriesOptions {
  uint32_t slots = 0;   // clients that may wait: slot numbers are below it
  uint32_t cached = 0;  // records beyond those in use, for clients that come back
  uint32_t lists = 0;   // 1..kListsMax
  SipKey key{};         // of the index, so that nobody can choose its bucket
};

class Inquiries {
 public:
  explicit Inquiries(const InquiriesOptions& options);

  // The record of the client's address, made when there is none; the client waits on it until
  // leave(). There is always room: slots + cached records, and each client waits on one at most.
  // REQUIRES: the slot waits on nothing.
  uint32_t join(uint32_t slot, const IpAddress& address);
  // The record of an address that a client is expected from, made when there is none and kept as if
  // its client had just left. kNoRecord: somebody waits on every record.
  uint32_t keep(const IpAddress& address);
  // No effect when the slot waits on nothing.
  void leave(uint32_t slot);
  // kNoRecord when the slot waits on nothing.
  uint32_t record_of(uint32_t slot) const;

  InquiryId id(uint32_t record) const;
  // nullopt: the record belongs to another address now.
  std::optional<uint32_t> find(InquiryId id) const;
  std::optional<uint32_t> find(const IpAddress& address) const;
  const IpAddress& address(uint32_t record) const;
  std::span<ListAnswer> answers(uint32_t record);
  std::span<const ListAnswer> answers(uint32_t record) const;

  // Clients that wait on a record, in no order; kNoSlot ends. leave() of the one just seen is
  // allowed once the next has been asked for.
  uint32_t first_waiter(uint32_t record) const;
  uint32_t next_waiter(uint32_t slot) const;
  // Records that somebody waits on, for changes that concern all: kNoRecord ends.
  uint32_t first_awaited() const;
  uint32_t next_awaited(uint32_t record) const;

  uint32_t waiting() const { return waiting_; }  // clients
  uint32_t known() const { return known_; }      // records that hold an address
  uint64_t evicted() const { return evicted_; }  // records taken from an address for another

  // Walks everything and checks the links; for tests.
  void check_invariants() const;

 private:
  // Zeroed memory, reserved whole and paid for only where it is written. Ends the process when the
  // address space cannot be had, as any container at start would.
  // T: all bits zero is a valid value.
  template <typename T>
  class Reserved {
   public:
    explicit Reserved(size_t count)
        : items_(static_cast<T*>(reserve(count * sizeof(T)))), count_(count) {}
    Reserved(const Reserved&) = delete;
    Reserved& operator=(const Reserved&) = delete;
    ~Reserved() { give_back(items_, count_ * sizeof(T)); }
    size_t size() const { return count_; }
    T& operator[](size_t i) {
      LYCH_CHECK(i < count_);
      return items_[i];
    }
    const T& operator[](size_t i) const {
      LYCH_CHECK(i < count_);
      return items_[i];
    }

   private:
    T* items_;
    size_t count_;
  };
  static void* reserve(size_t bytes);
  static void give_back(void* memory, size_t bytes);

  // An index in reserved memory: nothing written means none (kNoRecord, which is kNoSlot).
  struct Link {
    uint32_t plus_one = 0;
    uint32_t get() const { return plus_one - 1; }
    void set(uint32_t index) { plus_one = index + 1; }
  };
  struct Record {
    IpAddress address;
    uint32_t generation = 0;
    uint32_t bucket = 0;
    Link chained;  // next of the bucket
    Link next;     // of kept_ or awaited_
    Link prev;
    Link first_waiter;  // none: in kept_, else in awaited_
  };
  struct Waiter {
    Link record;  // none: waits on nothing
    Link next;
    Link prev;
  };
  struct RecordList {
    Link first;
    Link last;
  };

  uint32_t bucket_of(const IpAddress& address) const;
  uint32_t find_in(uint32_t bucket, const IpAddress& address) const;
  uint32_t make(uint32_t bucket, const IpAddress& address);
  uint32_t evict();
  void append(RecordList& list, uint32_t record);
  void remove(RecordList& list, uint32_t record);
  void check_record(uint32_t record) const;
  uint32_t check_list(const RecordList& list) const;
  uint32_t check_waiters(uint32_t record) const;

  uint32_t lists_;
  SipKey key_;
  Reserved<Record> records_;  // the first known_ of them hold an address
  Reserved<ListAnswer> answers_;
  Reserved<Waiter> waiters_;  // by slot
  Reserved<Link> buckets_;    // a power of two, at least one a record
  RecordList kept_;           // nobody waits; the least recently used first
  RecordList awaited_;
  uint32_t waiting_ = 0;
  uint32_t known_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace lychgate::dns
