// Why a connect failed, for operators: the errno's name, what it means here, and what to do. Pure.

#pragma once

#include <string>
#include <string_view>

namespace lychgate::flood {

// "ECONNREFUSED"; "errno 1234" for one without a name.
std::string errno_name(int error);
// Meaning and remedy; the system's own words for one we have nothing to say about.
std::string errno_advice(int error);

}  // namespace lychgate::flood
