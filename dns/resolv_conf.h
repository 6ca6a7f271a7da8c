// The name servers of a resolv.conf(5), read by ldns at start-up. Asks nobody anything; search
// lists and options of the file do not concern us, whose names are all absolute.

#pragma once

#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"

namespace lychgate::dns {

// In the file's order, port 53, at most kDnsServersMax (those beyond are not used, as libc does
// with those beyond three). A file without any means 127.0.0.1, as resolv.conf(5) says. A file that
// is missing or wrong is an error here, although libc would carry on: a gate whose lists are never
// asked should say so when it starts.
Result<std::vector<Endpoint>> resolv_conf_servers(const std::string& path);

}  // namespace lychgate::dns
