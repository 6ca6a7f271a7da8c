// A process of the gate as the supervisor sees it, and the words between the two: messages over a
// SEQPACKET socket pair, a byte for the word and what follows it. Neither side ever waits for the
// other.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/daemon/carry.h"

namespace lychgate::daemon {

enum class Word : char {
  // a shard to the supervisor
  kReady = 'R',    // everything is made
  kFailed = 'F',   // it cannot start; the reason follows
  kCarried = 'C',  // a CarryResult follows
  // the supervisor to a shard
  kOpen = 'O',    // take clients
  kRetire = 'T',  // a CarryOrder and its descriptor follow
  kAccess = 'L',  // the descriptor of a new access list
  kStop = 'S',    // send everybody away, and end
  // the steward to the supervisor
  kAskStop = 's',     // stop the gate
  kAskReload = 'r',   // begin a reload
  kAskUpgrade = 'u',  // the same with the program whose path follows; none: the one that runs
  // the supervisor to the steward
  kSwitched = 'G',  // another generation takes clients: its number and its set, as text
  kAnswer = 'A',    // how it ended: exit code and sentence
  // The same, and the steward ends when it has passed it on. It closes its doors first: who asks
  // again at once must find the next steward.
  kLastAnswer = 'Z',
};

// To who asks for a reload while there is one already.
inline constexpr char kUnderWay[] = "another reload is under way; ask again when it has ended";

// The longest message; a path or a sentence is cut to it.
inline constexpr size_t kControlMessageMax = 8192;

struct ControlMessage {
  Word word = Word::kReady;
  std::string body;
  int fd = -1;  // that came with it, the receiver's to close
};
// The next message, if there is one. Errors: kUnavailable: the other end is gone.
Result<std::optional<ControlMessage>> read_control(int socket);
// False when the other end is gone or does not read. fd: goes along; -1: none.
bool send_control(int socket, Word word, std::string_view body = {}, int fd = -1);

// CarryOrder (without its descriptor) and CarryResult as bodies of messages.
std::string encode(const CarryOrder& order);
std::optional<CarryOrder> decode_carry_order(std::string_view body);
std::string encode(const CarryResult& result);
std::optional<CarryResult> decode_carry_result(std::string_view body);

struct Child {
  pid_t pid = -1;
  int control_fd = -1;  // our end
  bool ready = false;
  Tick started = 0;
  uint32_t short_lives = 0;
  bool restart_due = false;
  Tick restart_at = 0;
  std::string failure;                 // what it said when it could not start
  std::optional<CarryResult> carried;  // of one that retires

  bool lives() const { return pid > 0; }
};

}  // namespace lychgate::daemon
