// DNS lists for the clients of one shard: asks, joins, caches, scores, and says whose score can no
// longer change. Joins the resolver, the table of answers, the scoring and the watch over the
// lists; decides about no client. Serves `lychgate why` and `check --online` as well.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/admission/score.h"
#include "core/base/lists_shared.h"
#include "core/config/lists.h"
#include "core/daemon/carry.h"
#include "core/daemon/list_watch.h"
#include "core/daemon/lists_plan.h"
#include "dns/inquiries.h"
#include "dns/resolver.h"

namespace lychgate::daemon {

struct LookupsParts {
  const config::Config& config;
  const ListsPlan& plan;
  ring::Connections& connections;
  SharedLists& shared;
  std::span<const ShardCounters> counters;  // of all shards
  ShardCounters& mine;
  bool watching = false;         // this shard probes for all
  std::span<const int> sockets;  // connected UDP sockets, dns.sockets of each server in turn
  SipKey key{};
};

class Lookups {
 public:
  static Result<std::unique_ptr<Lookups>> create(const LookupsParts& parts, Tick now);

  void start() { resolver_->start(); }
  // The client begins to wait for what the lists say about its address, until leave(). When that is
  // certain already it is among the decided at once.
  void ask(uint32_t slot, Tick now);
  void leave(uint32_t slot) { inquiries_.leave(slot); }
  enum class Prefetched : uint8_t {
    kAsked,
    kKnown,   // nothing to ask, or clients of this address wait already
    kNoRoom,  // for questions that nobody waits for yet
  };
  // For a client that another shard takes over: what the lists have said of it. Returns how many.
  uint8_t tell(uint32_t slot, std::array<CarriedAnswer, kListsMax>& into) const;
  // ask(), for one that has waited elsewhere, where lists have told this.
  void take_over(uint32_t slot, std::span<const CarriedAnswer> answers, Tick now);
  // A client that was about to go waits on; that it was decided may have been overlooked.
  void come_back(uint32_t slot) { decided_.push_back(slot); }
  size_t list_count() const { return lists_.size(); }
  // Another shard probes from now on; what the lists say goes on being taken from the boards.
  void stop_watching() { watch_.reset(); }
  // Whether prefetch() may ask now.
  bool has_room_to_prefetch() const;
  // A client of this address is on its way: asks, so that it will find the answers.
  Prefetched prefetch(const IpAddress& address, Tick now);

  // The client that waited in `from` is in `to` now. REQUIRES: the slot there has its address.
  void move(uint32_t from, uint32_t to);

  struct Sum {
    int16_t score = 0;
    admission::Standing standing = admission::Standing::kOpen;
  };
  // Where the kernel holds, open until the reason for a refusal is there too, or cannot be had.
  // REQUIRES: the client waits.
  Sum sum(uint32_t slot) const;
  // One list's part in a sum.
  struct Part {
    uint8_t list = 0;
    int16_t weight = 0;
    uint32_t code = 0;
    uint32_t ttl = 0;  // seconds left
  };
  using Parts = std::array<Part, kListsMax>;
  // What counted for a waiting client, the heaviest reason against it first. Returns how many.
  size_t parts(uint32_t slot, Parts& into) const;
  // The TXT reason of one of these; empty: not asked for, or not had.
  std::string_view reason(uint32_t slot, uint32_t list) const;

  // For how many seconds what the lists say of a waiting client holds: the shortest life of their
  // answers; 1 when some answer is missing that can change nothing, 0 when one that can.
  uint32_t good_for(uint32_t slot) const;

  // A completion of one of the kDns operations (connections taken).
  void complete(const ring::Completion& completion, Tick now);
  // Once a turn, after the completions: deadlines, probes, and what is to be sent.
  void advance(Tick now, WallTime wall);
  // A client whose standing has become final.
  std::optional<uint32_t> next_decided();
  std::optional<std::string> next_line();
  std::optional<Tick> next_wake(Tick now) const;

  // For `why`: one list's answer about a waiting client's address.
  const dns::ListAnswer& answer(uint32_t slot, uint32_t list) const;
  // How long an answer is good, as of the last turn; 0: no longer.
  uint32_t seconds_left(const dns::ListAnswer& answer) const;
  const ListWatch* watch() const { return watch_ ? &*watch_ : nullptr; }
  const dns::Resolver& resolver() const { return *resolver_; }
  const dns::Inquiries& inquiries() const { return inquiries_; }

 private:
  enum class Purpose : uint8_t { kClient, kProbe, kReason };
  // How far a record is.
  enum class Told : uint8_t { kNo, kReasonAsked, kYes };
  struct Note {
    uint32_t generation = 0;  // of the record it was written for
    Told told = Told::kNo;
    uint16_t reason = 0;  // index into reasons_
  };
  struct Reason {
    dns::InquiryId of;
    uint8_t list = 0;
    uint8_t size = 0;
    std::array<char, dns::kTextBytesMax> text{};
  };
  // A list as this shard sees it now; copied from the boards when their version changes.
  struct View {
    ListState state = ListState::kUnproven;
    uint8_t epoch = 0;
  };

  Lookups(const LookupsParts& parts, std::unique_ptr<dns::Resolver> resolver, Tick now);
  // Lists of a record, one bit each or counted.
  struct Marked {
    uint32_t to_ask = 0;
    uint32_t joined = 0;
    uint32_t cached = 0;
  };
  Marked mark(uint32_t record, uint32_t longer);
  void fill_in(uint32_t record, const CarriedAnswer& told);
  void ask_lists(uint32_t record, uint32_t to_ask, Tick now);
  void ask_list(uint32_t record, uint32_t list, dns::RecordType type, Tick now);
  void settle(const dns::Outcome& outcome, Tick now);
  void settle_client(const dns::Outcome& outcome);
  void settle_probe(const dns::Outcome& outcome, Tick now);
  void settle_reason(const dns::Outcome& outcome);
  void count(const dns::Outcome& outcome);
  ListCounters& counts_of(uint32_t list) { return mine_.lists[config_.cells.lists[list]]; }
  void keep_time(Tick now);
  uint32_t second() const;
  Note& note_of(uint32_t record);
  void evaluate(uint32_t record);
  void ask_reasons(Tick now);
  void forget_reason(uint32_t record);
  void tell_all(uint32_t record);
  Sum sum_of(uint32_t record) const;
  size_t parts_of(uint32_t record, Parts& into) const;
  bool has_reason(uint32_t record) const;
  bool may_go_on(admission::Standing standing) const;
  // Answered since the list was last disabled.
  bool is_current(uint32_t list, const dns::ListAnswer& answer) const;
  bool may_ask(uint32_t list, const IpAddress& address) const;
  void look_at_boards();

  const config::Config& config_;
  const SlotTable& slots_;
  std::span<const config::List> lists_;
  SharedLists& shared_;
  ShardCounters& mine_;
  std::unique_ptr<dns::Resolver> resolver_;
  dns::Inquiries inquiries_;
  std::optional<ListWatch> watch_;
  std::array<View, kListsMax> views_{};
  uint32_t version_ = 0;
  bool unproven_ = false;    // some list is
  std::vector<Note> notes_;  // one a record
  std::vector<Reason> reasons_;
  uint16_t next_reason_ = 0;
  std::vector<uint32_t> decided_;         // slots, drained every turn
  std::vector<uint32_t> reasons_wanted_;  // records, drained every turn
  WallTime wall_{};
  bool kernel_holds_;  // clients have waited when they come
  // Milliseconds that never wrap: answers may lie here for longer than a tick goes round.
  uint64_t clock_ms_ = 0;
  Tick seen_;
};

}  // namespace lychgate::daemon
