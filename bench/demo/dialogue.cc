// The replies and which command gets which.

#include "bench/demo/dialogue.h"

#include <fmt/format.h>

namespace lychgate::demo {

std::string Dialogue::greeting() const {
  return fmt::format("220 {} ESMTP\r\n", name_);
}

std::string Dialogue::farewell() const {
  return fmt::format("421 4.4.2 {} Error: timeout exceeded\r\n", name_);
}

std::string Dialogue::answer(std::string_view line) {
  if (in_message_) {
    if (line != ".") {
      message_.append(line).push_back('\n');
      return {};
    }
    in_message_ = false;
    ++messages_;
    return "250 2.0.0 Ok: taken\r\n";
  }
  const std::string_view verb = line.substr(0, 4);
  if (verb == "EHLO") return fmt::format("250-{}\r\n250 ENHANCEDSTATUSCODES\r\n", name_);
  if (verb == "HELO") return fmt::format("250 {}\r\n", name_);
  if (verb == "MAIL") return "250 2.1.0 Ok\r\n";
  if (verb == "RCPT") return "250 2.1.5 Ok\r\n";
  if (verb == "DATA") {
    in_message_ = true;
    message_.clear();
    return "354 End data with <CR><LF>.<CR><LF>\r\n";
  }
  if (verb == "QUIT") {
    has_quit_ = true;
    return "221 2.0.0 Bye\r\n";
  }
  return "502 5.5.2 Error: command not recognized\r\n";
}

}  // namespace lychgate::demo
