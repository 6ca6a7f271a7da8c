// A relay between a client and a backend: bytes both ways, half-close kept, nothing lost.
// Dialogue by multishot receive and send; a stream past kBulkThresholdBytes by splice(2) through a
// leased pipe. Idle, it holds two armed requests: no buffer, no pipe, no worker thread.
// Decides nothing about who is relayed, and keeps no time limit itself.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "handoff/buffer_queue.h"
#include "ring/buffers.h"
#include "ring/connections.h"

namespace lychgate::handoff {

// Pipes kept for reuse; at most kPipesMax exist in a shard.
class PipePool {
 public:
  explicit PipePool(ring::Reactor& reactor) : reactor_(reactor) {}
  // Makes the first pipe, so that who later waits for one waits for another relay and is woken by
  // its end. False when the kernel gives none: then no relay may become bulk.
  bool reserve();
  // nullopt when kPipesMax are out or the kernel gives no more.
  std::optional<ring::PipePair> lease();
  // REQUIRES: the pipe is empty.
  void give_back(ring::PipePair pipe);
  // For a pipe that still holds bytes of a relay that died.
  void destroy(ring::PipePair pipe);
  uint32_t leased() const { return leased_; }

 private:
  ring::Reactor& reactor_;
  std::vector<ring::PipePair> idle_;
  uint32_t leased_ = 0;
};

// What all relays of a shard share.
struct RelayContext {
  ring::Connections& connections;
  BufferLinks links;
  PipePool pipes;
  uint32_t bulk_relays = 0;
  uint32_t bulk_relays_max = 0;  // each needs two real descriptors
  // Relays that wait for a buffer or a pipe; tried again each turn (transfer indices, each once).
  std::vector<uint32_t> starved;
};

enum class RelayMode : uint8_t {
  kDialogue,
  kSwitching,  // to bulk: receives being cancelled, queues being flushed, descriptors installed
  kBulk,
  kDialogueOnly,  // bulk was refused: no descriptors left
};

struct RelayDirection {
  uint32_t from = kNoSlot;
  uint32_t to = kNoSlot;
  BufferQueue queue;
  uint64_t burst = 0;      // bytes since the other direction last moved
  uint32_t in_pipe = 0;    // bulk: bytes in the pipe
  ring::PipePair pipe;     // bulk: leased while bytes are in it
  int from_fd = -1;        // bulk: real descriptor of `from`
  bool receiving = false;  // a receive or input poll is in flight for `from`
  bool pausing = false;    // that receive is being cancelled
  bool sending = false;    // a send or output poll is in flight for `to`
  bool starved = false;    // waits for a buffer or a pipe
  bool ended = false;      // end of file or error from `from`
  bool done = false;       // flushed and shut, or nobody left to send to
};

class Relay {
 public:
  struct Ends {
    uint32_t client = kNoSlot;
    uint32_t backend = kNoSlot;
    uint32_t index = 0;              // the name of this relay in RelayContext::starved
    bool backend_receiving = false;  // the backend's receive is armed already
  };
  // Starts both directions. greeting: the bytes the backend has already sent, if any.
  void start(RelayContext& context, const Ends& ends, ring::BufferLease greeting, Tick now);
  // A completion of one of the relay's operations on either slot.
  void complete(RelayContext& context, const ring::Completion& completion, Tick now);
  // Takes the relay off the starved list; puts it back when what it waits for is not there yet.
  void resume(RelayContext& context);
  // Ends both directions now; what is queued is given up.
  void abort(RelayContext& context);
  // Both directions are done and nothing borrowed is in the kernel's hands any more.
  bool finished() const;
  bool backend_done() const { return directions_[1].done; }
  // In both directions: what is in flight comes back, nothing follows.
  bool done() const { return directions_[0].done && directions_[1].done; }
  Tick last_active() const { return last_active_; }
  // Gives back everything borrowed; the slots are the caller's to retire. REQUIRES: finished().
  void stop(RelayContext& context);

 private:
  void received(RelayContext& context, RelayDirection& way, const ring::Completion& completion,
                Tick now);
  void sent(RelayContext& context, RelayDirection& way, const ring::Completion& completion,
            Tick now);
  void installed(RelayContext& context, RelayDirection& way, const ring::Completion& completion);
  void enter_bulk(RelayContext& context);
  void pump(RelayContext& context, RelayDirection& way);
  void receive(RelayContext& context, RelayDirection& way);
  void pause(RelayContext& context, RelayDirection& way);
  void finish(RelayContext& context, RelayDirection& way);
  void wind_up(RelayContext& context);
  void fail(RelayContext& context, RelayDirection& way);
  void starve(RelayContext& context, RelayDirection& way);
  void put_on_list(RelayContext& context);
  bool supply(RelayContext& context, RelayDirection& way);
  void consider_bulk(RelayContext& context);
  void switch_when_quiet(RelayContext& context);
  void pump_bulk(RelayContext& context, RelayDirection& way);
  enum class BulkStep : uint8_t { kAgain, kStop };
  BulkStep fill_pipe(RelayContext& context, RelayDirection& way);
  BulkStep drain_pipe(RelayContext& context, RelayDirection& way);
  void poll_input(RelayContext& context, RelayDirection& way);
  void poll_output(RelayContext& context, RelayDirection& way);
  void drop_pipe(RelayContext& context, RelayDirection& way);
  RelayDirection& other(RelayDirection& way);

  std::array<RelayDirection, 2> directions_;  // client to backend, backend to client
  uint32_t index_ = 0;
  Tick last_active_ = 0;
  RelayMode mode_ = RelayMode::kDialogue;
  uint8_t installing_ = 0;
  bool winding_up_ = false;  // both directions done, requests being cancelled
  bool listed_ = false;      // in RelayContext::starved; outlives the relay until the list is read
};

}  // namespace lychgate::handoff
