// A session of a mail server that the gate itself talks to: to check its health, or to say again
// what a client has said, before it passes the client's stream on. Checks every line that it is
// told against what the client said, answers each once, and goes wrong where its script says so.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/server.h"

namespace lychgate::sim {

// Whose reply.
enum class MailStep : uint8_t { kGreeting, kHello, kMail, kPending, kQuit };

enum class Trouble : uint8_t {
  kNone,
  kBusy,     // 421
  kRefusal,  // 554
  kGarbage,
  kNoCode,  // 999
  kMute,
  kClose,
  kReset,
  kEndless,  // line after line
  kHalf,     // of a line, then close
  kTwice,    // two replies
};

struct MailScript {
  ServerScript manners;
  Trouble trouble = Trouble::kNone;
  MailStep at = MailStep::kGreeting;
  bool in_pieces = false;
  std::vector<std::string> capabilities{};
};
MailScript draw_mail_script(Random& random, const ServerScript& manners, bool sick,
                            const std::vector<std::string>& capabilities);
// Of one backend, in one answer to EHLO.
std::vector<std::string> draw_capabilities(Random& random);

class MailSession : public Actor {
 public:
  // by_pass: over a socketpair, without a header.
  MailSession(Cast& cast, const SocketPtr& socket, const config::Pool& pool, bool by_pass,
              MailScript script);

  void written(ring::Op op, std::span<const char> bytes) override;
  void judge();

 private:
  void act() override;
  void read();
  void hear(std::string_view bytes);
  void skip_header(std::string_view& bytes);
  void obey(const std::string& line);
  void obey_check(const std::string& line);
  void told(std::span<const char> bytes);
  void answer(MailStep step);
  std::string reply(MailStep step);
  std::string right_reply(MailStep step);
  void write();
  void stream();
  void maybe_finish();
  void leave(bool by_reset);
  void fault(const std::string& text);
  bool is_check() const { return socket_->client == kNobody; }
  Client& client() { return *cast_.clients[socket_->client]; }

  Cast& cast_;
  SocketPtr socket_;
  const config::Pool& pool_;
  MailScript script_;
  uint32_t number_;
  std::string header_;      // PROXY header still to come; of a client
  std::string check_head_;  // what has come of the header of a check
  bool headed_ = false;
  std::string line_;
  size_t lines_due_ = 0;  // bytes of lines that the gate has sent
  bool replayed_ = false;
  bool streams_ = false;   // the client's bytes come
  bool answered_ = false;  // its last command
  bool hello_told_ = false;
  bool mail_told_ = false;
  bool greeted_ = false;
  bool left_ = false;
  bool closes_ = false;  // once all is said
  bool endless_ = false;
  uint64_t base_ = 0;  // of the client's bytes, those that the gate has kept
  uint64_t in_ = 0;
  std::string out_;  // still to be sent
  StreamOut stream_;
  Time connected_at_;
  Time next_write_ = 0;
};

}  // namespace lychgate::sim
