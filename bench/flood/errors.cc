// One row for each errno that connect(2) to a mail server has been seen to give.

#include "bench/flood/errors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

#include "core/base/result.h"

namespace lychgate::flood {
namespace {

struct Advice {
  int error;
  std::string_view text;
};

constexpr Advice kAdvice[] = {
    {ECONNREFUSED, "nobody listens there: start the server, or correct address and port"},
    {ECONNRESET, "the server reset while connecting: its queue was full, or it died; see its log"},
    {ETIMEDOUT, "no answer to SYN: a full queue (net.core.somaxconn), a firewall, a host down"},
    {EADDRNOTAVAIL, "no port left, or a source that is not ours: more --sources or targets"},
    {EADDRINUSE, "no port left of this source: more --sources or targets"},
    {ENETUNREACH, "no route: correct the address, or --sources none"},
    {EHOSTUNREACH, "no route to the host, or a firewall says so"},
    {EINVAL, "source and target do not go together: --sources none"},
    {EACCES, "a broadcast address, or a firewall forbids it"},
    {EPERM, "a local firewall or security module forbids it"},
    {EMFILE, "descriptor limit of the process: ulimit -n, or a smaller --per-ring"},
    {ENFILE, "files of the machine: sysctl fs.file-max, or a smaller --parallel"},
    {ENOMEM, "memory of the kernel is used up: a smaller --parallel"},
    {ENOBUFS, "memory of the network is used up: a smaller --parallel, or sysctl net.ipv4.tcp_mem"},
    {EAGAIN, "no port left of this source: more --sources or targets"},
    {ECANCELED, "called off by the flood when the time was over"},
    {EAFNOSUPPORT, "the kernel has no such protocol: is IPv6 off?"},
};

}  // namespace

std::string errno_name(int error) {
  const char* name = strerrorname_np(error);
  return name == nullptr ? fmt::format("errno {}", error) : name;
}

std::string errno_advice(int error) {
  const auto* row = std::find_if(std::begin(kAdvice), std::end(kAdvice),
                                 [&](const Advice& advice) { return advice.error == error; });
  return row == std::end(kAdvice) ? errno_text(error) : std::string(row->text);
}

}  // namespace lychgate::flood
