// A process of the gate as the supervisor sees it, and the words between the two: messages over a
// SEQPACKET socket pair, a kind byte and what follows it. Neither side ever waits for the other.

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

// What shards and supervisor tell each other.
inline constexpr char kShardReady = 'R';    // shard: everything is made
inline constexpr char kShardFailed = 'E';   // shard: it cannot start; the reason follows
inline constexpr char kShardCarried = 'C';  // shard: a CarryResult follows
inline constexpr char kShardOpen = 'O';     // supervisor: take clients
inline constexpr char kShardRetire = 'T';   // supervisor: a CarryOrder and its descriptor follow
inline constexpr char kShardAccess = 'A';   // supervisor: the descriptor of a new access list
inline constexpr char kShardStop = 'S';     // supervisor: send everybody away, and end

// What steward and supervisor tell each other.
inline constexpr char kStewardStop = 'T';    // steward: stop the gate
inline constexpr char kStewardReload = 'L';  // steward: begin a reload
inline constexpr char kStewardUpgrade =
    'U';  // steward: the same with the program whose path follows
inline constexpr char kStewardAnswer = 'A';  // supervisor: how it ended; exit code and sentence
// supervisor: the same, and the steward ends when it has passed it on. It closes its doors first:
// who asks again at once must find the next steward.
inline constexpr char kStewardLastAnswer = 'Z';

// To who asks for a reload while there is one already.
inline constexpr char kUnderWay[] = "another reload is under way; ask again when it has ended";

// The longest message; a path or a sentence is cut to it.
inline constexpr size_t kControlMessageMax = 8192;

struct ControlMessage {
  char kind = '\0';
  std::string body;
  int fd = -1;  // that came with it, the receiver's to close
};
// The next message, if there is one. Errors: kUnavailable: the other end is gone.
Result<std::optional<ControlMessage>> read_control(int socket);
// False when the other end is gone or does not read. fd: goes along; -1: none.
bool send_control(int socket, char kind, std::string_view body = {}, int fd = -1);

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
