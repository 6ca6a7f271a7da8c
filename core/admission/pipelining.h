// The pipelining test: the client sent its next command before it had the reply to the one before,
// though PIPELINING was not announced (RFC 2920 3.1).
// dialogue.pipelining.action says what that does. Pure: it reads what was found and never the
// connection.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_pipelining(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
