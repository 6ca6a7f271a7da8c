// Two times of a record say all: `denied_until` is the end of the delay, `allowed_until` that of
// the window or of the life. Records merge to the later of each.

#include "core/admission/greylist.h"

#include <algorithm>
#include <chrono>

namespace lychgate::admission {
namespace {

Seconds after(Seconds now, milliseconds span) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span).count();
  return static_cast<Seconds>(std::min<int64_t>(int64_t{now} + seconds, kForever - 1));
}

}  // namespace

bool defers(const config::Config& config) {
  const config::Dialogue& dialogue = config.dialogue;
  for (const config::Action action :
       {config.access.reject, config.greet.pregreet, config.dnsl.action, dialogue.pipelining.action,
        dialogue.non_smtp_command.action, dialogue.bare_newline.action}) {
    if (action == config::Action::kDefer) return true;
  }
  return false;
}

bool has_returned(const ClientRecord& network, Seconds now) {
  return network.denied_until <= now && now <= network.allowed_until;
}

ClientRecord deferral(const config::Greylist& greylist, Seconds now) {
  ClientRecord network;
  network.first_seen = network.last_seen = now;
  network.denied_until = after(now, greylist.delay);
  network.allowed_until = after(now, greylist.window);
  return network;
}

ClientRecord comeback(const config::Greylist& greylist, Seconds now) {
  ClientRecord network;
  network.first_seen = network.last_seen = now;
  network.passes = 1;
  network.allowed_until = after(now, greylist.life);
  return network;
}

}  // namespace lychgate::admission
