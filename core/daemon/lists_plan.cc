// Files to lists, in the order in which an operator would want to hear of mistakes: catalogue,
// keys, sites, servers.

#include "core/daemon/lists_plan.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/limits.h"
#include "core/config/catalogue_files.h"
#include "dns/catalogue.h"
#include "dns/resolv_conf.h"

namespace lychgate::daemon {
namespace {

constexpr char kResolvConf[] = "/etc/resolv.conf";

// The file a secret is read from; systemd hands credentials over in a folder of their own.
Result<std::string> path_of(const config::SecretSource& source) {
  if (source.credential.empty()) return source.file;
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder != nullptr) return std::string(folder) + "/" + source.credential;
  return fail(ExitCode::kNoInput,
              fmt::format("[[secret]] \"{}\": credential \"{}\" is not there: "
                          "CREDENTIALS_DIRECTORY is not set; start the gate by systemd with "
                          "LoadCredential={}:/path, or use file",
                          source.name, source.credential, source.credential));
}

// Straight into private memory: the key must be nowhere else in this process.
Result<config::NamedSecret> read_secret(const config::SecretSource& source) {
  const auto path = path_of(source);
  if (!path) return tl::unexpected(path.error());
  auto value = Secret::create();
  if (!value) return tl::unexpected(value.error());
  const int fd = open(path->c_str(), O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : 0;
  while (fd >= 0 && !value->room().empty()) {
    got = read(fd, value->room().data(), value->room().size());
    if (got <= 0) break;
    value->grow(static_cast<size_t>(got));
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  if (got < 0) {
    return fail(ExitCode::kNoInput, fmt::format("[[secret]] \"{}\": cannot read {}: {}",
                                                source.name, *path, errno_text(error)));
  }
  const std::string_view text = value->reveal();
  value->shrink_to(text.find_last_not_of(" \t\r\n") + 1);
  if (value->size() == 0) {
    return fail(ExitCode::kConfig,
                fmt::format("[[secret]] \"{}\": {} is empty; expected the key alone on one line",
                            source.name, *path));
  }
  return config::NamedSecret{source.name, std::move(*value)};
}

Result<std::vector<config::NamedSecret>> read_secrets(const config::Config& config) {
  if (!config.secrets.empty()) refuse_core_dumps();
  std::vector<config::NamedSecret> secrets;
  for (const config::SecretSource& source : config.secrets) {
    auto secret = read_secret(source);
    if (!secret) return tl::unexpected(secret.error());
    secrets.push_back(std::move(*secret));
  }
  return secrets;
}

Result<void> write_zones(ListsPlan& plan) {
  auto memory = PrivateMemory::create(plan.lists.size() * dns::kNameBytesMax);
  if (!memory) return tl::unexpected(memory.error());
  plan.zone_bytes = std::move(*memory);
  for (size_t i = 0; i < plan.lists.size(); ++i) {
    const auto place = plan.zone_bytes.bytes().subspan(i * dns::kNameBytesMax, dns::kNameBytesMax);
    const auto size = dns::write_zone(plan.lists[i].zone.reveal(), place);
    if (!size) {
      return fail(ExitCode::kConfig,
                  fmt::format("dnsl.sites: \"{}\" is too long: with an IPv6 address in front it "
                              "would pass the 255 octets of a DNS name",
                              plan.lists[i].name));
    }
    plan.zones.push_back({place.first(*size)});
  }
  return {};
}

std::string joined(const std::vector<config::Problem>& problems) {
  std::string text;
  for (const config::Problem& problem : problems) {
    if (!text.empty()) text += '\n';
    text += problem.line();
  }
  return text;
}

}  // namespace

Result<ListsPlan> load_lists(const config::Config& config, const std::string& config_path) {
  ListsPlan plan;
  const auto catalogue = config::load_catalogue(dns::builtin_catalogue(), config.dnsl, config_path);
  if (!catalogue) return fail(catalogue.error().code, joined(catalogue.error().problems));
  const auto secrets = read_secrets(config);
  if (!secrets) return tl::unexpected(secrets.error());
  auto lists = config::make_lists(config.dnsl, *catalogue, *secrets);
  if (!lists) return fail(ExitCode::kConfig, fmt::format("{}", fmt::join(lists.error(), "\n")));
  plan.lists = std::move(lists->lists);
  plan.warnings = std::move(lists->warnings);
  if (plan.lists.empty()) return plan;
  if (auto written = write_zones(plan); !written) return tl::unexpected(written.error());
  plan.servers = config.dns.servers;
  if (plan.servers.empty()) {
    auto servers = dns::resolv_conf_servers(kResolvConf);
    if (!servers) return tl::unexpected(servers.error());
    plan.servers = std::move(*servers);
  }
  return plan;
}

}  // namespace lychgate::daemon
