// One simulated client: comes, speaks, reads and goes as its script says, and keeps the ledger of
// what the gate did to it. A client judges its own fate; it knows nothing of how the gate works
// inside.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/smtp/reply_book.h"
#include "tests/sim/actor.h"
#include "tests/sim/memory.h"
#include "tests/sim/route_book.h"
#include "tests/sim/scenario.h"
#include "tests/sim/talk.h"

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
  TalkScript talk{};  // Scenario::talks
  // What its balancer says of it first, in so many pieces; empty: it comes by itself.
  std::string header{};
  size_t header_pieces = 1;
  Endpoint peer{};          // the balancer
  bool header_good = true;  // whole, true, in time and from a trusted peer

  bool proxied() const { return peer.port != 0; }
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
  const smtp::ReplyBook* replies = nullptr;
  const Memory* memory = nullptr;        // nullptr: nobody is remembered
  std::map<std::string, uint32_t> ever;  // accepted so far, by address
  std::map<std::string, uint32_t> syns;  // sent so far
  // Of servers, by number; nullptr: one that the gate does not talk to.
  const std::vector<std::unique_ptr<Actor>>* sessions = nullptr;
};

class Client : public Actor {
 public:
  Client(Stage& stage, const Scenario& scenario, Crowd& crowd, uint32_t index,
         const ClientScript& script);

  // syn_told: the gate's SYN feed has its address.
  void come(bool syn_told);

  // What the gate did.
  void accepted() override;
  void looked(ring::Op op, int result) override;
  bool may_be_reset() const override { return !introduced(); }
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
  uint64_t sent() const { return said_.size() + out_.sent(); }
  // Bytes in all once its server has greeted it.
  uint64_t length() const {
    const bool left_off = broke_off_ && unsaid_.empty();
    return said_.size() + (left_off ? 0 : script_.total);
  }
  // Of these, what the gate has taken and not passed on.
  uint64_t consumed() const;
  // These are its bytes from offset on.
  bool is_right(uint64_t offset, std::string_view bytes) const;
  // It has sent them all and nobody has taken any.
  bool is_untouched() const { return consumed() == 0 && is_right(0, socket_->rx.front()); }
  // What a backend is to be told when the gate has kept so much.
  Replayed replayed(uint64_t kept) const { return replayed_words(said_.substr(0, kept)); }
  // What it heard in answer to EHLO is no more than this.
  bool may_be_told(const std::vector<std::string>& capabilities) const;
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
  // Of its talk with the gate.
  const std::vector<smtp::ReplyId>& replies() const { return replies_; }
  bool tarpitted() const { return tarpitted_; }
  bool handed_over() const { return handed_over_; }
  bool greeted_by_gate() const { return gate_greeted_; }
  bool heard_in_vain() const { return unread_; }

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
  bool is_on_reject_list() const;
  bool rejected() const;  // by the access list, for certain
  bool counts_against(config::Action action) const;
  bool may_be_asked_about() const;
  bool asks_lists() const;
  bool are_verdicts_exact() const;
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
  // client_talk.cc
  bool talks() const { return scenario_.talks; }
  void speak();
  bool may_speak() const;
  void send_header();
  void hear_in_talk(std::string_view bytes);
  void hear_whole_line(const std::string& line);
  void hear_answer(const std::string& line);
  void wake_server();
  void written_in_talk(ring::Op op, std::span<const char> bytes);
  void written_reply(std::string_view bytes);
  void check_reply(smtp::ReplyId id, std::string_view bytes);
  uint64_t taken() const;
  bool introduced() const;
  bool is_served_directly() const;
  bool must_be_last() const;
  void check_handed_over();
  bool may_be_guilty() const;
  bool has_record() const;
  int most_of_lists() const;
  bool action_counts(const config::DialogueTest& test) const;
  std::optional<smtp::ReplyId> identify(std::string_view bytes) const;
  bool may_be_left_unsaid() const;
  void judge_talk();
  // At any level of overload.
  Time shortest(milliseconds usual,
                std::optional<milliseconds> config::LevelSettings::*of_level) const;
  Time shortest_wait() const;
  Time shortest_timeout() const;
  std::string talk_so_far() const;

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
  // What the lists may have said of it until the gate's first word, which is after its verdict.
  std::optional<int> most_at_verdict_;
  std::optional<smtp::ReplyId> heard_reply_;
  std::optional<uint32_t> server_;
  // Of its talk.
  std::string said_;    // before its stream
  std::string unsaid_;  // of an utterance that it has begun
  size_t header_sent_ = 0;
  size_t spoken_ = 0;  // utterances
  bool awaits_ = false;
  bool broke_off_ = false;
  bool greeted_ = false;       // heard
  bool gate_greeted_ = false;  // written
  bool heard_any_ = false;
  bool deaf_ = false;      // its server talks nonsense
  bool off_hook_ = false;  // bytes behind its last command were seen
  bool tarpitted_ = false;
  bool handed_over_ = false;
  bool unread_ = false;     // a reply did not fit into its socket
  std::string expected_;    // replies of the gate, not yet heard
  std::string told_;        // in answer to EHLO
  bool ends_whole_ = true;  // the last line that was heard ends its reply
  std::vector<smtp::ReplyId> replies_;
};

}  // namespace lychgate::sim
