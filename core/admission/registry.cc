// The rows: of several tests failed under `enforce`, the last row names the reply.

#include "core/admission/registry.h"

#include <array>

#include "core/admission/denylist.h"
#include "core/admission/dnsl.h"
#include "core/admission/pregreet.h"

namespace lychgate::admission {
namespace {

constexpr std::array<AdmissionTest, 3> kRows = {{
    {"denylist", judge_denylist},
    {"pregreet", judge_pregreet},
    {"dnsl", judge_dnsl},
}};

}  // namespace

const std::span<const AdmissionTest> kAdmissionTests(kRows);

}  // namespace lychgate::admission
