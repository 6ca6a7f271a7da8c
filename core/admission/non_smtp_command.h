// The non-SMTP command test: the client speaks another protocol (CONNECT, GET, POST, or a word that
// begins with no letter), as open proxies and web browsers do.
// dialogue.non_smtp_command.action says what that does. Pure: it reads what was found and never the
// connection.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_non_smtp_command(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
