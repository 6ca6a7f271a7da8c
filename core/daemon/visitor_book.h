// A shard's way to look a client up: a seam, so that the simulator can remember in its own way. The
// real one reads the store's map. Writes nothing; what a shard learns goes through its outbox.

#pragma once

#include <optional>
#include <string>

#include "core/base/client_record.h"
#include "core/base/time.h"
#include "core/config/config.h"
#include "core/store/store.h"

namespace lychgate::daemon {

class VisitorBook {
 public:
  virtual ~VisitorBook() = default;
  // nullopt: a stranger.
  virtual std::optional<ClientRecord> find(const ClientKey& key) = 0;
  // Once a turn, after which a later commit may be read.
  virtual void end_turn() = 0;
};

// While the store cannot be opened everybody is a stranger; the steward says why.
class StoreBook : public VisitorBook {
 public:
  explicit StoreBook(const store::Options& options) : options_(options) {}
  // Opens the store if it is not open: at once, then once in kStoreReopenMs. As often it looks
  // whether the file that is open has been set aside for another, and a file that was cut short is
  // closed at once. Outside of a turn. A sentence for the log, if there is something to say.
  std::optional<std::string> keep_open(Tick now);
  std::optional<ClientRecord> find(const ClientKey& key) override;
  void end_turn() override;

 private:
  store::Options options_;
  std::optional<store::View> view_;
  std::optional<Tick> look_at_;  // none before the first
};

// The configuration in the store's own words.
store::Options store_options(const config::Store& config);
PrefixLengths prefix_lengths(const config::Store& config);

}  // namespace lychgate::daemon
