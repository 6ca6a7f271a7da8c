// The server's half of an SMTP session, as little of RFC 5321 as the demo needs: EHLO, HELO, MAIL,
// RCPT, DATA and QUIT. Pure: a line in, a reply out. Keeps the last message; delivers nothing.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lychgate::demo {

class Dialogue {
 public:
  // name: what the server calls itself in its replies.
  explicit Dialogue(std::string name) : name_(std::move(name)) {}

  std::string greeting() const;
  // The complete reply to a line (without its line end); empty inside a message.
  std::string answer(std::string_view line);
  // What a server says that will not wait any longer.
  std::string farewell() const;

  bool has_quit() const { return has_quit_; }
  uint32_t messages() const { return messages_; }
  // With LF as its line end and without dot-stuffing, which the demo's clients do not need.
  const std::string& last_message() const { return message_; }

 private:
  std::string name_;
  bool in_message_ = false;
  bool has_quit_ = false;
  uint32_t messages_ = 0;
  std::string message_;
};

}  // namespace lychgate::demo
