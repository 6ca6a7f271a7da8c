// The servers of resolv.conf: what usual files mean, and that odd ones are refused in words instead
// of being half read.

#include "dns/resolv_conf.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace lychgate::dns {
namespace {

// A file of its own in the temporary directory, gone with it.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_(testing::TempDir() + "resolv_conf_test." + std::to_string(getpid())) {
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string joined(const std::vector<Endpoint>& servers) {
  std::string out;
  for (const Endpoint& server : servers) {
    out += (out.empty() ? "" : " ") + server.bracketed();
  }
  return out;
}

TEST(ResolvConf, NamesServersInOrder) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"one server", "nameserver 192.0.2.1\n", "[192.0.2.1]:53"},
      {"no newline at the end", "nameserver 192.0.2.1", "[192.0.2.1]:53"},
      {"both families, in order", "nameserver 2001:db8::1\nnameserver 192.0.2.1\n",
       "[2001:db8::1]:53 [192.0.2.1]:53"},
      {"as systemd-resolved writes it",
       "# managed: do not edit\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
       "[127.0.0.53]:53"},
      {"domain, search, sortlist and options do not matter",
       "domain example.org\nsearch example.org b.example\nsortlist 192.0.2.0/24\n"
       "options ndots:2\nnameserver 192.0.2.1\n",
       "[192.0.2.1]:53"},
      {"comments of both kinds",
       "# nameserver 192.0.2.9\n; made by a script\n;nameserver 192.0.2.9\n"
       "nameserver 192.0.2.1 # near, 50%\n",
       "[192.0.2.1]:53"},
      {"tabs and CRLF", "nameserver\t192.0.2.1\r\nnameserver 192.0.2.2\r\n",
       "[192.0.2.1]:53 [192.0.2.2]:53"},
      {"only the first word of a line is an address", "nameserver 192.0.2.1 192.0.2.2\n",
       "[192.0.2.1]:53"},
      {"an empty file means this host", "", "[127.0.0.1]:53"},
      {"and so does one without servers", "search example.org\n", "[127.0.0.1]:53"},
  };
  for (const Row& row : rows) {
    const TemporaryFile file(row.text);
    const auto servers = resolv_conf_servers(file.path());
    ASSERT_TRUE(servers) << row.what << ": " << servers.error().text;
    EXPECT_EQ(joined(*servers), row.want) << row.what;
  }
}

TEST(ResolvConf, TakesNoMoreServersThanAreAsked) {
  std::string text;
  for (uint32_t i = 1; i <= kDnsServersMax + 2; ++i) {
    text += "nameserver 192.0.2." + std::to_string(i) + "\n";
  }
  const TemporaryFile file(text);
  const auto servers = resolv_conf_servers(file.path());
  ASSERT_TRUE(servers);
  ASSERT_EQ(servers->size(), kDnsServersMax);
  EXPECT_EQ(servers->back().bracketed(), "[192.0.2.8]:53");
}

TEST(ResolvConf, RefusesWhatWouldBeHalfRead) {
  struct Row {
    const char* what;
    const char* text;
    const char* want;  // part of the error
  };
  const Row rows[] = {
      {"an interface", "nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0 names an interface"},
      {"a name", "nameserver ns.example.org\n", "\"ns.example.org\" is not an IPv4 or IPv6"},
      {"a port", "nameserver [::1]:53\n", "\"[::1]:53\" is not an IPv4 or IPv6 address"},
      {"no address", "nameserver\n", "\"\" is not an IPv4 or IPv6 address"},
      {"no address behind a blank", "nameserver \nsearch .\n", "\"\" is not an IPv4 or IPv6"},
      {"an options line without options would hide the server behind it",
       "options\nnameserver 192.0.2.1\n", "`nameserver` begins 1 of its lines, yet 0 servers"},
      {"so would a search line", "search\nnameserver 192.0.2.1\n", "yet 0 servers are read"},
      {"a server in the middle of a line", "prefer nameserver 192.0.2.1\n",
       "`nameserver` begins 0 of its lines, yet 1 servers"},
      {"libc does not see this one either", "  nameserver 192.0.2.1\n", "yet 1 servers are read"},
      {"a comment that ldns takes for a server, since another of the other kind is before it",
       "; made by a script\n# nameserver 192.0.2.9\nnameserver 192.0.2.1\n",
       "`nameserver` begins 1 of its lines, yet 2 servers are read"},
      {"a broken domain", "domain a..b\nnameserver 192.0.2.1\n", "cannot be understood"},
  };
  for (const Row& row : rows) {
    const TemporaryFile file(row.text);
    const auto servers = resolv_conf_servers(file.path());
    ASSERT_FALSE(servers) << row.what << ": " << joined(*servers);
    const std::string& text = servers.error().text;
    EXPECT_NE(text.find(row.want), std::string::npos) << row.what << ": " << text;
    EXPECT_TRUE(text.starts_with(file.path() + ": ")) << row.what << ": " << text;
    EXPECT_NE(text.find("dns.servers"), std::string::npos) << row.what << ": " << text;
    EXPECT_EQ(servers.error().code, ExitCode::kConfig) << row.what;
  }
}

TEST(ResolvConf, RefusesWhatCannotBeRead) {
  const auto missing = resolv_conf_servers("/nonexistent/resolv.conf");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ExitCode::kNoInput);
  EXPECT_EQ(missing.error().text,
            "/nonexistent/resolv.conf: cannot be opened: No such file or directory; correct it or "
            "name the servers in dns.servers");
  EXPECT_FALSE(resolv_conf_servers("/")) << "a directory";
  const TemporaryFile large(std::string(1 << 20, '#'));
  EXPECT_FALSE(resolv_conf_servers(large.path())) << "not a resolv.conf";
}

}  // namespace
}  // namespace lychgate::dns
