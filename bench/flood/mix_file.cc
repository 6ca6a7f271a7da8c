// A walk over the tree of the file: tables, then their keys.

#include "bench/flood/mix_file.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "bench/flood/words.h"
#include "core/config/document.h"
#include "core/config/findings.h"
#include "core/config/values.h"

namespace lychgate::flood {
namespace {

using config::Node;
using config::NodeKind;

constexpr const char* kKeys[] = {"weight", "hold", "timeout", "size"};

class Reader {
 public:
  Manners manners(const Node& table, Manners unsaid);
  void complain(const config::Position& at, std::string text) {
    findings_.push_back({{0, at.line, at.column}, std::move(text)});
  }
  std::vector<config::Finding> take_findings() { return std::move(findings_); }

 private:
  void read_key(const Node& node, Manners& out);
  void read_weight(const Node& node, Manners& out);
  void read_span(const Node& node, milliseconds& out);
  void read_size(const Node& node, Manners& out);

  std::vector<config::Finding> findings_;
};

void Reader::read_weight(const Node& node, Manners& out) {
  if (node.kind == NodeKind::kInteger && node.integer >= 1 && node.integer <= kWeightMax) {
    out.weight = static_cast<uint32_t>(node.integer);
    return;
  }
  complain(node.at, fmt::format("weight is {}, expected an integer from 1 to {}; leave the table "
                                "out to leave the profile out",
                                config::describe(node), kWeightMax));
}

void Reader::read_span(const Node& node, milliseconds& out) {
  const auto span = node.kind == NodeKind::kString
                        ? parse_span(node.text)
                        : tl::unexpected<std::string>("expected a time in quotes such as \"30s\"");
  if (span) {
    out = *span;
  } else {
    complain(node.at, fmt::format("{} is {}, {}", node.key, config::describe(node), span.error()));
  }
}

void Reader::read_size(const Node& node, Manners& out) {
  Parsed<uint32_t> size = tl::unexpected<std::string>("expected a size such as 4096 or \"20k\"");
  if (node.kind == NodeKind::kString) size = parse_size(node.text);
  if (node.kind == NodeKind::kInteger) size = parse_size(std::to_string(node.integer));
  if (size) {
    out.message_bytes = *size;
  } else {
    complain(node.at, fmt::format("size is {}, {}", config::describe(node), size.error()));
  }
}

void Reader::read_key(const Node& node, Manners& out) {
  if (node.key == "weight") return read_weight(node, out);
  if (node.key == "hold") return read_span(node, out.hold);
  if (node.key == "timeout") return read_span(node, out.timeout);
  if (node.key == "size") return read_size(node, out);
  complain(node.key_at,
           fmt::format("unknown key {}, the nearest known one is {}; expected weight, hold, "
                       "timeout or size",
                       config::toml_quoted(node.key), nearest(node.key, kKeys)));
}

Manners Reader::manners(const Node& table, Manners unsaid) {
  for (const Node& child : table.children) read_key(child, unsaid);
  const bool weighed = std::any_of(table.children.begin(), table.children.end(),
                                   [](const Node& child) { return child.key == "weight"; });
  if (!weighed) {
    complain(table.key_at,
             fmt::format("[{}] has no weight, expected one such as weight = 1", table.key));
  }
  return unsaid;
}

}  // namespace

tl::expected<std::vector<Manners>, std::vector<config::Problem>> parse_mix(
    const config::Source& source, const Manners& unsaid) {
  Reader reader;
  std::vector<Manners> mix;
  const auto document = config::parse_document(source.text);
  if (!document) {
    reader.complain(document.error().at, document.error().text);
  } else if (document->children.empty()) {
    reader.complain({1, 1}, "no profile in it, expected a table such as [zombie] with weight = 1");
  } else {
    for (const Node& node : document->children) {
      const auto profile = parse_profile(node.key);
      if (!profile) {
        reader.complain(node.key_at,
                        fmt::format("unknown profile {}, the nearest known one is {}; there are {}",
                                    config::toml_quoted(node.key), nearest(node.key, kProfileNames),
                                    profile_list()));
      } else if (node.kind != NodeKind::kTable) {
        reader.complain(node.at, fmt::format("{} is {}, expected a table: [{}] with weight = 1 "
                                             "below it",
                                             node.key, config::describe(node), node.key));
      } else {
        Manners manners = unsaid;
        manners.profile = *profile;
        mix.push_back(reader.manners(node, manners));
      }
    }
  }
  auto findings = reader.take_findings();
  if (!findings.empty()) {
    return tl::unexpected(config::to_problems(std::move(findings), {&source, 1}));
  }
  std::sort(mix.begin(), mix.end(),
            [](const Manners& a, const Manners& b) { return a.profile < b.profile; });
  return mix;
}

}  // namespace lychgate::flood
