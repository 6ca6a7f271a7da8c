// The SMTP side of the clients that talk: what a legitimate client, a bot and an early talker say,
// and what they make of each reply. Pure: bytes in, words to send and an ending out.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "bench/flood/plan.h"
#include "bench/flood/tally.h"
#include "core/smtp/replies.h"
#include "core/smtp/reply_reader.h"

namespace lychgate::flood {

// The words of one kind of client, written once and shared by all of that kind.
struct Script {
  std::string ehlo;  // with CRLF, like all whole commands
  std::string helo;
  std::string early;  // what an early talker says
  std::string mail;   // without CRLF: SIZE may follow
  std::string rcpt;
  std::string head;   // header fields, less Message-ID
  std::string body;   // empty line, text with its dots stuffed, final dot
  std::string host;   // right side of Message-ID
  std::string noise;  // EHLO and many NOOPs, for who never reads
};
Script write_script(const Plan& plan, const Manners& manners, std::string_view date);
// Lines of text of `bytes` in all, some beginning with a dot, each such dot doubled (RFC 5321,
// 4.5.2), ended by the final dot.
std::string write_text(uint32_t bytes);

// Pieces to be sent one after the other in one go; they point into a Script and a Talk.
struct Words {
  std::array<std::string_view, 3> parts{};
  uint32_t count = 0;

  bool empty() const { return count == 0; }
  void add(std::string_view part) { parts[count++] = part; }
};

// What came of the bytes that were heard.
struct Move {
  Words say;
  std::optional<Ending> end;
  bool greeted = false;     // this was the final line of 220
  bool delivered = false;   // the message was accepted
  bool transacted = false;  // QUIT was answered
};

using ReplyCounts = std::map<int, uint64_t>;

class Talk {
 public:
  Talk() = default;
  Talk(const Talk&) = delete;  // the reader's storage is in it
  // REQUIRES: a profile that talks and reads: legit, bot or early.
  void begin(Profile profile, uint64_t sequence);
  Move hear(std::string_view bytes, const Script& script, ReplyCounts& replies);
  // The ending when the server closes, resets or lets the time pass (kClosed, kReset, kTimedOut).
  Ending ended_by(Ending what) const;

 private:
  enum class Due : uint8_t { kGreeting, kEhlo, kHelo, kMail, kRcpt, kData, kMessage, kQuit };

  void answer(uint16_t code, const Script& script, Move& move);
  void answer_as_legit(uint16_t code, const Script& script, Move& move);
  void answer_as_bot(uint16_t code, const Script& script, Move& move);
  void answer_as_early(uint16_t code, Move& move);
  void say_next(const Script& script, Move& move);
  std::string mail_command(const Script& script) const;
  std::string message_head(const Script& script) const;

  std::array<char, smtp::kReplyLineMax> line_{};
  smtp::ReplyReader reader_{line_};
  std::string text_;  // our own words while they are being sent
  uint64_t sequence_ = 0;
  Profile profile_ = Profile::kLegit;
  Due due_ = Due::kGreeting;  // the reply that comes next
  bool size_ = false;         // SIZE was announced
  bool refused_ = false;      // a 4xx or 5xx was read
  bool delivered_ = false;    // the bot's message was accepted
};

}  // namespace lychgate::flood
