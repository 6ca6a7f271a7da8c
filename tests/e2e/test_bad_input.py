"""Bad input: each ends with one clear message naming place and cause, a sysexits code, and no
process, socket or control path left behind."""

import errno
import os
import shutil
import socket
import subprocess
import unittest

import forbid
from gate import run_command
from scratch import (LYCHGATE, SANITIZED, ScratchDir, free_port, kill_quietly, marked_environment,
                     processes_marked)

USAGE, NO_INPUT, UNAVAILABLE, CANT_CREATE, NO_PERMISSION, CONFIG = 64, 66, 69, 73, 77, 78
SYSEXITS = range(64, 79)
ROUTES = '[[pool]]\nname = "out"\nbackends = ["tcp:127.0.0.1:9"]\n[[route]]\npool = "out"\n'


class BadInput(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("bad")
        self.addCleanup(self.scratch.remove)
        self.mark = f"LYCHGATE_E2E_BAD={self.scratch.path}"
        self.control = os.path.join(self.scratch.path, "control.sock")
        self.binary = LYCHGATE

    def _config(self, text, address=None, control=None):
        """A configuration that is good except for `text`, which comes first."""
        address = address or f"127.0.0.1:{free_port()}"
        return self.scratch.file("lychgate.toml", (
            f'{text}\n[control]\nsocket = "{control or self.control}"\n'
            f'[[listen]]\naddress = "{address}"\n'))

    def _refused(self, arguments, words, codes=SYSEXITS, **options):
        """Runs it; it must end by itself, with one of the codes and a message with all words."""
        name, value = self.mark.split("=", 1)
        daemon = subprocess.Popen(
            [self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=marked_environment(**{name: value}), **options)
        try:
            out, err = daemon.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._kill_all(daemon)
            self.fail(f"still running after 10 s, it should have been refused for {words}")
        left = processes_marked(self.mark)
        self._kill_all(daemon)
        said = out + err
        self.assertIn(daemon.returncode, codes, said)
        for word in words:
            self.assertIn(word.lower(), said.lower())
        self.assertEqual([], left, "processes left behind")
        self.assertFalse(os.path.exists(self.control), "a status socket was left behind")
        return said

    def _kill_all(self, daemon):
        for pid in {daemon.pid, *processes_marked(self.mark)} if daemon.returncode is None else \
                processes_marked(self.mark):
            kill_quietly(pid)
        if daemon.returncode is None:
            daemon.communicate()

    def _run_refused(self, config, words, codes=SYSEXITS, lines=3, **options):
        said = self._refused(["run", "--config", config], words, codes, **options)
        self.assertLessEqual(len(said.strip().splitlines()), lines, f"one clear message: {said}")
        return said

    def test_missing_configuration(self):
        """a configuration that does not exist is named: 66"""
        path = os.path.join(self.scratch.path, "nowhere.toml")
        self._run_refused(path, [path], {NO_INPUT})

    def test_unreadable_configuration(self):
        """a configuration we may not read is named, with the reason: 66 or 77"""
        path = self._config(ROUTES)
        os.chmod(path, 0)
        self._unprivileged()
        self._run_refused(path, [path, "permission"], {NO_INPUT, NO_PERMISSION}, user="nobody",
                          group="nogroup", extra_groups=[])

    def test_directory_as_configuration(self):
        """a directory instead of a configuration is named"""
        self._run_refused(self.scratch.path, [self.scratch.path])

    def test_syntax_error(self):
        """TOML that does not parse: file:line:column: 78"""
        path = self._config("shards = = 1")
        self._run_refused(path, [f"{path}:1:"], {CONFIG})

    def test_all_errors_at_once(self):
        """five errors in one configuration are all reported, each with file:line:column: 78"""
        path = self._config('shards = "two"\n[greet]\nwiat = "6s"\nwait = "6 parsecs"\n'
                            '[[pool]]\nname = "out"\nbackends = ["smoke:signals"]\n'
                            '[[route]]\npool = "nowhere"')
        words = [f"{path}:1:", f"{path}:3:", f"{path}:4:", f"{path}:7:", f"{path}:9:",
                 "shards", "wiat", "wait", "parsecs", "smoke:signals", "nowhere"]
        self._run_refused(path, words, {CONFIG}, lines=7)
        self._refused(["check", "--config", path], words, {CONFIG})

    def test_condition_without_evidence(self):
        """a route condition this version cannot decide is refused, not ignored: 78"""
        for condition, value in (("overload", "2"), ("overload", '"calm"'), ("weather", '"rain"')):
            with self.subTest(condition, value=value):
                path = self._config(f"{ROUTES}when = {{ {condition} = {value} }}")
                self._refused(["check", "--config", path], [f"{path}:6:", condition], {CONFIG})

    def test_access_list(self):
        """bad lines of the access list are all named with their line; nothing starts: 78"""
        access = self.scratch.file("access.cidr", "192.0.2.0/24 permit\n192.0.2.300 permit\n"
                                   "# a remark\n198.51.100.0/24 perhaps\n203.0.113.0/33 reject\n")
        path = self._config(f'[access]\nfile = "{access}"\n{ROUTES}')
        said = self._run_refused(path, [f"{access}:2", f"{access}:4", f"{access}:5", "perhaps"],
                                 {CONFIG}, lines=5)
        self.assertNotIn(f"{access}:1", said)

    def test_access_list_missing(self):
        """an access list that does not exist is named"""
        path = self._config(f'[access]\nfile = "/nowhere/access.cidr"\n{ROUTES}')
        self._run_refused(path, ["/nowhere/access.cidr"], {NO_INPUT, CONFIG})

    def test_port_taken(self):
        """a port in use is named with its address: 69"""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            self._run_refused(self._config(ROUTES, address=address), [address, "in use"],
                              {UNAVAILABLE})

    def test_address_not_ours(self):
        """an address this host does not have is named"""
        address = f"198.51.100.77:{free_port()}"
        self._run_refused(self._config(ROUTES, address=address), [address])

    def test_no_permission(self):
        """a port below the unprivileged range without root: 77, with the remedy"""
        self._unprivileged()
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
            if int(f.read()) <= 25:
                self.skipTest("net.ipv4.ip_unprivileged_port_start lets everyone bind port 25")
        os.chmod(self.scratch.path, 0o777)
        self._run_refused(self._config(ROUTES, address="127.0.0.77:25"), ["127.0.0.77:25"],
                          {NO_PERMISSION}, user="nobody", group="nogroup", extra_groups=[])

    def test_backend_missing(self):
        """a pass backend whose path does not exist is named"""
        path = self._config(ROUTES.replace("tcp:127.0.0.1:9", "pass:/nowhere/smtpd"))
        self._run_refused(path, ["/nowhere/smtpd"])

    def test_unknown_user(self):
        """a user that does not exist is named"""
        self._run_refused(self._config(f'user = "nobody-of-that-name"\n{ROUTES}'),
                          ["nobody-of-that-name"])

    def test_log_directory_missing(self):
        """a log file in a directory that does not exist is named: 73"""
        path = self._config(f'[log]\ntarget = "file:/nowhere/gate.log"\n{ROUTES}')
        self._run_refused(path, ["/nowhere/gate.log"], {CANT_CREATE})

    def test_control_directory_missing(self):
        """a status socket in a directory that does not exist is named: 73"""
        path = self._config(ROUTES, control="/nowhere/control.sock")
        self._run_refused(path, ["/nowhere/control.sock"], {CANT_CREATE})

    def test_descriptor_limit(self):
        """a descriptor limit of 100 is refused saying what is needed"""
        self._run_refused(self._config(ROUTES), ["100", "descriptor"],
                          preexec_fn=forbid.descriptors(100))

    def test_io_uring_eperm(self):
        """io_uring refused by a seccomp filter with EPERM: 69, the causes named"""
        self._no_uring(preexec_fn=forbid.io_uring_by_seccomp(errno.EPERM))

    def test_io_uring_enosys(self):
        """io_uring refused by a seccomp filter with ENOSYS: 69, the causes named"""
        self._no_uring(preexec_fn=forbid.io_uring_by_seccomp(errno.ENOSYS))

    def test_io_uring_sysctl(self):
        """io_uring switched off by sysctl: 69, the sysctl named"""
        try:
            with open(forbid.IO_URING_SYSCTL, "r+", encoding="ascii") as f:
                if f.read().strip() != "0":
                    self.skipTest("kernel.io_uring_disabled is already set on this host")
        except OSError as error:
            self.skipTest(f"kernel.io_uring_disabled cannot be changed here: {error}")
        with forbid.io_uring_by_sysctl():
            self._no_uring(words=["kernel.io_uring_disabled"])

    def _no_uring(self, words=("io_uring",), **options):
        self._run_refused(self._config(ROUTES), words, {UNAVAILABLE}, **options)

    def test_command_line(self):
        """an unknown command or option: 64"""
        for arguments in (["dance"], ["run", "--dance"], ["check", "--config"]):
            with self.subTest(arguments):
                self._refused(arguments, [], {USAGE})

    def test_status_without_daemon(self):
        """status when nobody runs names the socket: 69"""
        self._refused(["status", "--socket", self.control], [self.control], {UNAVAILABLE})

    def test_good_configuration(self):
        """check of a good configuration says so with 0, and show gives it back"""
        path = self._config(ROUTES)
        self.assertEqual(0, run_command("check", "--config", path).returncode)
        shown = run_command("show", "--config", path)
        self.assertEqual(0, shown.returncode)
        self.assertIn("tcp:127.0.0.1:9", shown.stdout)

    def _unprivileged(self):
        """The daemon as a file another user may run; skipped when we cannot become one."""
        if os.geteuid() != 0:
            self.skipTest("needs root to start the daemon as another user")
        if SANITIZED:
            self.skipTest("the leak checker needs ptrace, which another user may not have")
        self.binary = os.path.join(self.scratch.path, "lychgate")
        shutil.copy(LYCHGATE, self.binary)
        os.chmod(self.binary, 0o755)
