// Steps of each profile. Counting happens here, where it is known what an event means; sockets,
// lists and buffers are the engine's.

#include "bench/flood/client.h"

#include <algorithm>
#include <cerrno>

#include "bench/flood/reply_codes.h"
#include "core/base/check.h"

namespace lychgate::flood {
namespace {

// Looks at one client in the end: what fits in sixteen buffers, and no endless talker.
constexpr uint16_t kLooksMax = 16;

Counts& counts(const Scene& scene) {
  return scene.tally.profiles[static_cast<size_t>(scene.manners.profile)];
}

Latencies& latencies(const Scene& scene) {
  return scene.tally.latencies[static_cast<size_t>(scene.manners.profile)];
}

Actions end(Ending ending) {
  Actions out;
  out.end = ending;
  return out;
}

Actions drip(Client& client, const Scene& scene) {
  Actions out;
  out.wait = Wait::kSecond;
  const std::string_view text = scene.script.ehlo;
  out.say.add(text.substr(client.steps++ % text.size(), 1));
  return out;
}

Actions on_connected(Client& client, const Scene& scene) {
  ++counts(scene).connected;
  latencies(scene).connect.add(scene.now - client.start);
  client.phase = Phase::kHolding;
  Actions out;
  out.wait = Wait::kHold;
  switch (scene.manners.profile) {
    case Profile::kZombie:
      out.receive = true;
      return out;
    case Profile::kDrip:
      return drip(client, scene);
    case Profile::kNeverReads:
      out.say.add(scene.script.noise);
      out.whole = false;
      return out;
    case Profile::kReset:
      client.traits |= kAbrupt;
      return end(Ending::kDone);
    case Profile::kHangup:
      return end(Ending::kDone);
    case Profile::kEarly:
      out.say.add(scene.script.early);
      break;
    case Profile::kBot:
    case Profile::kLegit:
      out.wait = Wait::kReply;
      break;
  }
  client.phase = Phase::kTalking;
  out.receive = true;
  return out;
}

// How a client that holds or looks ends when `what` is what its last read gave.
Actions end_of_silence(const Client& client, Ending what) {
  return end(client.is(kRefused) ? Ending::kRefused : what);
}

Actions on_not_connected(int error, const Scene& scene) {
  if (error == ECONNRESET) {
    // A SYN is answered or refused (ECONNREFUSED); this one was answered, and reset after that.
    ++counts(scene).connected;
    return end(Ending::kReset);
  }
  // Cancelled: by the client's own time limit, since a run that is over asks no more.
  ++scene.tally.connect_errors[error == ECANCELED ? ETIMEDOUT : error];
  return end(Ending::kUnconnected);
}

Actions on_talk(Client& client, Talk& talk, std::string_view bytes, const Scene& scene) {
  const Move move = talk.hear(bytes, scene.script, scene.tally.replies);
  const nanoseconds age = scene.now - client.start;
  if (move.greeted) {
    ++counts(scene).greeted;
    latencies(scene).greeting.add(age);
  }
  if (move.delivered) ++counts(scene).delivered;
  if (move.transacted) latencies(scene).transaction.add(age);
  if (move.end) return end(*move.end);
  Actions out;
  out.receive = true;
  out.say = move.say;
  // An early talker's patience is one for all replies.
  if (scene.manners.profile != Profile::kEarly) out.wait = Wait::kReply;
  return out;
}

// Bytes that nobody answers: only their codes are of interest.
Actions on_silent_bytes(Client& client, std::string_view bytes, const Scene& scene) {
  const bool looking = client.phase == Phase::kLooking;
  each_code(bytes, [&](int code) {
    ++scene.tally.replies[code];
    if (code >= 400) client.traits |= kRefused;
    if (code != 220 || client.is(kGreeted)) return;
    client.traits |= kGreeted;
    ++counts(scene).greeted;
    if (!looking) latencies(scene).greeting.add(scene.now - client.start);
  });
  Actions out;
  if (!looking) return out;
  if (++client.steps >= kLooksMax) return end_of_silence(client, Ending::kDone);
  out.look = true;
  return out;
}

Actions on_bytes(Client& client, Talk* talk, std::string_view bytes, const Scene& scene) {
  counts(scene).bytes_in += bytes.size();
  if (!client.is(kHeard)) {
    client.traits |= kHeard;
    ++counts(scene).first_bytes;
    // Whoever only looks in the end cannot say when the byte came.
    if (client.phase != Phase::kLooking) {
      latencies(scene).first_byte.add(scene.now - client.start);
    }
  }
  if (client.phase == Phase::kTalking) return on_talk(client, *talk, bytes, scene);
  return on_silent_bytes(client, bytes, scene);
}

Actions look(Client& client) {
  client.phase = Phase::kLooking;
  client.steps = 0;
  Actions out;
  out.wait = Wait::kNone;
  if (client.has(kReceive)) {
    out.cancel = true;  // its completion is the look
  } else {
    out.look = true;
  }
  return out;
}

Actions on_time_up(Client& client, Talk* talk, const Scene& scene) {
  Actions out;
  switch (client.phase) {
    case Phase::kConnecting:
      out.cancel = true;
      return out;
    case Phase::kHolding:
      if (scene.manners.profile == Profile::kDrip &&
          scene.now - client.start < scene.manners.hold) {
        return drip(client, scene);
      }
      return look(client);
    case Phase::kTalking:
      return end(talk->ended_by(Ending::kTimedOut));
    case Phase::kFree:
    case Phase::kLooking:
    case Phase::kClosing:
      break;  // they are in no list
  }
  LYCH_CHECK(false);
  return out;
}

Actions on_end(const Client& client, const Talk* talk, Ending what) {
  // The send that failed has taken the socket's error with it: the read after it sees an end.
  if (client.is(kWasReset)) what = Ending::kReset;
  if (client.phase == Phase::kTalking) return end(talk->ended_by(what));
  return end_of_silence(client, what);
}

}  // namespace

bool reads_replies(Profile profile) {
  return profile == Profile::kLegit || profile == Profile::kBot || profile == Profile::kEarly;
}

Actions step(Client& client, Talk* talk, const Event& event, const Scene& scene) {
  switch (event.kind) {
    case Event::Kind::kConnected:
      return on_connected(client, scene);
    case Event::Kind::kNotConnected:
      return on_not_connected(event.error, scene);
    case Event::Kind::kNotStarted:
      ++scene.tally.connect_errors[event.error];
      return end(Ending::kUnstarted);
    case Event::Kind::kBytes:
      return on_bytes(client, talk, event.bytes, scene);
    case Event::Kind::kEnd:
      return on_end(client, talk, Ending::kClosed);
    case Event::Kind::kReset:
      return on_end(client, talk, Ending::kReset);
    case Event::Kind::kNothing:
      return on_end(client, talk, Ending::kDone);
    case Event::Kind::kSent:
      counts(scene).bytes_out += event.count;
      return {};
    case Event::Kind::kNotSent:
      // EPIPE: the server had closed before, and only then answered with a reset.
      if (event.error == ECONNRESET) client.traits |= kWasReset;
      // Whoever talks has a receive in the kernel, which tells the rest.
      return client.phase == Phase::kHolding ? look(client) : Actions{};
    case Event::Kind::kTimeUp:
      return on_time_up(client, talk, scene);
    case Event::Kind::kStop:
      client.traits |= kAbrupt;
      return end(Ending::kCutOff);
  }
  return {};
}

milliseconds length_of(Wait wait, const Manners& manners) {
  switch (wait) {
    case Wait::kNone:
      break;
    case Wait::kReply:
      return manners.timeout;
    case Wait::kHold:
      if (manners.profile == Profile::kEarly) return std::min(manners.hold, manners.timeout);
      return manners.hold;
    case Wait::kSecond:
      return std::chrono::seconds(1);
  }
  return milliseconds(0);
}

}  // namespace lychgate::flood
