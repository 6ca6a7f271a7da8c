// Opened anew for each look, since the end of file sticks to a stream.

#include "bench/demo/gate_log.h"

namespace lychgate::demo {

std::optional<std::string> GateLog::next(std::string_view mark) {
  std::ifstream file(path_);
  file.seekg(at_);
  // A line without its end is still being written.
  for (std::string line; std::getline(file, line) && !file.eof();) {
    at_ = file.tellg();
    if (line.find(mark) == std::string::npos) continue;
    const size_t text = line.find("]: ");
    return text == std::string::npos ? line : line.substr(text + 3);
  }
  return std::nullopt;
}

}  // namespace lychgate::demo
