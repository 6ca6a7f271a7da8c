// What is taken from an EHLO reply, brought together for a pool, and compared before a hand-over.

#include "handoff/capabilities.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::handoff {
namespace {

struct AddRow {
  const char* what;
  std::vector<std::string> lines;
  std::string want;
};

const AddRow kAddRows[] = {
    {"keywords with and without parameters",
     {"SIZE 10240000", "8BITMIME", "AUTH PLAIN LOGIN"},
     "SIZE 10240000\n8BITMIME\nAUTH PLAIN LOGIN\n"},
    {"blanks at the end go", {"DSN  "}, "DSN\n"},
    {"a line that begins with a blank", {" DSN"}, ""},
    {"an empty line", {""}, ""},
    {"no keyword", {"=DSN", "-X", "A_B", "AUTH=PLAIN LOGIN"}, ""},
    {"a control character or an octet above 127",
     {"DSN\tx", "DSN \xc3\xa9", std::string("D\0", 2)},
     ""},
    {"a keyword's second line", {"AUTH PLAIN", "auth LOGIN"}, "AUTH PLAIN\n"},
    {"what has no room",
     {"A " + std::string(400, 'x'), "B " + std::string(400, 'x'), "C"},
     "A " + std::string(400, 'x') + "\nC\n"},
};

TEST(Capabilities, AreTakenFromAReply) {
  for (const AddRow& row : kAddRows) {
    Capabilities capabilities;
    for (const std::string& line : row.lines) capabilities.add(line);
    EXPECT_EQ(capabilities.text(), row.want) << row.what;
    EXPECT_LE(capabilities.text().size(), kCapabilityBytesMax) << row.what;
  }
}

struct AnnounceRow {
  const char* what;
  std::vector<std::string_view> backends;
  std::vector<std::string> hide;
  std::string want;
};

const AnnounceRow kAnnounceRows[] = {
    {"nobody", {}, {}, ""},
    {"one backend", {"DSN\nSTARTTLS\n"}, {}, "DSN\nSTARTTLS\n"},
    {"what all have, in the order of the first",
     {"DSN\nSTARTTLS\nETRN\n", "starttls\nDSN\n"},
     {},
     "DSN\nSTARTTLS\n"},
    {"what cannot outlive the gate",
     {"PIPELINING\nXCLIENT NAME ADDR\nXFORWARD NAME\nDSN\n"},
     {},
     "DSN\n"},
    {"what is hidden, in any case", {"DSN\nETRN\nCHUNKING\n"}, {"etrn", "Chunking"}, "DSN\n"},
    {"the smallest SIZE that is a limit",
     {"SIZE 0\n", "SIZE 300\n", "SIZE 200\n", "SIZE\n"},
     {},
     "SIZE 200\n"},
    {"no limit at all", {"SIZE 0\n", "SIZE\n"}, {}, "SIZE\n"},
    {"SIZE is not everybody's", {"SIZE 5\n", "DSN\n"}, {}, ""},
    {"the words of AUTH that all have",
     {"AUTH PLAIN LOGIN CRAM-MD5\n", "AUTH login XOAUTH2 plain\n"},
     {},
     "AUTH PLAIN LOGIN\n"},
    {"AUTH without a word in common", {"AUTH PLAIN\n", "AUTH LOGIN\n"}, {}, ""},
    {"parameters of some only", {"DELIVERBY\n", "DELIVERBY 240\n"}, {}, ""},
};

TEST(Capabilities, OfAPoolAreWhatAllHave) {
  for (const AnnounceRow& row : kAnnounceRows) {
    EXPECT_EQ(announced_for(row.backends, row.hide), row.want) << row.what;
  }
}

struct CoverRow {
  const char* what;
  std::string_view backend;
  std::string_view announced;
  bool want;
};

const CoverRow kCoverRows[] = {
    {"nothing was announced", "", "", true},
    {"everything is there, and more", "DSN\nSTARTTLS\nETRN\n", "STARTTLS\nDSN\n", true},
    {"in other letters", "StartTls\n", "STARTTLS\n", true},
    {"one is missing", "DSN\n", "DSN\nSTARTTLS\n", false},
    {"a prefix is not it", "STARTTLSX\n", "STARTTLS\n", false},
    {"a word of AUTH is missing", "AUTH PLAIN\n", "AUTH PLAIN LOGIN\n", false},
    {"words in another order", "AUTH LOGIN PLAIN X\n", "AUTH PLAIN LOGIN\n", true},
    {"SIZE as told", "SIZE 500\n", "SIZE 500\n", true},
    {"a larger SIZE", "SIZE 501\n", "SIZE 500\n", true},
    {"a smaller SIZE", "SIZE 499\n", "SIZE 500\n", false},
    {"no limit", "SIZE 0\n", "SIZE 500\n", true},
    {"no limit was told, but there is one", "SIZE 500\n", "SIZE\n", false},
};

TEST(Capabilities, ABackendHasWhatWasAnnouncedOrNot) {
  for (const CoverRow& row : kCoverRows) {
    EXPECT_EQ(covers(row.backend, row.announced), row.want) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::handoff
