// A DNS server at the far end of the gate's UDP sockets, with the faults it is told to have, over
// TCP too. What it answers is a DnsBook's; everything else is chance from the run's seed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/dns_message.h"

namespace lychgate::sim {

// What is true of names, and who was told.
class DnsBook {
 public:
  virtual ~DnsBook() = default;
  // nullopt: silence.
  virtual std::optional<DnsAnswer> answer(const DnsQuestion& question, Time now) = 0;
  // Its opposite, for forgers: whoever believes this has been cheated.
  virtual DnsAnswer lie(const DnsQuestion& question) = 0;
  // The true answer can be read by the gate from now on; of a stream nobody knows how much.
  virtual void told(const DnsQuestion& /*question*/, const DnsAnswer& /*answer*/, Time /*now*/,
                    bool /*whole*/) {}
};

// What may become of one question over UDP.
enum class DnsFault : uint8_t {
  kNone,
  kDropped,
  kTwice,  // the answer, and again
  kLate,   // the answer, after any deadline
  kServfail,
  kRefused,
  kTruncated,
  kWrongId,        // a lie with another id; the answer follows or not
  kWrongQuestion,  // a lie for another name; likewise
  kGarbage,
  kEmpty,    // a datagram of no bytes; likewise
  kTooLong,  // more bytes than a packet buffer holds
  kIcmp,     // port unreachable
};
inline constexpr size_t kDnsFaultCount = 13;

// What may become of one connection.
enum class StreamManner : uint8_t {
  kWhole,
  kSlow,     // in pieces
  kCutOff,   // ends in the middle
  kReset,    // likewise
  kGarbage,  // a frame of nonsense
  kTooLong,  // a frame longer than anybody reads
  kMute,
  kRefused,   // no connection
  kNoAnswer,  // not even that
};
inline constexpr size_t kStreamMannerCount = 9;

struct DnsManners {
  std::array<uint8_t, kDnsFaultCount> percent{};  // of each but kNone
  Time delay_min = 0;
  Time delay_max = 2;
  Time late_by = 8000;
  uint8_t truth_follows = 50;                                  // percent of lies and nonsense
  std::vector<StreamManner> streams = {StreamManner::kWhole};  // one of these
  // While it is away nothing answers; with ICMP it says so.
  Time away_from = ~Time{0};
  Time away_until = ~Time{0};
  bool icmp_when_away = false;

  uint8_t& operator[](DnsFault fault) { return percent[static_cast<size_t>(fault)]; }
  bool is_away(Time now) const { return now >= away_from && now < away_until; }
};

class DnsServer;

// One connection to it.
class DnsStream : public Actor {
 public:
  DnsStream(Stage& stage, DnsServer& server, const SocketPtr& socket, StreamManner manner);

 private:
  void act() override;
  void ask();
  DnsServer& server_;
  SocketPtr socket_;
  StreamManner manner_;
  std::string asked_;
  std::string reply_;  // still to be sent, frame and all
  size_t sent_ = 0;
  size_t stops_at_ = SIZE_MAX;
};

class DnsServer : public PacketFar, public Server {
 public:
  DnsServer(Stage& stage, DnsBook& book, const DnsManners& manners)
      : stage_(stage), book_(book), manners_(manners) {}

  void packet_came(int fd, std::span<const char> bytes) override;
  void connecting(const SocketPtr& socket) override;

  DnsManners& manners() { return manners_; }
  uint64_t asked() const { return asked_; }  // over UDP
  uint64_t times(DnsFault fault) const { return times_[static_cast<size_t>(fault)]; }
  // The framed answer to a question that came over TCP; empty: it is not one.
  std::string framed_answer(std::span<const char> packet);

 private:
  DnsFault draw_fault();
  void misbehave(DnsFault fault, int fd, const std::string& packet, const DnsQuestion& question);
  void answer(int fd, const std::string& packet, const DnsQuestion& question, Time after);
  void send(int fd, std::string bytes, Time after);
  Time draw_delay() { return stage_.random.between(manners_.delay_min, manners_.delay_max); }

  Stage& stage_;
  DnsBook& book_;
  DnsManners manners_;
  uint64_t asked_ = 0;
  std::array<uint64_t, kDnsFaultCount> times_{};
  std::vector<std::unique_ptr<DnsStream>> streams_;
};

}  // namespace lychgate::sim
