// One simulated client: comes, speaks, reads and goes as its script says, and keeps the ledger of
// what the gate did to it. A client judges its own fate; it knows nothing of how the gate works
// inside.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/smtp/replies.h"
#include "tests/sim/actor.h"
#include "tests/sim/memory.h"
#include "tests/sim/route_book.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {

enum class Reading : uint8_t { kPrompt, kSlow, kNever };
enum class Leaving : uint8_t { kEnd, kLeave, kReset };  // FIN, close, RST
enum class Finish : uint8_t {
  kEndAndRead,  // FIN after the last byte, then reads to the end
  kAfterThem,   // waits for the server to end
  kLeave,       // closes at once
  kReset,
  kNothing,  // stays, silent
};

struct ClientScript {
  Endpoint from;
  Endpoint to;
  uint32_t listener = 0;  // index into Config::listens
  int listener_fd = -1;
  Time arrives = 0;
  Reading reading = Reading::kPrompt;
  Finish finish = Finish::kEndAndRead;
  std::optional<Time> speaks_early;  // after its arrival
  uint64_t early_bytes = 0;
  uint64_t total = 0;        // bytes of its stream
  size_t chunk = 1;          // written at once, at most
  Time pace = 1;             // between chunks, at most
  std::optional<Time> goes;  // in the middle of whatever it is, after its arrival
  Leaving leaving = Leaving::kEnd;

  bool polite() const {
    return reading == Reading::kPrompt && !goes &&
           (finish == Finish::kEndAndRead || finish == Finish::kAfterThem);
  }
};

// What clients share: how many are open at the gate, as the limits count them, and what the DNS
// lists say of them.
struct Crowd {
  std::map<std::string, uint32_t> of_address;
  uint32_t clients = 0;
  uint64_t elsewhere = 0;  // held by other shards
  const ListBook* lists = nullptr;
  const Memory* memory = nullptr;        // nullptr: nobody is remembered
  std::map<std::string, uint32_t> ever;  // accepted so far, by address
  std::map<std::string, uint32_t> syns;  // sent so far
};

class Client : public Actor {
 public:
  Client(Stage& stage, const Scenario& scenario, Crowd& crowd, uint32_t index,
         const ClientScript& script);

  // syn_told: the gate's SYN feed has its address.
  void come(bool syn_told);

  // What the gate did.
  void accepted() override;
  void looked(int result) override;
  void hand_off_begins() override;
  // A backend of this pool is asked to serve it.
  void offered_to(const config::Pool& pool);
  void written(ring::Op op, std::span<const char> bytes) override;
  void let_go() override;
  // The operator has ended it.
  void killed();
  bool was_killed() const { return killed_; }
  // Another shard has taken it over, which is not simulated.
  void carried_away();

  // At the end of a run in which every wait was allowed to end.
  void judge();

  const ClientScript& script() const { return script_; }
  const Socket& socket() const { return *socket_; }
  uint64_t sent() const { return out_.sent(); }
  uint64_t received() const { return in_ ? in_->received() : 0; }
  bool in_queue() const { return in_queue_; }  // it found room in the listener's queue
  bool was_accepted() const { return accepted_at_.has_value(); }
  // REQUIRES: it was.
  Time accepted_at() const { return *accepted_at_; }
  // Carried away, or closed on its way to another shard: nothing more becomes of it here.
  bool was_carried_off() const { return carried_away_ || socket_->carry_lost; }
  bool released() const { return released_; }
  std::optional<smtp::ReplyId> reply() const { return reply_; }
  bool relayed() const { return relayed_; }
  // What looks at it have found.
  bool found_silent() const { return found_silent_; }
  bool found_talking() const { return found_talking_; }
  bool claimed() const { return released_claimed_; }
  std::optional<uint32_t> server() const { return server_; }
  uint32_t index() const { return index_; }
  bool hung_up() const { return left_; }
  // The service in whose queue it was died; the last reference went with it when the gate had
  // let go already, and then nobody could tell it anything.
  void dropped_by_service(bool last) {
    dropped_at_ = stage_.agenda.now();
    abandoned_ = abandoned_ || last;
  }
  // What it writes.
  const Content& content() const { return content_; }

 private:
  void act() override;
  void read();
  void write();
  void maybe_finish();
  void finish();
  void plan();
  void go(Leaving how);
  void hear(std::string_view bytes);
  void hear_line(const std::string& line);
  void fault(const std::string& text);
  bool allowlisted() const;
  bool rejected() const;  // by the access list
  bool may_be_asked_about() const;
  bool asks_lists() const;
  bool kernel_holds() const { return scenario_.kernel_wait > 0; }
  Time good_since() const;
  bool came_when_due() const;
  bool remembered() const;
  bool should_find_answers() const;
  void check_looks();
  std::optional<int> routed_by() const;
  RoutedClient as_routed() const;
  bool may_be_let_off() const;
  bool may_be_known() const;
  bool may_be_spared(ScreenTest test) const;
  bool may_have_failed(ScreenTest test) const;
  void check_let_off();
  void check_score_when_handed_off();
  void check_listed_reply(std::string_view line);

  const Scenario& scenario_;
  Crowd& crowd_;
  uint32_t index_;
  ClientScript script_;
  SocketPtr socket_;
  Content content_;
  StreamOut out_;
  std::optional<StreamIn> in_;
  std::string line_;  // of the greeting, not yet whole
  Time next_write_ = 0;
  bool in_queue_ = false;
  bool syn_told_ = false;
  bool found_silent_ = false;
  bool found_talking_ = false;
  bool found_gone_ = false;
  bool teased_ = false;
  bool left_ = false;
  bool abandoned_ = false;
  bool released_ = false;
  bool released_claimed_ = false;
  bool relayed_ = false;
  bool carried_away_ = false;
  bool killed_ = false;
  std::optional<Time> accepted_at_;
  std::optional<Time> first_byte_at_;
  std::optional<Time> left_at_;
  std::optional<Time> dropped_at_;
  std::optional<smtp::ReplyId> expected_busy_;
  std::optional<smtp::ReplyId> reply_;
  std::string reply_line_;
  bool first_of_address_ = false;
  bool known_ = false;     // when it came
  bool offender_ = false;  // likewise
  ClientRecord record_;    // likewise
  bool let_off_ = false;   // by the lists, before the wait was over
  std::optional<smtp::ReplyId> heard_reply_;
  std::optional<uint32_t> server_;
};

}  // namespace lychgate::sim
