// The rows: of several tests failed under `enforce`, the last row names the reply.

#include "core/admission/registry.h"

#include <array>

#include "core/admission/bare_newline.h"
#include "core/admission/denylist.h"
#include "core/admission/dnsl.h"
#include "core/admission/non_smtp_command.h"
#include "core/admission/pipelining.h"
#include "core/admission/pregreet.h"

namespace lychgate::admission {
namespace {

constexpr std::array<AdmissionTest, 6> kRows = {{
    {"denylist", judge_denylist},
    {"pregreet", judge_pregreet},
    {"dnsl", judge_dnsl},
    {"pipelining", judge_pipelining},
    {"non_smtp_command", judge_non_smtp_command},
    {"bare_newline", judge_bare_newline},
}};

}  // namespace

const std::span<const AdmissionTest> kAdmissionTests(kRows);

}  // namespace lychgate::admission
