// The probe on this kernel, and the sentence an operator reads for each way io_uring is refused.

#include "ring/features.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class ProbeTest : public RingTest {};

TEST_F(ProbeTest, IsCompleteAndOneLine) {
  const auto features = probe_features();
  ASSERT_TRUE(features.has_value());
  EXPECT_TRUE(features->complete());
  const std::string line = features->summary();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find("=no"), std::string::npos) << line;
  EXPECT_NE(line.find("Linux "), std::string::npos) << line;
}

// The probe leaves no descriptor behind (its memory is the sanitizer's business).
TEST_F(ProbeTest, LeavesNothingBehind) {
  const int before = Fd(dup(0)).get();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(probe_features().has_value());
  EXPECT_EQ(Fd(dup(0)).get(), before);
}

struct CompleteRow {
  const char* what;
  bool Features::*missing;
};

const CompleteRow kCompleteRows[] = {
    {"defer_taskrun", &Features::defer_taskrun},
    {"direct_accept", &Features::direct_accept},
    {"accept_dontwait", &Features::accept_dontwait},
    {"fixed_fd_install", &Features::fixed_fd_install},
    {"socket_commands", &Features::socket_commands},
    {"buffer_rings", &Features::buffer_rings},
};

TEST(Features, OneMissingIsNotCompleteAndTheLineNamesIt) {
  Features all;
  for (const CompleteRow& row : kCompleteRows) all.*row.missing = true;
  EXPECT_TRUE(all.complete());
  for (const CompleteRow& row : kCompleteRows) {
    SCOPED_TRACE(row.what);
    Features features = all;
    features.*row.missing = false;
    EXPECT_FALSE(features.complete());
    EXPECT_NE(features.summary().find(std::string(row.what) + "=no"), std::string::npos);
  }
}

struct RefusalRow {
  const char* what;
  int error;
  int disabled;  // sysctl kernel.io_uring_disabled; -1: cannot be read
  std::vector<const char*> says;
  std::vector<const char*> keeps_quiet_about;
};

const RefusalRow kRefusalRows[] = {
    {"sysctl 2: nobody may",
     EPERM,
     2,
     {"kernel.io_uring_disabled = 2", "set it to 0"},
     {"seccomp", "6.10"}},
    {"sysctl 1: only a group may, and the daemon is not in it",
     EPERM,
     1,
     {"kernel.io_uring_disabled = 1", "kernel.io_uring_group"},
     {"seccomp", "6.10"}},
    {"sysctl 0: so it is a seccomp profile",
     EPERM,
     0,
     {"seccomp", "io_uring_setup, io_uring_enter and io_uring_register"},
     {"sysctl", "6.10"}},
    {"sysctl unreadable, as on kernels before 6.6",
     EPERM,
     -1,
     {"seccomp", "profile"},
     {"sysctl", "6.10"}},
    {"a security module says no", EACCES, 0, {"forbidden", "profile"}, {"sysctl", "6.10"}},
    {"no such system call", ENOSYS, -1, {"does not exist", "6.10"}, {"sysctl", "DEFER_TASKRUN"}},
    {"hidden by a profile, sysctl 0", ENOSYS, 0, {"seccomp", "6.10"}, {"sysctl"}},
    {"flags unknown", EINVAL, 0, {"too old", "DEFER_TASKRUN", "6.10"}, {"sysctl", "seccomp"}},
    {"anything else keeps the system's words",
     ENOMEM,
     0,
     {"io_uring_setup failed", "Cannot allocate memory"},
     {"seccomp", "too old"}},
};

TEST(SetupRefusal, NamesTheCauseAndTheRemedyInOneSentence) {
  for (const RefusalRow& row : kRefusalRows) {
    SCOPED_TRACE(row.what);
    const std::string said = setup_refusal(row.error, row.disabled);
    for (const char* words : row.says) EXPECT_NE(said.find(words), std::string::npos) << said;
    for (const char* words : row.keeps_quiet_about) {
      EXPECT_EQ(said.find(words), std::string::npos) << said;
    }
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
}

// As a container's seccomp profile does it: io_uring_setup answers error, all else is allowed.
bool forbid_io_uring(uint32_t error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = std::size(rules), .filter = rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

constexpr const char* kNoSeccomp = "no seccomp";

// "code: sentence" of the probe and of a reactor, in a process that may not use io_uring.
std::string refused_by_seccomp(uint32_t error) {
  return in_child([error] {
    if (!forbid_io_uring(error)) return std::string(kNoSeccomp);
    const auto probed = probe_features();
    const auto made = UringReactor::create(kSmallRing);
    if (probed || made) return std::string("not refused");
    const auto describe = [](const Error& refusal) {
      return std::to_string(static_cast<int>(refusal.code)) + ": " + refusal.text + "\n";
    };
    return describe(probed.error()) + describe(made.error());
  });
}

struct SeccompRow {
  const char* what;
  uint32_t error;
  const char* says;
};

const SeccompRow kSeccompRows[] = {
    {"EPERM, as Docker and containerd answer", EPERM, "forbidden by a seccomp profile"},
    {"ENOSYS, as profiles that hide a call answer", ENOSYS, "a seccomp profile of a container"},
};

// Both lines begin with the exit code of "service unavailable" and say the same.
TEST_F(ProbeTest, ASeccompProfileGetsItsSentenceAndExitCode) {
  for (const SeccompRow& row : kSeccompRows) {
    SCOPED_TRACE(row.what);
    const std::string said = refused_by_seccomp(row.error);
    if (said == kNoSeccomp) GTEST_SKIP() << "this kernel has no seccomp filters";
    const std::string first = said.substr(0, said.find('\n') + 1);
    EXPECT_EQ(first.substr(0, 4), "69: ") << said;
    EXPECT_NE(first.find(row.says), std::string::npos) << said;
    EXPECT_EQ(said, first + first);
  }
}

}  // namespace
}  // namespace lychgate::ring
