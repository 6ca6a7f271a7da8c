"""Runs a mail server that tests/install.sh has only unpacked, as if it were installed on this host.

Owns: a root for its /etc, /var and /run in a scratch directory, and a mount and process namespace
in which they lie over those of the host, which stays as it is. When the namespace's first process
ends, the kernel ends all others in it, so nothing outlives a test. Knows no server by name.
"""

import os
import shlex
import subprocess
import unittest

from scratch import ROOT, ScratchDir, die_with_parent, kill_quietly, marked_environment

PACKAGES = os.path.join(ROOT, "build", "packages")


class UnpackedServer:
    """Base of a server: a subclass writes its files into `self.dir`, then calls start().

    package:  the name under build/packages; without it the test is skipped
    binary:   of the server, below /usr/sbin
    users:    {name: id} that the package would have made
    mounts:   {path of the host: path in the package} besides /etc, /var and /run
    """

    def __init__(self, package, binary, users, mounts=None):
        self._package = os.path.join(PACKAGES, package)
        if not os.path.isdir(self._package):
            raise unittest.SkipTest(f"{self._package} is missing: run tests/install.sh all")
        self.binary = os.path.join(self._package, "usr", "sbin", binary)
        self._users = users
        self._mounts = mounts or {}
        self._scratch = ScratchDir(package)
        self._process = None
        self.dir = self._scratch.path
        self.log_path = self.file("log")
        self._make_etc()
        for path in ("run", "var/lib", "var/mail", "var/spool", "var/tmp"):
            os.makedirs(self.file(path))
        os.symlink("../run", self.file("var/run"))

    def file(self, name, text=None):
        return self._scratch.file(name, text)

    def folder(self, name, owner=0, group=0, mode=0o755):
        """A directory of the server's world."""
        path = self.file(name)
        os.makedirs(path, exist_ok=True)
        os.chown(path, owner, group)
        os.chmod(path, mode)
        return path

    def _make_etc(self):
        """The host's users and names, and those of the package."""
        os.mkdir(self.file("etc"))
        added = {"passwd": "{0}:x:{1}:{1}::/:/usr/sbin/nologin\n", "group": "{0}:x:{1}:\n"}
        for name, row in added.items():
            with open(f"/etc/{name}", encoding="utf-8") as host:
                text = host.read()
            text += "".join(row.format(*user) for user in self._users.items())
            self.file(f"etc/{name}", text)
        self.file("etc/hosts", "127.0.0.1 localhost mx.gate.test\n")
        self.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.file("etc/resolv.conf", "")
        self.file("etc/mailname", "mx.gate.test\n")

    def start(self, *arguments):
        """The server in the foreground; what it prints goes to its log."""
        binds = {f"/{name}": self.file(name) for name in ("var", "run")}
        binds.update({f"/etc/{name}": self.file(f"etc/{name}") for name in os.listdir(
            self.file("etc")) if os.path.exists(f"/etc/{name}")})
        binds.update({path: os.path.join(self._package, inside)
                      for path, inside in self._mounts.items()})
        # The scratch directory is named by paths outside of what is covered.
        script = "set -e\n" + "".join(
            f"mount --bind {shlex.quote(inside)} {shlex.quote(path)}\n"
            for path, inside in binds.items())
        # The shell stays as the first process and reaps what loses its parent.
        script += f"{shlex.join([self.binary, *arguments])} &\nwait $!\n"
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
                env=marked_environment(), preexec_fn=die_with_parent, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def check_running(self):
        """For wait_until: fails at once when the server has ended."""
        if self._process.poll() is not None:
            raise AssertionError(f"{self.binary} ended with {self._process.returncode}: "
                                 f"{self.log()[-2000:]}")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_mark(self):
        """A position in the log, for log_since."""
        return os.path.getsize(self.log_path)

    def log_since(self, mark):
        with open(self.log_path, "rb") as f:
            f.seek(mark)
            return f.read().decode(errors="replace")

    def stop(self):
        if self._process is not None:
            kill_quietly(self._process.pid)  # and by it the namespace
            self._process.wait()
        self._scratch.remove()
