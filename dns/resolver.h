// A stub resolver on the ring for one kind of question: what does this list say about this address?
// Thousands overlap; each has a deadline, up to kDnsAttemptsMax attempts at different servers, and
// TCP when an answer is cut. Owns packets and questions in flight; knows no clients: whoever asks
// gives a cookie and gets it back exactly once, with an answer or a failure.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/private_memory.h"
#include "core/base/siphash.h"
#include "core/config/config.h"
#include "dns/servers.h"
#include "dns/tcp_seats.h"
#include "dns/wire.h"
#include "ring/connections.h"

namespace lychgate::dns {

struct Ask {
  uint32_t zone = 0;  // index into ResolverParts::zones
  IpAddress address;
  RecordType type = RecordType::kA;
  AddressForm form = AddressForm::kOwn;
  bool urgent = false;  // goes before all that wait for their first turn
  uint64_t cookie = 0;
};

enum class OutcomeKind : uint8_t {
  kReply,     // reply->kind is kAnswer or kNothing
  kFailed,    // SERVFAIL, REFUSED or an unusable TCP answer from the last server tried
  kTimedOut,  // nothing within dns.timeout
  kGivenUp,  // not asked, for want of our own: it was the oldest when dns.in_flight was reached, or
             // no window had room within the askers' patience, or all TCP seats were taken
};

struct Outcome {
  uint64_t cookie = 0;
  uint32_t zone = 0;
  OutcomeKind kind = OutcomeKind::kFailed;
  uint32_t took_ms = 0;          // since it was first sent
  const Reply* reply = nullptr;  // kReply only; good until the resolver is called again
};

struct ResolverParts {
  ring::Connections& connections;
  std::span<const ZoneName> zones;  // at most kListsMax
  std::span<const Endpoint> servers;
  std::span<const int> sockets;  // connected UDP sockets, dns.sockets of each server in turn
  const config::Dns& config;
  // How long a question may wait for room in a window; then nobody waits for its answer any more.
  milliseconds patience{0};
  SipKey key{};  // of ids, ports and letter case: from the kernel's random source
};

class Resolver {
 public:
  // Errors: kOsError when the memory for questions in flight cannot be had.
  static Result<std::unique_ptr<Resolver>> create(const ResolverParts& parts);

  // Arms the sockets.
  void start();
  // Queues a question. The outcome, if there is one, is that of the oldest, given up for this one.
  [[nodiscard]] std::optional<Outcome> ask(const Ask& ask, Tick now);
  // A completion of one of the kDns operations; the connection of the three TCP ones has been taken
  // already (Connections::take).
  [[nodiscard]] std::optional<Outcome> complete(const ring::Completion& completion, Tick now);
  // The next question whose time is over; call until there is none.
  [[nodiscard]] std::optional<Outcome> next_expired(Tick now);
  // Once a turn, last: hands to the ring what the servers' windows allow.
  void send(Tick now);
  // When the resolver wants a turn though nothing completes.
  std::optional<Tick> next_wake(Tick now) const;

  uint32_t open() const { return open_; }
  // So many more questions find a window open.
  bool has_room_for(uint32_t questions) const {
    return servers_.room() >= retries_.size + unsent_.size + questions;
  }
  const Servers& servers() const { return servers_; }
  void check_invariants() const;

 private:
  enum class State : uint8_t { kFree, kQueued, kSent, kTcp };
  // Two rows of lists: by age (all that have been sent), and by turn (not yet sent, to be sent
  // again, or whose attempt ends at a time).
  struct Link {
    uint32_t next = kNoQuery;
    uint32_t prev = kNoQuery;
  };
  struct Query {
    IpAddress address;
    uint64_t cookie = 0;
    uint64_t case_bits = 0;
    Link age;
    Link turn;
    Tick asked = 0;
    Tick sent = 0;  // for the first time
    Tick attempt_ends = 0;
    std::array<Seat, kDnsAttemptsMax> seats{};
    RecordType type = RecordType::kA;
    AddressForm form = AddressForm::kOwn;
    uint8_t zone = 0;
    uint8_t attempts = 0;
    uint8_t live = 0;   // bits of seats that are still ours
    uint8_t tried = 0;  // bits of servers
    State state = State::kFree;
  };
  static_assert(kDnsServersMax <= 8 && kListsMax <= 256);
  struct List {
    uint32_t head = kNoQuery;
    uint32_t tail = kNoQuery;
    uint32_t size = 0;
  };

  Resolver(const ResolverParts& parts, PrivateMemory packets, PrivateMemory streams);
  uint64_t random();
  void append(List& list, uint32_t query, Link Query::*link);
  void prepend(List& list, uint32_t query, Link Query::*link);
  void unlink(List& list, uint32_t query, Link Query::*link);
  List& turn_list(const Query& query);
  void retry(uint32_t query);
  uint32_t oldest() const;
  bool send_one(uint32_t query, std::span<char> packet, Tick now);
  std::span<const char> write(const Query& query, uint16_t id, std::span<char> into) const;
  std::span<char> packet(uint32_t index) const;
  std::optional<Outcome> packet_came(const ring::Completion& completion, Tick now);
  std::optional<Outcome> read(Seat seat, std::span<const char> packet, Tick now);
  std::optional<Outcome> server_failed(uint32_t query, OutcomeKind unless_retried, Tick now);
  std::optional<Outcome> ask_over_tcp(uint32_t query, Seat seat, Tick now);
  std::optional<Outcome> tcp_ended(const TcpSeats::Ended& ended, Tick now);
  void attempt_over(uint32_t query, Tick now);
  void socket_failed(uint32_t socket, int error, Tick now);
  Outcome finish(uint32_t query, OutcomeKind kind, Tick now);

  ring::Connections& connections_;
  ShardCounters& counters_;
  std::span<const ZoneName> zones_;
  const config::Dns& config_;
  SipKey key_;
  uint64_t random_count_ = 0;
  uint64_t next_bits_ = 0;  // of the next question to be sent, drawn one ahead
  Servers servers_;
  TcpSeats tcp_;
  PrivateMemory packet_memory_;  // one for each send of a turn, and one to compare replies with
  std::vector<Query> queries_;   // room for dns.in_flight, grown into it
  uint32_t open_ = 0;
  milliseconds patience_;
  List free_;  // by their age links
  List by_age_;
  List unsent_;   // in the order in which they were asked
  List retries_;  // sent before: they have less time left than any that waits for its first turn
  std::array<List, kDnsAttemptsMax> attempts_;  // by the number of the attempt
  Reply reply_;
  std::vector<uint32_t> to_rearm_;  // sockets whose receive has ended
  bool more_to_send_ = false;       // this turn's bound was reached, not the servers' windows
};

}  // namespace lychgate::dns
