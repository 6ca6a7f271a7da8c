// The action `defer`: what is remembered of a network (/24, /64) whose client was answered with
// 450, and whether it has come back when it should. Pure, told the time.

#pragma once

#include "core/base/client_record.h"
#include "core/config/config.h"

namespace lychgate::admission {

// Whether some test's action is defer: else nothing of this is looked up.
bool defers(const config::Config& config);
// After greylist.delay and within greylist.window of its last deferral, or let on since.
bool has_returned(const ClientRecord& network, Seconds now);
// It was deferred within greylist.window, so who is deferred now came too soon: that does not
// prolong the delay. (It may be over since; what counts is when a client comes.)
bool is_deferred(const ClientRecord& network, Seconds now);
ClientRecord deferral(const config::Greylist& greylist, Seconds now);
// It came back and was let on: so it is for greylist.life.
ClientRecord comeback(const config::Greylist& greylist, Seconds now);

}  // namespace lychgate::admission
