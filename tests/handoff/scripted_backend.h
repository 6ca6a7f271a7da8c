// Backends of the tests over a real ring: a listener on loopback or a pass service, whose
// connections answer line by line from a script, with the faults that a script may ask for. Never
// blocks: the test pumps it between turns.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/config/config.h"
#include "tests/ring/harness.h"

namespace lychgate::handoff {

struct Script {
  // The greeting, then the reply to each line; each whole, with its ends. Empty: nothing is said.
  std::vector<std::string> replies = {};
  // After so many replies it closes; as many as there are: once it has nothing more to say.
  size_t closes_after = SIZE_MAX;
  bool in_bytes = false;       // each reply one byte a pump
  bool endless = false;        // behind the last reply line after line without end
  bool takes_nothing = false;  // pass: dies with the descriptor in its queue
};

class ScriptedBackend {
 public:
  enum class Kind { kTcp, kPass };
  ScriptedBackend(Kind kind, Script script);

  // "tcp:..." or "pass:..." for the configuration.
  config::Backend settings() const;
  // Accepts, reads and writes what can be without waiting.
  void pump();
  // For the connections that come.
  void change(Script script) { script_ = std::move(script); }
  uint32_t connections() const { return connections_; }
  // Lines that came on the last connection, each with its end, behind the PROXY header.
  const std::string& heard() const { return heard_; }
  const std::string& header() const { return header_; }          // PROXY header
  const std::string& attributes() const { return attributes_; }  // pass
  // From now on the connection is no longer a script's: bytes as they are.
  ring::Fd& connection() { return connection_; }

 private:
  void accept();
  ring::Fd take_passed(ring::Fd from);
  void read();
  void obey(char byte);
  void say(size_t step);
  void write();

  Kind kind_;
  Script script_;
  ring::Listener tcp_;
  std::unique_ptr<ring::UnixListener> unix_;
  ring::Fd connection_;
  ring::Fd passing_;
  uint32_t connections_ = 0;
  size_t said_ = 0;
  std::string out_;
  std::string header_;
  std::string attributes_;
  std::string heard_;
};

}  // namespace lychgate::handoff
