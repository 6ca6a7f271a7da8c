// Two times of a record say all: `denied_until` is the end of the delay, `allowed_until` that of
// the window or of the life. Records merge to the later of each.

#include "core/admission/greylist.h"

#include "core/admission/history.h"

namespace lychgate::admission {

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

bool is_deferred(const ClientRecord& network, Seconds now) {
  return network.denied_until != 0 && now <= network.allowed_until;
}

ClientRecord deferral(const config::Greylist& greylist, Seconds now) {
  ClientRecord network;
  network.first_seen = network.last_seen = now;
  network.denied_until = until(now, greylist.delay);
  network.allowed_until = until(now, greylist.window);
  return network;
}

ClientRecord comeback(const config::Greylist& greylist, Seconds now) {
  ClientRecord network;
  network.first_seen = network.last_seen = now;
  network.passes = 1;
  network.allowed_until = until(now, greylist.life);
  return network;
}

}  // namespace lychgate::admission
