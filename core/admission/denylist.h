// The denylist test: the access list said `reject`. access.reject says what that does.
// Pure: it reads the evidence and never the connection.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_denylist(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
