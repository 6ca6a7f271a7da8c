// ldns reads the file; a look at its lines beside that guards against what ldns does silently: it
// takes the line behind a keyword without a value for that value, finds servers in the middle of
// lines and in some comments, and cuts interface names off IPv6 addresses.

#include "dns/resolv_conf.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "core/base/limits.h"

namespace lychgate::dns {
namespace {

constexpr uint16_t kPort = 53;
constexpr size_t kFileBytesMax = 65536;  // a resolv.conf of more is something else

struct Freed {
  void operator()(ldns_resolver* resolver) const { ldns_resolver_deep_free(resolver); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};

tl::unexpected<Error> wrong(ExitCode code, const std::string& path, const std::string& what) {
  return fail(code,
              fmt::format("{}: {}; correct it or name the servers in dns.servers", path, what));
}

Result<std::string> read_text(const std::string& path) {
  const std::unique_ptr<std::FILE, Freed> file(std::fopen(path.c_str(), "re"));
  std::string text(kFileBytesMax, '\0');
  if (!file) return wrong(ExitCode::kNoInput, path, "cannot be opened: " + errno_text(errno));
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0)
    return wrong(ExitCode::kNoInput, path, "cannot be read: " + errno_text(errno));
  if (text.size() == kFileBytesMax)
    return wrong(ExitCode::kConfig, path, fmt::format("is {} bytes or more", kFileBytesMax));
  return text;
}

// The words behind `nameserver` as libc finds them: the keyword must start its line
// (resolv.conf(5)).
std::vector<std::string_view> named_servers(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  constexpr std::string_view kKeyword = "nameserver";
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(kKeyword)) continue;
    line.remove_prefix(kKeyword.size());
    if (!line.empty() && kBlanks.find(line[0]) == std::string_view::npos) continue;
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    out.push_back(line.substr(0, line.find_first_of(kBlanks)));
  }
  return out;
}

IpAddress address_of(const ldns_rdf* server) {
  IpAddress out;
  const bool v4 = ldns_rdf_get_type(server) == LDNS_RDF_TYPE_A;
  if (v4) out = IpAddress::from_v4(0);
  uint8_t* const to = out.bytes.data() + (v4 ? 12 : 0);
  std::copy_n(ldns_rdf_data(server), v4 ? 4 : 16, to);
  return out;
}

}  // namespace

Result<std::vector<Endpoint>> resolv_conf_servers(const std::string& path) {
  const Result<std::string> text = read_text(path);
  if (!text) return tl::unexpected<Error>(text.error());
  const std::vector<std::string_view> named = named_servers(*text);
  for (const std::string_view word : named) {
    if (word.find('%') != std::string_view::npos)
      return wrong(ExitCode::kConfig, path,
                   fmt::format("nameserver {} names an interface, which is not supported", word));
    if (!IpAddress::parse(word))
      return wrong(ExitCode::kConfig, path,
                   fmt::format("nameserver \"{}\" is not an IPv4 or IPv6 address", word));
  }
  ldns_resolver* raw = nullptr;
  const ldns_status status = ldns_resolver_new_frm_file(&raw, path.c_str());
  if (status != LDNS_STATUS_OK)
    return wrong(ExitCode::kConfig, path,
                 fmt::format("cannot be understood: {}", ldns_get_errorstr_by_id(status)));
  const std::unique_ptr<ldns_resolver, Freed> resolver(raw);
  const size_t count = ldns_resolver_nameserver_count(raw);
  if (count != named.size())
    return wrong(
        ExitCode::kConfig, path,
        fmt::format("`nameserver` begins {} of its lines, yet {} servers are read; the word "
                    "must start its line, and no keyword may lack its value",
                    named.size(), count));
  std::vector<Endpoint> out;
  for (size_t i = 0; i < std::min<size_t>(count, kDnsServersMax); ++i) {
    out.push_back({address_of(ldns_resolver_nameservers(raw)[i]), kPort});
  }
  if (out.empty()) out.push_back({IpAddress::from_v4(0x7f000001), kPort});
  return out;
}

}  // namespace lychgate::dns
