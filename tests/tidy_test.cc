// The house rules as a test: walks the source tree and names every line that breaks one.
// Reads C++ as text, by simple heuristics that the form of the code (clang-format) makes reliable.
// Each check is a function from a file to findings, with a small test of its own beside it.

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lychgate::tidy {
namespace {

constexpr size_t kFileLinesMax = 600;
constexpr size_t kFunctionLinesMax = 70;
constexpr size_t kColumnsMax = 100;

struct Finding {
  size_t line;
  std::string text;
};
using Findings = std::vector<Finding>;

struct Source {
  std::string path;                // from the top level, with slashes
  std::vector<std::string> lines;  // as written
  std::vector<std::string> code;   // the same without comments and the insides of literals
};

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Where the comment or literal that starts at `at` ends (one past it), or `at` when none does.
size_t end_of_literal(const std::string& text, size_t at) {
  const auto past = [&](std::string_view mark, size_t from) {
    const size_t found = text.find(mark, from);
    return found == std::string::npos ? text.size() : found + mark.size();
  };
  const std::string_view rest = std::string_view(text).substr(at);
  const bool after_word = at > 0 && is_word(text[at - 1]);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return past("*/", at + 2);
  if (rest.starts_with("R\"") && !after_word) {
    const size_t open = text.find('(', at);
    if (open == std::string::npos) return text.size();
    return past(")" + text.substr(at + 2, open - at - 2) + "\"", open);
  }
  // A ' after a word is a digit separator (1'000), unless it is a prefix, which we do not use.
  if (rest[0] != '"' && (rest[0] != '\'' || after_word)) return at;
  size_t end = at + 1;
  while (end < text.size() && text[end] != rest[0] && text[end] != '\n') {
    end += text[end] == '\\' ? 2 : 1;
  }
  return std::min(end + 1, text.size());
}

// Blanks out comments and literals; lines and columns stay. Paths of #include lines stay too.
std::string strip(std::string text) {
  size_t line_start = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') line_start = at + 1;
    if (text.compare(line_start, 8, "#include") == 0) continue;
    const size_t end = end_of_literal(text, at);
    if (end == at) continue;
    for (; at < end; ++at) {
      if (text[at] != '\n') text[at] = ' ';
      if (text[at] == '\n') line_start = at + 1;
    }
    --at;
  }
  return text;
}

Source make_source(std::string path, const std::string& text) {
  return {std::move(path), split_lines(text), split_lines(strip(text))};
}

TEST(Strip, RemovesCommentsAndLiteralsAndKeepsTheRest) {
  const std::array<std::pair<const char*, const char*>, 7> rows = {{
      {"a; // throw\nb;", "a;         \nb;"},
      {"a /* x\ny */ b", "a     \n     b"},
      {"f(\"new \\\" \", 'x');", "f(         ,    );"},
      {"n = 1'000'000;", "n = 1'000'000;"},
      {"s = R\"(\nnew)\";", "s =    \n     ;"},
      {"s = R\"x(a)\")x\" + t;", "s =            + t;"},
      {"#include \"core/a.h\"\n\"x\"", "#include \"core/a.h\"\n   "},
  }};
  for (const auto& [text, want] : rows) EXPECT_EQ(strip(text), want) << text;
}

// --- Layers: who may include whom (docs/architecture.md has the same table) ---

struct Layer {
  std::string_view folder;
  std::vector<std::string_view> may_include;  // besides itself
};

const std::vector<Layer>& layers() {
  static const std::vector<std::string_view> kAll = {"core/base",      "core/config", "core/smtp",
                                                     "core/admission", "core/store",  "core/daemon",
                                                     "ring",           "dns",         "handoff"};
  static const std::vector<std::string_view> kWithBench = [] {
    auto folders = kAll;
    folders.push_back("bench");
    return folders;
  }();
  static const std::vector<Layer> kLayers = {
      {"core/base", {}},
      {"core/config", {"core/base"}},
      {"core/smtp", {"core/base"}},
      {"core/admission", {"core/base", "core/config", "core/smtp"}},
      {"core/store", {"core/base", "core/config"}},
      {"core/daemon", kAll},
      {"ring", {"core/base", "core/config"}},
      {"dns", {"core/base", "core/config", "ring"}},
      {"handoff", {"core/base", "core/config", "core/smtp", "ring"}},
      {"bench", kAll},
      {"tests", kWithBench},
  };
  return kLayers;
}

// Libraries that belong to some folders only; fmt and tl::expected are for everybody.
struct Library {
  std::string_view prefix;
  std::vector<std::string_view> folders;
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> kLibraries = {
      {"liburing", {"ring", "bench"}},
      {"toml++/", {"core/config", "tests"}},
      {"CLI/", {"core/daemon", "bench"}},
      {"ldns/", {"dns", "bench", "tests"}},
      {"lmdb.h", {"core/store"}},
      {"hiredis/", {"core/store"}},
      {"prometheus/", {"core/daemon"}},
      {"mimalloc", {"core/daemon", "bench"}},
      {"gtest/", {"tests"}},
      {"gmock/", {"tests"}},
      {"benchmark/", {"bench"}},
  };
  return kLibraries;
}

bool is_inside(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && path.substr(folder.size()).starts_with('/');
}

const Layer* layer_of(std::string_view path) {
  for (const Layer& layer : layers()) {
    if (is_inside(path, layer.folder)) return &layer;
  }
  return nullptr;
}

std::string quoted_include_problem(const Layer& from, std::string_view target) {
  const Layer* to = layer_of(target);
  if (to == nullptr) return fmt::format("write \"{}\" from the top level", target);
  if (to->folder == from.folder) return {};
  const auto& allowed = from.may_include;
  if (std::find(allowed.begin(), allowed.end(), to->folder) != allowed.end()) return {};
  return fmt::format("{} may not include {}", from.folder, to->folder);
}

std::string library_include_problem(const Layer& from, std::string_view target) {
  for (const Library& library : libraries()) {
    if (!target.starts_with(library.prefix)) continue;
    const auto& homes = library.folders;
    if (std::find(homes.begin(), homes.end(), from.folder) != homes.end()) return {};
    return fmt::format("only {} may include <{}>", homes.front(), target);
  }
  return {};
}

void check_includes(const Source& source, Findings& out) {
  const Layer* from = layer_of(source.path);
  if (from == nullptr) {
    out.push_back({1, "this folder has no row in the table of layers"});
    return;
  }
  for (size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (!line.starts_with("#include ") || line.size() < 11) continue;
    const std::string_view target =
        std::string_view(line).substr(10, line.find_first_of("\">", 10) - 10);
    const std::string problem = line[9] == '"' ? quoted_include_problem(*from, target)
                                               : library_include_problem(*from, target);
    if (!problem.empty()) out.push_back({i + 1, problem});
  }
}

// --- Form ---

void check_header_comment(const Source& source, Findings& out) {
  if (source.lines.empty() || !source.lines[0].starts_with("// ")) {
    out.push_back({1, "open with a comment: what the file is, what it owns, what it refuses"});
  }
}

void check_pragma_once(const Source& source, Findings& out) {
  if (!source.path.ends_with(".h")) return;
  if (std::find(source.lines.begin(), source.lines.end(), "#pragma once") == source.lines.end()) {
    out.push_back({1, "a header needs #pragma once"});
  }
}

void check_file_length(const Source& source, Findings& out) {
  if (source.lines.size() <= kFileLinesMax) return;
  out.push_back({kFileLinesMax + 1, fmt::format("{} lines; split the file at {}",
                                                source.lines.size(), kFileLinesMax)});
}

void check_width(const Source& source, Findings& out) {
  for (size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    // Bytes that continue a UTF-8 character (10xxxxxx) take no column.
    const auto columns = static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
    if (columns > kColumnsMax) out.push_back({i + 1, fmt::format("{} columns wide", columns)});
  }
}

// A body ends at a line that is only its closing brace; it began at the last line before that has
// the same indent and is code. Blocks inside count too, but are never longer than what holds them.
void check_function_length(const Source& source, Findings& out) {
  for (size_t end = 0; end < source.lines.size(); ++end) {
    const size_t indent = source.code[end].find_first_not_of(' ');
    if (indent > 4) continue;  // npos, an empty line, too
    if (source.lines[end].substr(indent) != "}") continue;
    const auto begins = [&](const std::string& line) {
      return line.find_first_not_of(' ') == indent &&
             std::string_view("}#){").find(line[indent]) == std::string_view::npos;
    };
    size_t start = end;
    while (start > 0 && !begins(source.code[start])) --start;
    const size_t length = end - start + 1;
    if (length <= kFunctionLinesMax) continue;
    out.push_back(
        {start + 1, fmt::format("a function of {} lines; at most {}", length, kFunctionLinesMax)});
  }
}

// --- Words ---

// Joined here, so that this file passes its own test.
const std::array<std::string, 4> kLeftovers = {std::string("TO") + "DO", std::string("FIX") + "ME",
                                               std::string("#if") + " 0",
                                               std::string("DIS") + "ABLED_"};

void check_leftovers(const Source& source, Findings& out) {
  for (size_t i = 0; i < source.lines.size(); ++i) {
    for (const std::string& word : kLeftovers) {
      if (source.lines[i].find(word) == std::string::npos) continue;
      out.push_back({i + 1, fmt::format("leftover {}: finish it or leave it out", word)});
    }
  }
}

// Positions of `word` in a line of code, standing alone.
std::vector<size_t> find_word(const std::string& line, std::string_view word) {
  std::vector<size_t> out;
  for (size_t at = line.find(word); at != std::string::npos; at = line.find(word, at + 1)) {
    const size_t end = at + word.size();
    if (at > 0 && is_word(line[at - 1])) continue;
    if (end < line.size() && is_word(line[end])) continue;
    out.push_back(at);
  }
  return out;
}

// The first character after the word that is no space, or 0.
char following(const std::string& line, size_t end) {
  const size_t at = line.find_first_not_of(' ', end);
  return at == std::string::npos ? '\0' : line[at];
}

void check_throw_and_new(const Source& source, Findings& out) {
  for (size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (line.starts_with('#')) continue;
    if (!find_word(line, "throw").empty()) {
      out.push_back({i + 1, "we do not throw: return Result, a Verdict, or LYCH_CHECK"});
    }
    for (const size_t at : find_word(line, "new")) {
      // `new (place) T` builds in memory that somebody owns already; a unique_ptr on the same line
      // owns at once, which is how a private constructor is reached.
      if (following(line, at + 3) == '(') continue;
      if (line.rfind("unique_ptr<", at) != std::string::npos) continue;
      out.push_back({i + 1, "naked new: use std::make_unique or a member"});
    }
  }
}

struct BannedCall {
  std::string_view name;
  std::string_view instead;
};
constexpr BannedCall kBannedCalls[] = {
    {"sleep", "a timer of the reactor, or poll() with a timeout"},
    {"usleep", "a timer of the reactor, or poll() with a timeout"},
    {"gethostbyname", "IpAddress::parse: names are never resolved here"},
    {"getaddrinfo", "Endpoint::parse: names are never resolved here"},
    {"strcpy", "std::string or std::memcpy with a checked length"},
    {"sprintf", "fmt::format or fmt::format_to_n"},
    {"system", "posix_spawn with an argument list"},
};

void check_banned_calls(const Source& source, Findings& out) {
  for (size_t i = 0; i < source.code.size(); ++i) {
    for (const BannedCall& call : kBannedCalls) {
      for (const size_t at : find_word(source.code[i], call.name)) {
        if (following(source.code[i], at + call.name.size()) != '(') continue;
        out.push_back({i + 1, fmt::format("{}() is banned; use {}", call.name, call.instead)});
      }
    }
  }
}

using Check = void (*)(const Source& source, Findings& out);
constexpr Check kChecks[] = {
    check_includes,    check_header_comment, check_pragma_once,
    check_file_length, check_width,          check_function_length,
    check_leftovers,   check_throw_and_new,  check_banned_calls,
};

// --- Each check on a small text ---

size_t findings(Check check, const std::string& text, const std::string& path = "ring/a.cc") {
  Findings out;
  check(make_source(path, text), out);
  return out.size();
}

std::string repeated(const std::string& line, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += line;
  return out;
}

TEST(Includes, FollowTheTableOfLayers) {
  struct Row {
    const char* what;
    const char* path;
    const char* text;
    size_t want;
  };
  const Row rows[] = {
      {"downwards", "core/config/a.h", "#include \"core/base/b.h\"", 0},
      {"upwards", "core/base/a.h", "#include \"core/config/b.h\"", 1},
      {"the same folder", "core/base/a.h", "#include \"core/base/b.h\"", 0},
      {"dns and handoff never meet", "dns/a.h", "#include \"handoff/b.h\"", 1},
      {"and the other way", "handoff/a.h", "#include \"dns/b.h\"", 1},
      {"policy does no I/O", "core/admission/a.h", "#include \"ring/b.h\"", 1},
      {"the daemon sees everything", "core/daemon/a.h", "#include \"handoff/b.h\"", 0},
      {"nobody includes tests", "core/daemon/a.h", "#include \"tests/b.h\"", 1},
      {"tests look into bench", "tests/a.cc", "#include \"bench/b.h\"", 0},
      {"nobody else does", "core/daemon/a.cc", "#include \"bench/b.h\"", 1},
      {"tests include each other", "tests/sim/a.cc", "#include \"tests/sim/b.h\"", 0},
      {"not from the top level", "ring/a.cc", "#include \"b.h\"", 1},
      {"liburing in ring", "ring/a.cc", "#include <liburing.h>", 0},
      {"liburing elsewhere", "handoff/a.cc", "#include <liburing.h>", 1},
      {"std is for everybody", "core/base/a.h", "#include <vector>", 0},
      {"a comment is no include", "core/base/a.h", "// #include \"ring/b.h\"", 0},
      {"an unknown folder", "misc/a.h", "", 1},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(findings(check_includes, row.text, row.path), row.want) << row.what;
  }
}

TEST(Form, HasAHeaderCommentAndPragmaOnce) {
  EXPECT_EQ(findings(check_header_comment, "// What it is.\nint a;\n"), 0U);
  EXPECT_EQ(findings(check_header_comment, "#pragma once\n// Late.\n"), 1U);
  EXPECT_EQ(findings(check_header_comment, ""), 1U);
  EXPECT_EQ(findings(check_pragma_once, "// A.\n#pragma once\n", "ring/a.h"), 0U);
  EXPECT_EQ(findings(check_pragma_once, "// A.\n", "ring/a.h"), 1U);
  EXPECT_EQ(findings(check_pragma_once, "// A.\n", "ring/a.cc"), 0U) << "sources need none";
}

TEST(Form, BoundsLengthAndWidth) {
  EXPECT_EQ(findings(check_file_length, repeated("\n", kFileLinesMax)), 0U);
  EXPECT_EQ(findings(check_file_length, repeated("\n", kFileLinesMax + 1)), 1U);
  EXPECT_EQ(findings(check_width, repeated("x", kColumnsMax)), 0U);
  EXPECT_EQ(findings(check_width, repeated("x", kColumnsMax + 1)), 1U);
  EXPECT_EQ(findings(check_width, repeated("\xc3\xa9", kColumnsMax)), 0U) << "UTF-8 of two bytes";
}

TEST(Form, BoundsFunctions) {
  const std::string full = repeated("  x();\n", kFunctionLinesMax - 2);
  struct Row {
    const char* what;
    std::string text;
    size_t want;
  };
  const Row rows[] = {
      {"as long as allowed", "void f() {\n" + full + "}\n", 0},
      {"one line more", "void f() {\n  y();\n" + full + "}\n", 1},
      {"two short ones", "void f() {\n" + full + "}\nvoid g() {\n" + full + "}\n", 0},
      {"the signature counts", "void f(int a,\n       int b) {\n" + full + "}\n", 1},
      {"a preprocessor line is inside", "void f() {\n#ifdef X\n" + full + "}\n", 1},
      {"a method", "struct S {\n  void f() {\n  " + repeated("    x();\n", 70) + "  }\n};\n", 1},
      {"a namespace is no function", "namespace a {\n" + full + full + "}  // namespace a\n", 0},
      {"nor is a struct", "struct S {\n" + full + full + "};\n", 0},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(findings(check_function_length, row.text), row.want) << row.what;
  }
}

TEST(Words, FindsLeftovers) {
  for (const std::string& word : kLeftovers) {
    EXPECT_EQ(findings(check_leftovers, "x " + word + "\n"), 1U) << word;
  }
  EXPECT_EQ(findings(check_leftovers, "#if 1\nint mastodon;\n"), 0U);
}

TEST(Words, FindsThrowAndNakedNew) {
  EXPECT_EQ(findings(check_throw_and_new, "throw 1;"), 1U);
  EXPECT_EQ(findings(check_throw_and_new, "// would throw\nint thrower;"), 0U);
  EXPECT_EQ(findings(check_throw_and_new, "auto* a = new A;"), 1U);
  EXPECT_EQ(findings(check_throw_and_new, "new (&slots[i]) Slot();"), 0U);
  EXPECT_EQ(findings(check_throw_and_new, "return std::unique_ptr<A>(new A(b));"), 0U);
  EXPECT_EQ(findings(check_throw_and_new, "#include <new>\nint new_id; // a new one"), 0U);
}

TEST(Words, FindsBannedCalls) {
  for (const BannedCall& call : kBannedCalls) {
    EXPECT_EQ(findings(check_banned_calls, fmt::format("  {}(x);", call.name)), 1U) << call.name;
    EXPECT_EQ(findings(check_banned_calls, fmt::format("int {};", call.name)), 0U) << call.name;
    EXPECT_EQ(findings(check_banned_calls, fmt::format("my_{}(x);", call.name)), 0U) << call.name;
  }
  EXPECT_EQ(findings(check_banned_calls, "snprintf(x); f(\"system(x)\"); // sleep(1)"), 0U);
}

// --- The tree ---

std::vector<Source> read_tree(const std::filesystem::path& top) {
  std::vector<Source> out;
  for (const char* room : {"core", "ring", "dns", "handoff", "bench", "tests"}) {
    if (!std::filesystem::exists(top / room)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top / room)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      out.push_back(make_source(entry.path().lexically_relative(top).generic_string(), text.str()));
    }
  }
  return out;
}

TEST(Tree, KeepsTheHouseRules) {
  const std::vector<Source> sources = read_tree(LYCHGATE_SOURCE_DIR);
  EXPECT_GT(sources.size(), 30U) << "the walk must have found the tree";
  for (const Source& source : sources) {
    Findings out;
    for (const Check check : kChecks) check(source, out);
    for (const Finding& finding : out) {
      ADD_FAILURE() << source.path << ":" << finding.line << ": " << finding.text;
    }
  }
}

}  // namespace
}  // namespace lychgate::tidy
