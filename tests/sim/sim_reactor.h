// A ring::Reactor over a simulated kernel and clock: the seam under a whole shard. Requests run
// when a turn submits them, wait on their socket, or are late; everything from one seed.
// It also judges: what the gate must never ask of a kernel is noted as a violation.
// Knows no clients, backends or sessions; those are the Far ends and Servers it is given.

#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/slots.h"
#include "ring/reactor.h"
#include "tests/sim/agenda.h"
#include "tests/sim/kernel.h"
#include "tests/sim/random.h"

namespace lychgate::sim {

struct KernelOptions {
  uint32_t slots = kSlotsMin;  // of each table
  uint32_t tables = 1;
  uint32_t buffers = kRelayBuffers;
  uint32_t packets = kPacketBuffers;
  // Slots of the main table that accepts leave free; moves leave half of them. 0: nobody minds.
  uint32_t reserve = 0;
  Faults faults{};
};

class SimReactor : public ring::Reactor {
 public:
  SimReactor(Agenda& agenda, Random& random, const KernelOptions& options);
  ~SimReactor() override;
  SimReactor(const SimReactor&) = delete;
  SimReactor& operator=(const SimReactor&) = delete;

  // The gate's side.
  void accept_direct(int listener_fd, uint32_t table, ring::PeerAddress& peer,
                     ring::OpTag tag) override;
  void poll_fd(int fd, ring::OpTag tag) override;
  void cancel_fd(int fd, ring::OpTag tag) override;
  void write_fd(int fd, std::span<const char> bytes, ring::OpTag tag) override;
  void send_fd(int fd, std::span<const char> datagram, ring::OpTag tag) override;
  void close_fd(int fd) override;
  void send_packet(int fd, std::span<const char> packet, ring::OpTag tag) override;
  void receive_packets(int fd, ring::OpTag tag) override;
  uint32_t table_size() const override { return table_size_; }
  void peek(uint32_t slot, std::span<char> into, ring::OpTag tag) override;
  void discard(uint32_t slot, ring::OpTag tag) override;
  void take(uint32_t slot, std::span<char> into, ring::OpTag tag) override;
  void receive_multishot(uint32_t slot, ring::OpTag tag) override;
  void peek_next(uint32_t slot, ring::OpTag tag) override;
  void receive_next(uint32_t slot, ring::OpTag tag) override;
  void send(uint32_t slot, std::span<const char> bytes, ring::SendMode mode,
            ring::OpTag tag) override;
  void shutdown_write(uint32_t slot, ring::OpTag tag) override;
  void close(uint32_t slot, ring::OpTag tag) override;
  void close_by_reset(uint32_t slot, ring::OpTag tag) override;
  void cancel(uint32_t slot, ring::OpTag tag) override;
  void cancel_request(ring::OpTag target, ring::OpTag tag) override;
  void poll(uint32_t slot, ring::Readiness what, ring::OpTag tag) override;
  void install(uint32_t slot, ring::OpTag tag) override;
  void move_to_main(uint32_t slot, ring::OpTag tag) override;
  void adopt(uint32_t table, std::span<int> descriptors, ring::OpTag tag) override;
  void open_socket(int family, ring::OpTag tag) override;
  void set_nodelay(uint32_t slot, ring::OpTag tag) override;
  void shrink(uint32_t slot, int bytes, ring::OpTag tag) override;
  void connect(uint32_t slot, const SocketAddress& to, ring::OpTag tag) override;
  void send_descriptor(uint32_t slot, ring::DescriptorMessage& message, ring::OpTag tag) override;
  Result<ring::PipePair> make_pipe() override;
  Result<ring::SocketPair> make_socketpair() override;
  ssize_t splice(int from, int to, size_t bytes_max) override;
  void set_nonblocking(int fd) override;
  Endpoint local_endpoint(int fd) override;
  ssize_t send_message(int fd, std::span<const uint8_t> bytes,
                       std::span<const int> descriptors) override;
  ring::MessageIn receive_message(int fd, std::span<uint8_t> into,
                                  std::span<int> descriptors) override;
  std::span<const char> buffer(uint16_t id) const override;
  void give_back(uint16_t id) override;
  uint32_t buffers_free() const override { return buffers_seen_free_; }
  std::span<const char> packet(uint16_t id) const override;
  void give_back_packet(uint16_t id) override;
  bool has_queued() const override { return !submissions_.empty(); }
  std::span<const ring::Completion> turn(std::optional<milliseconds> wait) override;

  // The other side: clients, backends and services.
  // defer: silent clients are kept for as long (TCP_DEFER_ACCEPT), rounded as Linux does; 0: not.
  int listen(uint32_t backlog, Time defer = 0);
  int make_control();
  // A descriptor that can be polled; source_changed() looks whether it is readable now.
  int make_source(std::function<bool()> readable);
  void source_changed(int fd);
  int make_log();
  // queue_max: datagrams that it holds until a buffer takes them.
  int make_packet_socket(PacketFar& far, size_t queue_max);
  // A SYN has come; false when the queue is full, which drops it.
  bool arrive(int listener, const SocketPtr& socket);
  void serve(const SocketAddress& address, Server& server);
  void connect_done(Socket& socket, int result);
  size_t deliver(Socket& socket, std::span<const char> bytes);  // bytes that found room
  size_t take(Socket& socket, std::span<char> into);            // bytes the gate has sent
  void end(Socket& socket);                                     // they shut their write side
  void leave(Socket& socket);                                   // they close
  void reset(Socket& socket, int error);
  // A reference that is no descriptor of the gate.
  void let_go(Socket& socket);
  // A parcel with the far end of a socketpair is gone, with nobody who serves it.
  void end_of_pair(Socket& socket);
  // A datagram has come for the gate; false: thrown away, for the socket holds too many.
  bool deliver_packet(int fd, std::span<const char> packet);
  // An ICMP message has come for it: nobody listens there.
  void refuse_packets(int fd, int error);
  void say_to_control();
  // The end that a shard takes clients over from, a lot from a shard that is not simulated, ends
  // that it gives clients away by, to itself or to a sink, and when there will be no more of these.
  int make_carry_end();
  void carry_here(int end_fd, std::span<const uint8_t> bytes, std::vector<SocketPtr> sockets);
  int make_carry_start(int end_fd);
  int make_carry_start(CarrySink sink);
  void end_carry(int end_fd);
  // The turn ends, as a signal would end it.
  void interrupt() { interrupted_ = true; }
  void changed(Socket& socket);

  // What the gate must not do.
  void violation(std::string text);
  const std::vector<std::string>& violations() const { return violations_; }

  // The books, for the invariants.
  uint32_t slots_open() const { return slots_open_; }
  // Asked for, for nobody's slot, and not yet come.
  uint32_t sockets_coming() const { return sockets_coming_; }
  bool is_open(uint32_t slot) const { return table_[slot] != nullptr; }
  // Whose connection a slot is; kNobody: a DNS stream's, or none.
  uint32_t client_of(uint32_t slot) const { return table_[slot] ? table_[slot]->client : kNobody; }
  uint32_t unsettled(uint32_t slot) const { return unsettled_[slot]; }
  bool all_buffers_back() const { return kernel_buffers_.size() == buffer_count_; }
  // Packet buffers that the gate has taken and not given back.
  uint32_t packets_held() const { return packets_held_; }
  uint32_t waiting_clients() const;  // in the queues and waiting rooms of listeners
  uint32_t real_sockets() const;     // real descriptors of sockets
  uint32_t pipes() const { return pipes_made_; }
  bool pipes_empty() const;
  // Clients in messages, and those that were closed on their way.
  uint32_t on_their_way() const { return on_their_way_; }
  uint64_t carry_lost() const { return carry_lost_; }
  uint64_t relayed_bytes() const { return relayed_bytes_; }
  uint64_t bulk_bytes() const { return bulk_bytes_; }

 private:
  struct Listener {
    uint32_t backlog = 0;
    Time defer = 0;
    std::map<const Socket*, SocketPtr> room{};  // the waiting room of TCP_DEFER_ACCEPT
    std::deque<SocketPtr> queue{};
    std::optional<ring::OpTag> poll{};
  };
  struct Source {
    std::function<bool()> readable;
    std::optional<ring::OpTag> poll{};
  };
  struct LogEnd {};
  struct PipeEnd {
    std::shared_ptr<Pipe> pipe;
    bool reads = false;
  };
  struct CarryEnd {
    std::shared_ptr<CarryPipe> pipe;
    bool reads = false;
  };
  // A descriptor that came with a message.
  struct Carried {
    SocketPtr socket;
  };
  // A real descriptor of a socketpair.
  struct PairEnd {
    SocketPtr socket;
    bool ours = false;
  };
  // The far end of a socketpair that no service serves yet.
  struct Nobody : Far {
    void poke() override {}
  };
  using File = std::variant<std::shared_ptr<Listener>, std::shared_ptr<Source>, LogEnd, PipeEnd,
                            SocketPtr, std::shared_ptr<PacketSocket>, CarryEnd, Carried, PairEnd>;
  struct Posted {
    ring::Completion completion;
    int send_buffer = -1;
  };
  struct Answer {
    bool ready = false;
    int32_t result = 0;
    int buffer = -1;
  };
  static Answer not_yet() { return {}; }
  static Answer answer(ssize_t result) { return {true, static_cast<int32_t>(result), -1}; }

  void queue(Request request);
  void submit();
  void check_reserve(const std::vector<Request>& batch);
  void start(const RequestPtr& request);
  bool may_be_late(Verb verb) const;
  void run_late(const RequestPtr& request);
  Answer attempt(Request& request);
  Answer attempt_on_slot(Request& request);
  Answer do_poll_fd(Request& request);
  Answer do_accept(Request& request);
  Answer do_peek(Request& request);
  Answer look_into(Socket& socket, std::span<char> into);
  Answer do_discard(Request& request);
  Answer do_take(Request& request);
  Answer do_receive(Request& request);
  Answer do_next(Request& request);
  Answer into_buffer(Socket& socket);
  Answer do_send(Request& request);
  Answer do_shutdown(Request& request);
  Answer do_close(Request& request);
  Answer do_poll(Request& request);
  Answer do_install(Request& request);
  Answer do_open_socket(Request& request);
  SocketPtr new_socket(Request& request);
  Answer do_connect(Request& request);
  Answer do_send_descriptor(Request& request);
  Answer do_cancel(Request& request);
  Answer do_cancel_request(Request& request);
  Answer do_send_packet(Request& request);
  Answer do_receive_packets(Request& request);
  PacketSocket& packet_socket(int fd);
  void packets_changed(int fd);
  void hand_over_packets(PacketSocket& socket);
  int take_packet_buffer(std::string_view bytes);
  bool cancel_one(Socket& socket, const RequestPtr& request);
  void write_log(const RequestPtr& request);
  void close_real(int fd);
  ssize_t splice_in(Socket& from, Pipe& to, size_t bytes_max);
  ssize_t splice_out(Pipe& from, Socket& to, size_t bytes_max);

  Listener& listener(int fd);
  void enqueue(Listener& listener, const SocketPtr& socket);
  bool let_out(Socket& socket);
  void remind(const SocketPtr& socket, Time waited);
  void stirred(Socket& socket);

  void wake(Socket& socket);
  void touch(const Socket& socket, const char* what);
  void post(const Request& request, const Answer& answer, bool more = false);
  void post_tag(ring::OpTag tag, int32_t result, bool more);
  std::span<const ring::Completion> reap();
  void watch_for_spinning();
  void drop_reference(Socket& socket);
  int take_error(Socket& socket);
  void into_socket(Socket& socket, std::span<const char> bytes);
  int add_file(File file);
  template <typename T>
  T* file(int fd) {
    const auto found = files_.find(fd);
    return found == files_.end() ? nullptr : std::get_if<T>(&found->second);
  }
  SocketPtr socket_of(int fd);
  int find_slot(uint32_t table);
  bool is_allowed(const Request& request) const;
  Answer do_move(Request& request);
  Answer do_adopt(Request& request);
  Answer adopt_pair(Request& request);
  int carry_refusal(const CarryPipe& pipe);
  void carry_changed(CarryPipe& pipe);
  bool has_room_to_adopt() const;
  void put_on_its_way(Socket& socket);
  void end_of_way(Socket& socket);
  void close_carry(const CarryEnd& end);
  void close_pair_end(const PairEnd& end);
  int buffer_of(std::span<const char> bytes) const;

  Agenda& agenda_;
  Random& random_;
  Faults faults_;
  uint32_t table_size_;
  uint32_t reserve_;
  std::vector<SocketPtr> table_;  // all tables, one after the other
  uint32_t slots_open_ = 0;
  Nobody nobody_;
  uint32_t slot_hint_ = 0;
  uint32_t sockets_coming_ = 0;
  std::vector<uint32_t> unsettled_;  // requests of a slot whose last completion was not seen yet
  std::map<int, File> files_;
  bool control_said_ = false;
  bool interrupted_ = false;
  std::map<std::string, Server*> servers_;
  std::vector<Request> submissions_;
  std::deque<Posted> posted_;
  std::vector<ring::Completion> ready_;

  uint32_t buffer_count_;
  std::vector<char> buffer_memory_;
  std::deque<uint16_t> kernel_buffers_;
  std::vector<bool> buffer_out_;
  std::vector<uint32_t> buffer_sends_;
  uint32_t buffers_seen_free_;

  std::vector<char> packet_memory_;
  std::deque<uint16_t> kernel_packets_;
  std::vector<bool> packet_out_;
  uint32_t packets_held_ = 0;

  uint32_t pipes_made_ = 0;
  uint32_t on_their_way_ = 0;
  uint64_t carry_lost_ = 0;
  uint64_t relayed_bytes_ = 0;
  uint64_t bulk_bytes_ = 0;
  Time last_turn_ = 0;
  uint32_t still_turns_ = 0;  // turns in a row that took no time
  std::vector<std::string> violations_;
};

}  // namespace lychgate::sim
