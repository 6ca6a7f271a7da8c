// The text of dns/catalogue.toml, compiled in, so that the gate knows the well-known lists without
// any file. Only the text: core/config/catalogue.h reads it.

#pragma once

#include <string_view>

namespace lychgate::dns {

std::string_view builtin_catalogue();

}  // namespace lychgate::dns
