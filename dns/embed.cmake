# Writes a text file as a C++ string: cmake -DFROM=file -DTO=file.cc -P embed.cmake
file(READ "${FROM}" text)
file(WRITE "${TO}" "// Generated from dns/catalogue.toml.

#include \"dns/catalogue.h\"

namespace lychgate::dns {

std::string_view builtin_catalogue() {
  return R\"catalogue(${text})catalogue\";
}

}  // namespace lychgate::dns
")
