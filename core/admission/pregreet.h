// The pregreet test: the client spoke before our greeting was complete, which RFC 5321 4.3.1
// forbids and bulk senders do to save time. greet.pregreet says what that does.
// Pure: it reads the evidence and never the connection.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_pregreet(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
