// By system calls: libcap would be a library for two of them (capabilities(7)).

#include "core/daemon/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {

Result<void> become(const std::string& user) {
  if (user.empty()) return {};
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) {
    return fail(ExitCode::kConfig,
                fmt::format("user \"{}\" does not exist; create it or change `user`", user));
  }
  if (entry->pw_uid == geteuid()) return {};
  if (initgroups(entry->pw_name, entry->pw_gid) != 0 || setgid(entry->pw_gid) != 0 ||
      setuid(entry->pw_uid) != 0) {
    return fail(ExitCode::kNoPermission,
                fmt::format("cannot become user \"{}\": {}; start as root, or as that user", user,
                            errno_text(errno)));
  }
  return {};
}

void drop_capabilities() {
  if (geteuid() == 0) return;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  // To have less is never refused.
  LYCH_CHECK(syscall(SYS_capset, &header, none) == 0);
}

}  // namespace lychgate::daemon
