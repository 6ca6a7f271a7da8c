// Limits, files and the kernel, checked in the order in which an operator would want to hear of
// them: kernel, configuration's files, descriptors.

#include "core/daemon/plan.h"

#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/daemon/log.h"
#include "core/daemon/sizes.h"
#include "core/smtp/replies.h"

namespace lychgate::daemon {
namespace {

// Listeners, pipes, log and the descriptors of hand-offs in progress, beside the slot table.
constexpr rlim_t kDescriptorsMin = 512;
static_assert(kDescriptorsMin >= 8 * kSlotsMin);

Result<std::string> read_file(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  std::string text;
  bool good = file != nullptr;
  char chunk[65536];
  while (good) {
    const size_t got = std::fread(chunk, 1, sizeof(chunk), file.get());
    text.append(chunk, got);
    good = std::ferror(file.get()) == 0;
    if (got < sizeof(chunk)) break;
  }
  if (good) return text;
  return fail(ExitCode::kNoInput,
              fmt::format("cannot read the access list {}: {}", path, errno_text(errno)));
}

Result<void> size_by_descriptors(Plan& plan) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < kDescriptorsMin) {
    return fail(ExitCode::kOsError,
                fmt::format("descriptor limit too low: {} are needed, the hard limit is {}; raise "
                            "LimitNOFILE (ulimit -Hn) to at least {}",
                            kDescriptorsMin, limit.rlim_max, kDescriptorsMin));
  }
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const auto most = static_cast<uint32_t>(std::min<rlim_t>(limit.rlim_max, kTableSlotsMax));
  const auto sizes = size_shard(plan.config.limits.per_shard, most);
  if (!sizes) return tl::unexpected(sizes.error());
  plan.config.limits.per_shard = sizes->clients;
  plan.slots = sizes->slots;
  plan.table_slots = sizes->table_slots;
  // Each bulk relay holds two real descriptors; a quarter of them stays for everything else.
  plan.bulk_relays_max = static_cast<uint32_t>(std::min<rlim_t>(limit.rlim_max, 1u << 20) * 3 / 8);
  return {};
}

}  // namespace

Result<std::optional<admission::AccessList>> load_access_list(const config::Access& access) {
  if (access.file.empty()) return std::optional<admission::AccessList>();
  const auto text = read_file(access.file);
  if (!text) return tl::unexpected(text.error());
  auto parsed = admission::AccessList::parse(*text);
  if (parsed) return std::optional<admission::AccessList>(std::move(*parsed));
  std::string lines;
  for (const admission::AccessProblem& problem : parsed.error()) {
    if (!lines.empty()) lines += '\n';
    lines += fmt::format("{}:{}: {}", access.file, problem.line, problem.text);
  }
  return fail(ExitCode::kConfig, std::move(lines));
}

namespace {

// One line for each unix backend that `wrong_with` objects to.
Result<void> check_paths(const config::Config& config, ExitCode code,
                         std::string (*wrong_with)(const char* path)) {
  std::string lines;
  for (const config::Pool& pool : config.pools) {
    for (const config::Backend& backend : pool.backends) {
      if (backend.address.family() != AF_UNIX) continue;
      const std::string wrong = wrong_with(backend.address.path.sun_path);
      if (wrong.empty()) continue;
      if (!lines.empty()) lines += '\n';
      lines += fmt::format("pool \"{}\": backend {}: {}", pool.name, backend.text, wrong);
    }
  }
  if (lines.empty()) return {};
  return fail(code, std::move(lines));
}

}  // namespace

Result<void> check_backends(const config::Config& config) {
  return check_paths(config, ExitCode::kUnavailable, [](const char* path) -> std::string {
    struct stat status {};
    if (stat(path, &status) != 0) {
      return errno_text(errno) + "; start the service first, or correct the path";
    }
    return S_ISSOCK(status.st_mode) ? "" : "not a socket; correct the path";
  });
}

Result<void> check_backend_rights(const config::Config& config) {
  return check_paths(config, ExitCode::kNoPermission, [](const char* path) -> std::string {
    if (access(path, W_OK) == 0) return "";
    return errno_text(errno) + "; let `user` reach the socket (its group, or the folder's rights)";
  });
}

namespace {

// systemd names the folders of StateDirectory= in the environment, with colons between them.
std::string default_store() {
  const char* folders = std::getenv("STATE_DIRECTORY");
  if (folders == nullptr || *folders == '\0') return "";
  const std::string_view all(folders);
  return fmt::format("{}/clients.mdb", all.substr(0, all.find(':')));
}

}  // namespace

Result<Plan> make_plan(const config::Config& config, const std::string& config_path) {
  Plan plan;
  plan.loaded = config;
  plan.config = config;
  auto features = ring::probe_features();
  if (!features) return tl::unexpected(features.error());
  plan.features = *features;
  auto access = load_access_list(config.access);
  if (!access) return tl::unexpected(access.error());
  plan.access = std::move(*access);
  auto lists = load_lists(config, config_path);
  if (!lists) return tl::unexpected(lists.error());
  plan.lists = std::move(*lists);
  if (auto good = check_backends(config); !good) return tl::unexpected(good.error());
  if (auto sized = size_by_descriptors(plan); !sized) return tl::unexpected(sized.error());
  if (plan.config.shards == 0) {
    plan.config.shards = std::clamp(std::thread::hardware_concurrency(), 1u, kShardsMax);
  }
  // The address index counts to 65,535; a client may never come near it.
  if (plan.config.limits.per_address == 0) plan.config.limits.per_address = kClientsPerAddressMax;
  if (getrandom(plan.key.data(), sizeof(plan.key), 0) != sizeof(plan.key)) {
    return fail(ExitCode::kOsError, fmt::format("getrandom failed: {}", errno_text(errno)));
  }
  if (plan.config.store.file.empty()) plan.config.store.file = default_store();
  plan.hostname = host_name();
  plan.teaser = smtp::teaser_line({.banner = config.greet.banner, .hostname = plan.hostname});
  return plan;
}

}  // namespace lychgate::daemon
