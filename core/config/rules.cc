// One function per rule or small group of rules; each complains at the later of two rivals.

#include "core/config/rules.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/config/values.h"

namespace lychgate::config {
namespace {

bool given(const Draft& draft, std::string_view path) {
  return draft.spots.contains(path);
}

// The place of a key, or of the nearest thing around it that was written down.
Spot spot_of(const Draft& draft, std::string path) {
  for (;;) {
    if (const auto found = draft.spots.find(path); found != draft.spots.end()) return found->second;
    const size_t dot = path.rfind('.');
    if (dot == std::string::npos) return {};
    path.resize(dot);
  }
}

void complain(Draft& draft, std::string path, std::string text) {
  draft.errors.push_back({spot_of(draft, std::move(path)), std::move(text)});
}

void warn(Draft& draft, std::string path, std::string text) {
  draft.warnings.push_back({spot_of(draft, std::move(path)), std::move(text)});
}

bool fits(Draft& draft, std::string_view section, size_t count, uint32_t most) {
  if (count <= most) return true;
  complain(draft, fmt::format("{}[{}]", section, most),
           fmt::format("one [[{}]] too many, expected at most {}", section, most));
  return false;
}

// The rules below compare entries pair by pair; these bounds keep that cheap.
bool check_counts(Draft& draft) {
  const Config& config = draft.config;
  const bool listens = fits(draft, "listen", config.listens.size(), kListenersMax);
  const bool pools = fits(draft, "pool", config.pools.size(), kPoolsMax);
  const bool routes = fits(draft, "route", config.routes.size(), kRoutesMax);
  // Each list takes one key at most, as a rule.
  const bool secrets = fits(draft, "secret", config.secrets.size(), kListsMax);
  return listens && pools && routes && secrets;
}

// A listener without a name of its own is called by its address.
bool has_own_name(const Listen& listen) {
  return Endpoint::parse(listen.name) != listen.address;
}

void check_listens(Draft& draft) {
  auto& listens = draft.config.listens;
  for (size_t i = 0; i < listens.size(); ++i) {
    if (!given(draft, fmt::format("listen[{}].address", i))) continue;
    for (size_t j = 0; j < i; ++j) {
      const bool same_address =
          listens[i].address == listens[j].address && listens[i].address.port != 0;
      if (same_address) {
        complain(draft, fmt::format("listen[{}].address", i),
                 fmt::format("{} is already listened on, expected each address once",
                             endpoint_text(listens[i].address)));
        break;
      }
      const bool own = has_own_name(listens[i]) || has_own_name(listens[j]);
      if (own && listens[i].name == listens[j].name) {
        complain(draft, fmt::format("listen[{}].name", i),
                 fmt::format("a listener called {} already exists, expected each name once",
                             toml_quoted(listens[i].name)));
        break;
      }
    }
  }
  if (!listens.empty()) return;
  Listen standard;
  standard.name = "127.0.0.1:2525";
  standard.address = {IpAddress::from_v4(0x7f000001), 2525};
  listens.push_back(standard);
}

// Without a list of peers anybody could say that he is anybody else.
void check_proxies(Draft& draft) {
  const auto& listens = draft.config.listens;
  for (size_t i = 0; i < listens.size(); ++i) {
    const std::string path = fmt::format("listen[{}]", i);
    const Listen& listen = listens[i];
    if (listen.proxy_protocol && listen.trusted.empty()) {
      complain(draft, path + ".proxy_protocol",
               "proxy_protocol without trusted, expected the addresses of the balancers such as "
               "trusted = [\"192.0.2.0/24\"]");
    }
    if (!listen.proxy_protocol && !listen.trusted.empty()) {
      complain(draft, path + ".trusted", "trusted counts with proxy_protocol = true only");
    }
    if (listen.proxy_protocol && draft.config.greet.hold == Hold::kKernel) {
      complain(draft, path + ".proxy_protocol",
               "proxy_protocol: the kernel would keep the balancer waiting, expected greet.hold = "
               "\"gate\"");
    }
  }
}

// Nothing is said and nobody looked at while the kernel keeps a client.
void check_kernel_hold(Draft& draft) {
  Greet& greet = draft.config.greet;
  if (greet.wait.count() == 0 || greet.wait > kKernelWaitMax) {
    complain(draft, given(draft, "greet.wait") ? "greet.wait" : "greet.hold",
             fmt::format("greet.wait: is {}, expected 1s to {} with greet.hold = \"kernel\"",
                         duration_text(greet.wait), duration_text(kKernelWaitMax)));
  }
  if (given(draft, "greet.early_look") && greet.early_look.count() != 0) {
    complain(draft, "greet.early_look",
             "greet.early_look: early talkers come at once with greet.hold = \"kernel\", expected "
             "\"0s\"");
  }
  if (given(draft, "greet.banner") && !greet.banner.empty()) {
    complain(draft, "greet.banner",
             "greet.banner: the kernel says nothing with greet.hold = \"kernel\", expected \"\"");
  }
  greet.early_look = milliseconds(0);
  greet.banner.clear();
}

void check_greet(Draft& draft) {
  Greet& greet = draft.config.greet;
  if (greet.hold == Hold::kKernel) return check_kernel_hold(draft);
  if (greet.early_look.count() == 0 || greet.early_look < greet.wait) return;
  if (!given(draft, "greet.early_look")) {
    greet.early_look = milliseconds(0);
    return;
  }
  if (greet.wait.count() == 0) return;
  complain(draft, "greet.early_look",
           fmt::format("greet.early_look: is {}, expected less than greet.wait ({})",
                       duration_text(greet.early_look), duration_text(greet.wait)));
}

// Lists are asked while the client waits: without a wait no answer could ever count.
void check_lists(Draft& draft) {
  const Config& config = draft.config;
  if (config.dnsl.sites.empty() || config.greet.wait.count() != 0) return;
  complain(draft, "dnsl.sites",
           "dnsl.sites: no list could answer in time with greet.wait = \"0s\", expected a wait "
           "such as \"6s\"");
}

void check_greylist(Draft& draft) {
  const Greylist& greylist = draft.config.greylist;
  if (greylist.delay <= greylist.window) return;
  complain(draft, "greylist.delay",
           fmt::format("greylist.delay: is {}, expected at most greylist.window ({})",
                       duration_text(greylist.delay), duration_text(greylist.window)));
}

void check_secrets(Draft& draft) {
  const auto& secrets = draft.config.secrets;
  for (size_t i = 0; i < secrets.size(); ++i) {
    const std::string path = fmt::format("secret[{}]", i);
    if (secrets[i].file.empty() == secrets[i].credential.empty()) {
      complain(draft, path,
               fmt::format("[[secret]] with {}, expected exactly one of file and credential",
                           secrets[i].file.empty() ? "neither" : "both"));
    }
    const bool twice = std::any_of(secrets.begin(), secrets.begin() + static_cast<ptrdiff_t>(i),
                                   [&](const SecretSource& other) {
                                     return other.name == secrets[i].name && !other.name.empty();
                                   });
    if (!twice) continue;
    complain(draft, path + ".name",
             fmt::format("a secret called {} already exists, expected each name once",
                         hide_keys(toml_quoted(secrets[i].name))));
  }
}

std::optional<uint32_t> find_pool(const Config& config, std::string_view name) {
  const auto found = std::find_if(config.pools.begin(), config.pools.end(),
                                  [&](const Pool& pool) { return pool.name == name; });
  if (found == config.pools.end()) return std::nullopt;
  return static_cast<uint32_t>(found - config.pools.begin());
}

// The index a pool's name stands for; complains about an unknown one.
std::optional<uint32_t> resolve_pool(Draft& draft, const std::string& name,
                                     const std::string& path) {
  if (name.empty()) return std::nullopt;
  const auto index = find_pool(draft.config, name);
  if (!index && draft.complete) {
    complain(draft, path,
             fmt::format("no [[pool]] is called {}, expected the name of one", toml_quoted(name)));
  }
  return index;
}

void check_pool_names(Draft& draft) {
  const auto& pools = draft.config.pools;
  for (uint32_t i = 0; i < pools.size(); ++i) {
    if (pools[i].name.empty() || find_pool(draft.config, pools[i].name) == i) continue;
    complain(draft, fmt::format("pool[{}].name", i),
             fmt::format("a pool called {} already exists, expected each name once",
                         toml_quoted(pools[i].name)));
  }
}

void check_fallbacks(Draft& draft) {
  auto& pools = draft.config.pools;
  for (size_t i = 0; i < pools.size(); ++i) {
    const std::string path = fmt::format("pool[{}].fallback", i);
    pools[i].fallback_index = resolve_pool(draft, pools[i].fallback, path);
  }
  for (size_t i = 0; i < pools.size(); ++i) {
    // A walk longer than the number of pools goes round in a loop that does not hold this one.
    std::string way = toml_quoted(pools[i].name);
    size_t smallest = i;
    auto next = pools[i].fallback_index;
    for (size_t steps = 0; next && *next != i && steps < pools.size(); ++steps) {
      way += " -> " + toml_quoted(pools[*next].name);
      smallest = std::min<size_t>(smallest, *next);
      next = pools[*next].fallback_index;
    }
    // Each loop is told once, at its first pool.
    if (!next || *next != i || smallest != i) continue;
    complain(draft, fmt::format("pool[{}].fallback", i),
             fmt::format("the fallback comes back to where it began ({} -> {}), expected an end",
                         way, toml_quoted(pools[i].name)));
  }
}

bool is_conditional(const Draft& draft, size_t route) {
  const std::string prefix = fmt::format("route[{}].when.", route);
  const auto first = draft.spots.lower_bound(prefix);
  return first != draft.spots.end() && first->first.starts_with(prefix);
}

void check_implied_route(Draft& draft) {
  Config& config = draft.config;
  if (!config.routes.empty() || config.pools.empty() || !draft.complete) return;
  if (config.pools.size() > 1) {
    complain(draft, "pool[1]",
             "several pools but no [[route]], expected at least one that says who goes where");
    return;
  }
  config.routes.push_back({config.pools[0].name, 0, {}});
}

void check_routes(Draft& draft) {
  auto& routes = draft.config.routes;
  for (size_t i = 0; i < routes.size(); ++i) {
    const auto pool = resolve_pool(draft, routes[i].pool, fmt::format("route[{}].pool", i));
    routes[i].pool_index = pool.value_or(0);
  }
  size_t last = 0;
  while (last < routes.size() && is_conditional(draft, last)) ++last;
  if (last + 1 >= routes.size()) return;
  complain(draft, fmt::format("route[{}]", last + 1),
           "is never reached: the route before it has no condition, expected that one last");
}

bool is_named(const SecretSource& secret, const std::vector<Site>& sites) {
  // With dots around it a whole label is found at either end of a domain too.
  const std::string label = fmt::format(".${}.", secret.name);
  return std::any_of(sites.begin(), sites.end(), [&](const Site& site) {
    return fmt::format(".{}.", site.domain).find(label) != std::string::npos;
  });
}

void give_list_warnings(Draft& draft) {
  const Config& config = draft.config;
  for (size_t i = 0; i < config.secrets.size(); ++i) {
    if (is_named(config.secrets[i], config.dnsl.sites)) continue;
    warn(draft, fmt::format("secret[{}]", i),
         fmt::format("no site names this secret: write ${} as a label of one",
                     config.secrets[i].name));
  }
  for (size_t i = 0; i < config.routes.size(); ++i) {
    if (!config.routes[i].when.max_score || !config.dnsl.sites.empty()) continue;
    warn(draft, fmt::format("route[{}].when.max_score", i),
         "no lists are asked (dnsl.sites is empty): every client's score is 0");
  }
}

// Without a store nobody has a history.
void give_store_warnings(Draft& draft) {
  const Config& config = draft.config;
  if (!config.store.file.empty() || draft.state_dir) return;
  for (size_t i = 0; i < config.routes.size(); ++i) {
    const Condition& when = config.routes[i].when;
    const char* key = when.known        ? "known"
                      : when.min_passes ? "min_passes"
                      : when.seen_for   ? "seen_for"
                                        : nullptr;
    if (key == nullptr) continue;
    warn(draft, fmt::format("route[{}].when.{}", i, key),
         "nobody is remembered, every client is a stranger: give store.file, or start the gate "
         "with a STATE_DIRECTORY");
  }
}

void give_overload_warnings(Draft& draft) {
  const Overload& overload = draft.config.overload;
  if (overload.busy_at <= overload.stress_at && overload.stress_at <= overload.emergency_at) return;
  warn(draft, "overload",
       fmt::format("overload: busy_at = {}, stress_at = {}, emergency_at = {}: a level that begins "
                   "later than the next one is never reached",
                   overload.busy_at, overload.stress_at, overload.emergency_at));
}

void give_warnings(Draft& draft) {
  const Config& config = draft.config;
  give_overload_warnings(draft);
  give_list_warnings(draft);
  give_store_warnings(draft);
  if (config.pools.empty()) {
    warn(draft, "", "no [[pool]]: approved clients will hear 421");
    return;
  }
  if (config.routes.empty() || !is_conditional(draft, config.routes.size() - 1)) return;
  warn(draft, fmt::format("route[{}]", config.routes.size() - 1),
       "the last route has conditions: clients that match no route will hear 421");
}

}  // namespace

void apply_rules(Draft& draft) {
  check_greet(draft);
  if (!check_counts(draft)) return;
  check_lists(draft);
  check_greylist(draft);
  check_secrets(draft);
  check_listens(draft);
  check_proxies(draft);
  check_pool_names(draft);
  check_fallbacks(draft);
  check_implied_route(draft);
  check_routes(draft);
  give_warnings(draft);
}

}  // namespace lychgate::config
