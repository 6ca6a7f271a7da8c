// Questions asked again over TCP because the UDP answer was cut (RFC 7766): connect, one question,
// one answer, close. At most kDnsTcpMax at once. Owns the streams' bytes; the question's deadline
// is the resolver's, who lets go of a seat when it is over.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.h"
#include "core/base/private_memory.h"
#include "dns/servers.h"
#include "dns/wire.h"
#include "ring/connections.h"

namespace lychgate::dns {

class TcpSeats {
 public:
  // memory: at least kMemoryBytes, private, since questions may hold a key.
  static constexpr size_t kMemoryBytes = size_t{kDnsTcpMax} * (kDnsTcpBytes + 512);
  TcpSeats(ring::Connections& connections, PrivateMemory memory);

  // Connects and asks. False: all seats are taken.
  bool begin(uint32_t query, const Endpoint& server, std::span<const char> question);
  // Ends the query's seat, if it has one.
  void let_go(uint32_t query);

  struct Ended {
    uint32_t query = kNoQuery;
    std::span<const char> question;  // as sent
    std::span<const char> message;   // empty: the stream failed; good until the next call
  };
  // REQUIRES: a kDnsTcp operation; nullopt: goes on, or nobody waits any more.
  std::optional<Ended> complete(const ring::Completion& completion);
  uint32_t used() const { return used_; }

 private:
  static constexpr uint32_t kFrameBytes =
      2;  // RFC 1035 section 4.2.2: a length before each message
  struct Stream {
    uint32_t query = kNoQuery;  // kNoQuery: let go
    uint32_t slot = kNoSlot;
    SocketAddress server;
    uint32_t question_bytes = 0;  // frame included
    uint32_t received = 0;
    bool busy = false;     // taken, or its socket is still on its way
    bool opening = false;  // the socket has been asked for
    ConnId last = {};      // of a seat that was let go: until it is closed, its bytes may be sent
  };
  static_assert(kFrameBytes + kQuestionBytesMax <= 512);

  std::span<char> out(uint32_t seat) const;
  std::span<char> in(uint32_t seat) const;
  uint32_t index_of(const Stream& stream) const;
  void opened(Stream& stream, const ring::Completion& completion);
  std::optional<Ended> received(Stream& stream, const ring::Completion& completion);
  std::optional<Ended> end(Stream& stream, std::span<const char> message);
  void free(Stream& stream);

  ring::Connections& connections_;
  PrivateMemory memory_;
  std::array<Stream, kDnsTcpMax> streams_;
  uint32_t used_ = 0;
};

}  // namespace lychgate::dns
