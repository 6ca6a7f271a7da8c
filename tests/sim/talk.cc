// A table of manners, and a small reader of lines.

#include "tests/sim/talk.h"

#include <algorithm>
#include <cctype>

namespace lychgate::sim {
namespace {

constexpr const char* kForeign[] = {"GET / HTTP/1.1\r\n", "CONNECT 192.0.2.1:25 HTTP/1.0\r\n",
                                    "POST / HTTP/1.1\r\n", "\x16\x03\x01 hello\r\n",
                                    "Subject: buy\r\n"};
constexpr const char* kWrong[] = {"HELP\r\n",
                                  "EHLO\r\n",
                                  "HELO \r\n",
                                  "MAIL\r\n",
                                  "RCPT TO:<a@b>\r\n",
                                  "DATA\r\n",
                                  "BDAT 5 LAST\r\nhello",
                                  "\r\n",
                                  "XYZZY now\r\n",
                                  "ETRN\r\n",
                                  "VRFY\r\n",
                                  "DATA x\r\n",
                                  "MAIL FROM:<a\tb@c>\r\n"};

// A NUL ends a line for many a reader, so that its rest is read by some and not by others.
std::string torn_command() {
  return std::string("MAIL FROM:<a@client.example>\0\rRCPT TO:<x@y>\r\n", 45);
}

void add(TalkScript& script, std::string bytes, bool awaits = true) {
  script.says.push_back({std::move(bytes), awaits});
}

void add_greetings(Random& random, TalkScript& script) {
  const bool extended = !random.one_in(4);
  add(script, std::string(extended ? "EHLO" : "HELO") + " client.example" +
                  (random.one_in(8) ? " more words" : "") + "\r\n");
  if (random.one_in(6)) add(script, "EHLO again.example\r\n");
  if (random.one_in(5)) add(script, "NOOP\r\n");
  if (random.one_in(5)) add(script, "rset\r\n");
}

void add_business(Random& random, const TalkChoices& choices, TalkScript& script) {
  switch (random.between(0, 9)) {
    case 0:
      add(script, "STARTTLS\r\n");
      break;
    case 1:
      add(script, "AUTH PLAIN AGEAYg==\r\n");
      break;
    case 2:
      if (choices.verify) add(script, "VRFY someone\r\n");
      break;
    case 3:
      add(script, "  etrn client.example\r\n");
      break;
    case 4:
      return add(script, "QUIT\r\n");
    default:
      break;
  }
  add(script, random.one_in(3) ? "mail from:<>\r\n" : "MAIL FROM:<a@client.example> SIZE=100\r\n");
  add(script,
      random.one_in(3) ? "RCPT TO:<postmaster@gate.example>\r\n" : "RCPT TO:<b@gate.example>\r\n");
  add(script, "RCPT TO:<c@gate.example>\r\n");
  if (random.one_in(2)) add(script, "QUIT\r\n");
}

size_t somewhere(Random& random, const TalkScript& script) {
  return random.between(0, script.says.size() - 1);
}

void insert(Random& random, TalkScript& script, std::string bytes) {
  const auto at = static_cast<ptrdiff_t>(somewhere(random, script));
  const bool awaits = !random.one_in(3);
  script.says.insert(script.says.begin() + at, {std::move(bytes), awaits});
  script.pipelines = script.pipelines || !awaits;
  script.clean = false;
}

void spoil_ends(Random& random, TalkScript& script) {
  std::string& bytes = script.says[somewhere(random, script)].bytes;
  const size_t end = bytes.rfind("\r\n");
  if (end != std::string::npos) bytes.erase(end, 1);
  script.bare = true;
  script.clean = false;
}

void hurry(Random& random, TalkScript& script) {
  const bool injects = random.one_in(3);
  if (injects) {
    add(script, "");
    script.says.insert(script.says.begin() + 1,
                       {"STARTTLS\r\nMAIL FROM:<evil@client.example>\r\n", true});
    script.says.pop_back();
  }
  for (Utterance& each : script.says) each.awaits = each.awaits && random.one_in(2);
  script.pipelines = true;
  script.clean = false;
}

void go_on_and_on(Random& random, TalkScript& script) {
  switch (random.between(0, 3)) {
    case 0:  // a line without an end
      insert(random, script, std::string(random.between(1500, 5000), 'x'));
      script.pipelines = true;
      return;
    case 1:  // long, but legal
      return insert(random, script, "NOOP " + std::string(random.between(300, 2030), 'y') + "\r\n");
    case 2:
      return insert(random, script, "EHLO " + std::string(random.between(200, 2000), 'z') + "\r\n");
    default:
      for (uint64_t n = random.between(5, 30); n > 0; --n) insert(random, script, "NOOP\r\n");
      return;
  }
}

void misbehave(Random& random, TalkScript& script) {
  switch (random.between(0, 8)) {
    case 8:
      return insert(random, script, torn_command());
    case 0:
      return spoil_ends(random, script);
    case 1:
      return hurry(random, script);
    case 2:
      insert(random, script, kForeign[random.between(0, std::size(kForeign) - 1)]);
      script.foreign = true;
      return;
    case 3:
      return go_on_and_on(random, script);
    case 4:
      script.says.erase(script.says.begin());
      if (script.says.empty()) add(script, "QUIT\r\n");
      script.clean = false;
      return;
    case 5:
      script.breaks_off = somewhere(random, script);
      script.clean = false;
      return;
    case 6: {
      std::string noise(random.between(1, 400), ' ');
      for (char& c : noise) c = static_cast<char>(random.between(0, 255));
      insert(random, script, noise + "\r\n");
      script.bare = script.foreign = script.pipelines = true;
      return;
    }
    default:
      return insert(random, script, kWrong[random.between(0, std::size(kWrong) - 1)]);
  }
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

struct Line {
  std::string text;  // as a backend is told it
  std::string verb;
  std::string argument;
  bool bare = false;
};

std::string without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

std::vector<Line> lines_of(std::string_view said) {
  std::vector<Line> out;
  while (true) {
    const size_t end = said.find('\n');
    if (end == std::string_view::npos) return out;
    std::string_view text = said.substr(0, end);
    said.remove_prefix(end + 1);
    Line line;
    line.bare = !text.ends_with('\r');
    if (!line.bare) text.remove_suffix(1);
    text = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    line.text = text;
    line.verb = upper(text.substr(0, text.find(' ')));
    line.argument = without_blanks(text.substr(line.verb.size()));
    out.push_back(std::move(line));
  }
}

bool is_control(unsigned char c) {
  return c < 32 || c == 127;
}

}  // namespace

TalkScript draw_talk(Random& random, const TalkChoices& choices) {
  TalkScript out;
  add_greetings(random, out);
  add_business(random, choices, out);
  out.early = random.between(1, 3);
  if (!choices.rude) return out;
  for (uint64_t n = random.between(0, 3); n > 0; --n) misbehave(random, out);
  if (random.one_in(3)) {
    out.chunk = random.pick<size_t>({1, 7, 100});
    out.pace = random.pick<Time>({2, 50, 400});
  }
  return out;
}

Replayed replayed_words(std::string_view said) {
  Replayed out;
  bool in_mail = false;
  std::string mail;
  for (const Line& line : lines_of(said)) {
    out.pending = line.text;
    const bool hello = line.verb == "EHLO" || line.verb == "HELO";
    if (hello && !line.argument.empty()) {
      out.hello = line.verb + " " + line.argument.substr(0, line.argument.find(' '));
      out.hello = out.hello.substr(0, 255);
      for (char& c : out.hello) {
        if (is_control(static_cast<unsigned char>(c))) c = '?';
      }
      in_mail = false;
    }
    if (line.verb == "RSET") in_mail = false;
    const bool plain = std::ranges::none_of(line.text, is_control);
    if (line.verb == "MAIL" && !in_mail && plain && line.argument.find(':') != std::string::npos) {
      in_mail = true;
      mail = line.text;
    }
    out.mail = line.verb == "RCPT" ? mail : "";
  }
  return out;
}

bool has_bare_newline(std::string_view said) {
  const auto lines = lines_of(said);
  return std::ranges::any_of(lines, [](const Line& line) { return line.bare; });
}

bool has_foreign_word(std::string_view said) {
  const auto lines = lines_of(said);
  return std::ranges::any_of(lines, [](const Line& line) {
    return line.verb == "GET" || line.verb == "POST" || line.verb == "CONNECT";
  });
}

bool ends_with_exempt(std::string_view said, const std::vector<std::string>& exempt) {
  const auto lines = lines_of(said);
  if (lines.empty() || lines.back().verb != "RCPT") return false;
  return std::ranges::any_of(exempt, [&](const std::string& name) {
    return lines.back().argument.find("<" + name + "@") != std::string::npos;
  });
}

}  // namespace lychgate::sim
