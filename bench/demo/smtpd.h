// A tiny mail server on the loop. Its door is either a unix socket that speaks the receiving side
// of Postfix's pass protocol (the client's own connection is handed over) or a TCP port that wants
// a PROXY v2 header first. Remembers every session; delivers nothing.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/demo/channel.h"
#include "bench/demo/dialogue.h"
#include "core/base/address.h"

namespace lychgate::demo {

struct SmtpdOptions {
  std::string name;                   // as in the greeting
  std::string pass_path;              // unix socket to listen on; empty: TCP on 127.0.0.1
  milliseconds patience{5 * 60'000};  // how long a client may be silent (RFC 5321 4.5.3.2.7)
};

// One client's session.
class Session : public Channel {
 public:
  Session(Loop& loop, const SmtpdOptions& options);
  // A connection that begins with a PROXY header.
  void serve_proxied(int fd);
  // A passed connection, whose client is known.
  void serve(int fd, const Endpoint& client);

  const Endpoint& client() const { return client_; }
  const Dialogue& dialogue() const { return dialogue_; }
  // Bytes of the session itself, both directions.

 private:
  void greet();
  void received() override;
  void ended(int) override {}
  void wake() override;

  const SmtpdOptions& options_;
  Dialogue dialogue_;
  Endpoint client_;
  bool introduced_ = false;
  Instant heard_at_{};
};

class Smtpd : public Task {
 public:
  static Result<std::unique_ptr<Smtpd>> open(Loop& loop, const SmtpdOptions& options);
  ~Smtpd() override;
  Smtpd(const Smtpd&) = delete;
  Smtpd& operator=(const Smtpd&) = delete;

  // What the gate's configuration calls this server.
  const std::string& backend() const { return backend_; }
  const std::string& name() const { return options_.name; }
  // The session of a client by the address this server was told; nullptr: none.
  const Session* find(const Endpoint& client) const;
  const std::vector<std::unique_ptr<Session>>& sessions() const { return sessions_; }

 private:
  class PassDoor;
  Smtpd(Loop& loop, const SmtpdOptions& options, int fd);
  void complete(const ring::Completion& completion) override;
  void wake() override {}
  void listen();

  Loop& loop_;
  const SmtpdOptions options_;
  const uint32_t id_;
  int fd_;
  std::string backend_;
  std::vector<std::unique_ptr<PassDoor>> doors_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace lychgate::demo
