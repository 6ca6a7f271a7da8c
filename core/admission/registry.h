// The admission tests, one row each, in the order in which their answers count.
// A new test is its own file and a row in registry.cc; nothing else here changes.

#pragma once

#include <span>
#include <string_view>

#include "core/admission/verdict.h"

namespace lychgate::admission {

struct AdmissionTest {
  std::string_view name;
  // kPass when the test was passed, was not run, or its action is `ignore`.
  Verdict (*judge)(const Facts& facts, const config::Config& config);
};

extern const std::span<const AdmissionTest> kAdmissionTests;

}  // namespace lychgate::admission
