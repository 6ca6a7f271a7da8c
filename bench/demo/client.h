// One client of the demo on the loop: connects from its own address, behaves as its kind does,
// checks every reply against what its kind should hear, and remembers when it heard what.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/demo/cast.h"
#include "bench/demo/channel.h"
#include "core/base/address.h"

namespace lychgate::demo {

class Client : public Channel {
 public:
  struct Call {
    uint32_t number;  // among its kind; makes its address
    Endpoint gate;
    Instant when;  // to connect
  };
  Client(Loop& loop, const Kind& kind, const Call& call);

  const Kind& kind() const { return kind_; }
  const Endpoint& source() const { return source_; }
  const std::string& message() const { return message_; }
  bool was_teased() const { return teased_at_.has_value(); }
  // Told to wait and not yet told anything else.
  bool is_held() const { return is_open() && was_teased() && !decided_at_; }
  bool has_finished() const { return finished_; }

  // How long between the teaser and the decision; nullopt: was not told to wait.
  std::optional<Clock::duration> held_for() const;
  // From connect to 220; nullopt: was never greeted.
  std::optional<Clock::duration> greeted_after() const;
  bool was_refused() const { return refused_; }

  // What went wrong in words; empty: nothing.
  const std::string& problem() const { return problem_; }
  const std::vector<std::string>& heard() const { return heard_; }

 private:
  void wake() override;
  void connect();
  void received() override;
  void ended(int error) override;
  void hear(const std::string& line);
  void reply_complete(std::string_view line);
  bool check_hold();
  void speak();
  void give_up(std::string problem);

  const Kind& kind_;
  const Endpoint gate_;
  Endpoint source_;
  std::string message_;
  bool called_ = false;
  bool finished_ = false;
  bool refused_ = false;
  bool greeted_ = false;
  size_t step_ = 0;  // replies heard, of kind_.codes
  Instant called_at_{};
  std::optional<Instant> teased_at_;
  std::optional<Instant> decided_at_;
  std::vector<std::string> heard_;
  std::string problem_;
};

}  // namespace lychgate::demo
