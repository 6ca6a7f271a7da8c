// The DNS lists of a start: catalogue, keys and servers read, zones in wire form. Reads files; asks
// nobody. Made once, before privileges are dropped, and const afterwards.

#pragma once

#include <string>
#include <vector>

#include "core/base/private_memory.h"
#include "core/base/result.h"
#include "core/config/config.h"
#include "core/config/lists.h"
#include "dns/wire.h"

namespace lychgate::daemon {

struct ListsPlan {
  std::vector<config::List> lists;  // empty: nothing is ever asked
  std::vector<Endpoint> servers;
  PrivateMemory zone_bytes;          // the zones in wire form, keys and all
  std::vector<dns::ZoneName> zones;  // one a list
  std::vector<std::string> warnings;
};

// config_path: the configuration's file, beside which catalogue.d may lie; empty: none.
// Errors name every site, catalogue line, secret or server that is wrong, one a line.
Result<ListsPlan> load_lists(const config::Config& config, const std::string& config_path);

}  // namespace lychgate::daemon
