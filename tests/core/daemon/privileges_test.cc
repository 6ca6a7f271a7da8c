// What a process that clients talk to may still do, as the kernel tells it.

#include "core/daemon/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

constexpr uid_t kNobody = 65534;

// Capabilities of this process that are not none, one letter each: p, e or a.
std::string capabilities() {
  std::string out;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    for (const char* name : {"CapPrm:", "CapEff:", "CapAmb:"}) {
      if (!line.starts_with(name)) continue;
      if (line.find_first_not_of("0\t ", 7) != std::string::npos) out.push_back(name[3]);
    }
  }
  return out;
}

// As systemd starts a service with User= and AmbientCapabilities=CAP_NET_BIND_SERVICE.
bool become_nobody_with_an_ambient_capability() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct some[_LINUX_CAPABILITY_U32S_3] = {};
  some[0].permitted = some[0].effective = some[0].inheritable = 1U << CAP_NET_BIND_SERVICE;
  return prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(kNobody, kNobody, kNobody) == 0 &&
         syscall(SYS_capset, &header, some) == 0 &&
         prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0;
}

TEST(Privileges, AreGoneFromAProcessThatIsNotRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const pid_t child = fork();
  if (child == 0) {
    if (!become_nobody_with_an_ambient_capability() || capabilities() != "PEA") _exit(2);
    drop_capabilities();
    _exit(capabilities().empty() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "1 << 8: some are left, 2 << 8: none could be had";
}

TEST(Privileges, OfRootStay) {
  const std::string before = capabilities();
  if (geteuid() != 0 || before.empty()) GTEST_SKIP() << "needs root";
  drop_capabilities();
  EXPECT_EQ(capabilities(), before);
}

}  // namespace
}  // namespace lychgate::daemon
