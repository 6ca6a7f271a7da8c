// What is remembered of one client, for `why`, `allow`, `deny` and `forget`. Pure, told the time.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/client_record.h"

namespace lychgate::daemon {

struct RecordParts {
  std::string_view client;             // "192.0.2.1", "2001:db8::/64"
  std::string_view store;              // "good", or what is wrong with it
  bool is_open = false;                // something can be remembered
  std::optional<ClientRecord> record;  // none: a stranger, or no store
  Seconds now = 0;
};

std::string record_text(const RecordParts& parts);
// One object: client, store, record (null: none) with seconds since 1970 (null: never, or over).
std::string record_json(const RecordParts& parts);

}  // namespace lychgate::daemon
