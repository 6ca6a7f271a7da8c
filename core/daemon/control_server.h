// The clients of the control socket: takes one line from each, gives its answer, closes. Bounded in
// number, in the size of a request and in time; nothing here blocks, and nothing here knows what a
// request means.

#pragma once

#include <poll.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/limits.h"
#include "core/base/time.h"

namespace lychgate::daemon {

// A client that may have gone meanwhile.
struct ControlClient {
  uint32_t seat = 0;
  uint32_t generation = 0;
};

struct ControlAsk {
  ControlClient client;
  std::string line;         // without its end
  bool may_change = false;  // root or the gate's own user
};

class ControlServer {
 public:
  // owner: besides root, who may change something. listen_fd stays the caller's.
  ControlServer(int listen_fd, uid_t owner);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Appends what is to be waited for; the same entries go to turn().
  void add_polls(std::vector<pollfd>& polls) const;
  // Takes up what poll(2) found and ends who has had its time. Requests that are whole are
  // returned; each is to be answered once.
  std::vector<ControlAsk> turn(std::span<const pollfd> polls, Tick now);
  // Nothing happens when the client has gone.
  void answer(ControlClient client, std::string text, Tick now);
  // For an answer that takes its time.
  void wait_longer(ControlClient client, Tick deadline);
  // From now on nobody new is served.
  void close_doors() { listen_fd_ = -1; }
  // Somebody is served.
  bool is_busy() const;
  std::optional<Tick> next_wake() const;

 private:
  enum class Stage : uint8_t { kFree, kReading, kWorking, kSending };
  struct Seat {
    Stage stage = Stage::kFree;
    int fd = -1;
    uint32_t generation = 0;
    bool may_change = false;
    Tick deadline = 0;
    std::string text;  // the request as far as it has come, then the answer
    size_t sent = 0;
  };
  void admit(Tick now);
  std::optional<ControlAsk> read(uint32_t index, Tick now);
  void send_rest(Seat& seat);
  void refuse(Seat& seat, std::string_view why, Tick now);
  static void leave(Seat& seat);

  int listen_fd_;
  uid_t owner_;
  std::array<Seat, kControlClientsMax> seats_;
};

}  // namespace lychgate::daemon
