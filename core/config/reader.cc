// Walks each parsed source beside the table of keys, then applies the rules.

#include "core/config/reader.h"

#include <cstdlib>
#include <string_view>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "core/config/document.h"
#include "core/config/draft.h"
#include "core/config/fields.h"
#include "core/config/keys.h"
#include "core/config/rules.h"
#include "core/config/values.h"

namespace lychgate::config {
namespace {

// Where the walk stands: the same path with the rows' "pool[]" and with the entry's "pool[2]".
struct Scope {
  std::string name;
  std::string path;
  size_t index = 0;
};

class Reader {
 public:
  explicit Reader(std::span<const Source> sources) : sources_(sources) {}

  Draft run(const Defaults& defaults);

 private:
  // A name of a listener, looked up when all listeners are known.
  struct Reference {
    const Key* key;
    Node node;
    size_t index;
    uint32_t source;
  };

  void read_source(const Source& source);
  void walk(const Node& table, const Scope& scope);
  void visit(const Node& child, const Scope& here);
  void visit_table(const Node& child, const Scope& here);
  void visit_list(const Node& child, const Scope& here, const Section& section);
  void check_required(const Section& section, const Scope& entry);
  void set(const Key& key, const Node& node, const Scope& here);
  void take(const std::vector<Complaint>& complaints, uint32_t source);
  void complain(Position at, std::string text);
  Spot spot(Position at) const { return {source_, at.line, at.column}; }

  std::span<const Source> sources_;
  uint32_t source_ = 0;  // the one being walked
  Draft draft_;
  std::vector<Reference> references_;
};

std::string default_socket(const Defaults& defaults) {
  if (defaults.uid == 0) return "/run/lychgate/control.sock";
  // The XDG base directory specification has relative paths ignored.
  if (defaults.runtime_dir.starts_with('/')) return defaults.runtime_dir + "/lychgate.sock";
  return fmt::format("/tmp/lychgate-{}.sock", defaults.uid);
}

Draft Reader::run(const Defaults& defaults) {
  draft_.config.control.socket = default_socket(defaults);
  draft_.state_dir = defaults.state_dir;
  for (const Source& source : sources_) {
    read_source(source);
    ++source_;
  }
  if (draft_.complete) {
    for (const Reference& reference : references_) {
      take(read_field(*reference.key, reference.node, draft_.config, reference.index),
           reference.source);
    }
  }
  apply_rules(draft_);
  return std::move(draft_);
}

void Reader::read_source(const Source& source) {
  const auto root = parse_document(source.text);
  if (root) {
    walk(*root, {});
    return;
  }
  draft_.complete = false;
  complain(root.error().at, root.error().text);
}

void Reader::walk(const Node& table, const Scope& scope) {
  for (const Node& child : table.children) {
    visit(child, {scope.name + child.key, scope.path + child.key, scope.index});
  }
}

void Reader::visit(const Node& child, const Scope& here) {
  // A quoted key may hold any character; those with meaning in our paths are in no key of ours.
  const bool plain = child.key.find_first_of(".[]") == std::string::npos;
  if (const Key* key = plain ? find_key(here.name) : nullptr) {
    set(*key, child, here);
    return;
  }
  if (const Section* list = plain ? find_section(here.name + "[]") : nullptr) {
    visit_list(child, here, *list);
    return;
  }
  if (plain && is_table(here.name)) {
    visit_table(child, here);
    return;
  }
  complain(child.key_at, fmt::format("unknown key {}, the nearest known one is {}",
                                     toml_quoted(here.name), nearest_name(here.name)));
}

void Reader::visit_table(const Node& child, const Scope& here) {
  if (child.kind != NodeKind::kTable) {
    complain(child.at, fmt::format("{}: found {}, expected a table of keys", here.name,
                                   hide_keys(describe(child))));
    return;
  }
  walk(child, {here.name + ".", here.path + ".", here.index});
}

void Reader::visit_list(const Node& child, const Scope& here, const Section& section) {
  const auto refuse = [&](const Node& node) {
    complain(node.at, fmt::format("{}: found {}, expected [[{}]] entries", here.name,
                                  hide_keys(describe(node)), here.name));
  };
  if (child.kind != NodeKind::kList) return refuse(child);
  for (const Node& entry : child.children) {
    if (entry.kind != NodeKind::kTable) {
      refuse(entry);
      continue;
    }
    const size_t index = section.count(draft_.config);
    section.append(draft_.config);
    const std::string path = fmt::format("{}[{}]", here.path, index);
    draft_.spots[path] = spot(entry.at);
    walk(entry, {here.name + "[].", path + ".", index});
    check_required(section, {here.name, path, index});
  }
}

void Reader::check_required(const Section& section, const Scope& entry) {
  for (const Key& key : keys()) {
    const std::string path = fmt::format("{}.{}", entry.path, key.leaf());
    if (!key.required() || key.section() != section.name || draft_.spots.contains(path)) continue;
    const Spot& where = draft_.spots[entry.path];
    complain({where.line, where.column}, fmt::format("[[{}]] without {}, expected {}", entry.name,
                                                     key.leaf(), type_example(key.type)));
  }
}

void Reader::set(const Key& key, const Node& node, const Scope& here) {
  draft_.spots[here.path] = spot(node.at);
  if (key.type == Type::kListener) {
    references_.push_back({&key, node, here.index, source_});
    return;
  }
  take(read_field(key, node, draft_.config, here.index), source_);
  // A listener without a name is called by its address as written.
  if (key.type != Type::kAddress) return;
  std::string& name = draft_.config.listens[here.index].name;
  if (name.empty()) name = node.text;
}

void Reader::take(const std::vector<Complaint>& complaints, uint32_t source) {
  for (const Complaint& complaint : complaints) {
    draft_.errors.push_back({{source, complaint.at.line, complaint.at.column}, complaint.text});
  }
}

void Reader::complain(Position at, std::string text) {
  draft_.errors.push_back({spot(at), std::move(text)});
}

}  // namespace

Defaults Defaults::of_this_process() {
  const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
  const char* state_dir = std::getenv("STATE_DIRECTORY");
  return {.uid = geteuid(),
          .runtime_dir = runtime_dir != nullptr ? runtime_dir : "",
          .state_dir = state_dir != nullptr && *state_dir != '\0'};
}

tl::expected<Loaded, std::vector<Problem>> parse(std::span<const Source> sources,
                                                 const Defaults& defaults) {
  Draft draft = Reader(sources).run(defaults);
  if (!draft.errors.empty()) {
    return tl::unexpected(to_problems(std::move(draft.errors), sources));
  }
  Loaded loaded;
  for (const auto& [path, spot] : draft.spots) {
    loaded.origins[path] = fmt::format("{}:{}", sources[spot.source].name, spot.line);
  }
  loaded.warnings = to_problems(std::move(draft.warnings), sources);
  loaded.config = std::make_unique<const Config>(std::move(draft.config));
  return loaded;
}

}  // namespace lychgate::config
