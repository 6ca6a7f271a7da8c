// The gate's log file, read as it grows. Owns its place in it.

#pragma once

#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace lychgate::demo {

class GateLog {
 public:
  explicit GateLog(std::string path) : path_(std::move(path)) {}

  // The text of the next line that holds `mark`, without time, host and program; nullopt: not yet.
  std::optional<std::string> next(std::string_view mark);

 private:
  const std::string path_;
  std::streamoff at_ = 0;
};

}  // namespace lychgate::demo
