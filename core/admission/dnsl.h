// The DNS lists test: the score is at or over dnsl.threshold. dnsl.action says what that does.
// Pure: it reads the evidence; the score itself is made in score.h.

#pragma once

#include "core/admission/verdict.h"

namespace lychgate::admission {

Verdict judge_dnsl(const Facts& facts, const config::Config& config);

}  // namespace lychgate::admission
