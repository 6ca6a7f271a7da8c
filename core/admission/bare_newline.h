// The bare newline test: the client ended a line with LF alone, which RFC 5321 2.3.8 forbids.
// dialogue.bare_newline.action says what that does. Pure: it reads what was found and never the
// connection.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_bare_newline(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
