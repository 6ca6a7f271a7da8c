"""The real lychgate in a scratch directory, run with a configuration given by the test.

Owns: the daemon's processes (found by an environment mark, ended by pid), its directory, its log,
status socket and readiness socket. Knows the agreed commands and the shape of `status --json`,
and nothing of what a test wants to see.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

from scratch import (LYCHGATE, SANITIZED, ScratchDir, die_with_parent, free_port, kill_quietly,
                     marked_environment, processes_marked, wait_until)

_READY_SECONDS = 20 if SANITIZED else 10


def run_command(*arguments, **options):
    """One short lychgate command, for example run_command("check", "--config", path)."""
    return subprocess.run([LYCHGATE, *arguments], capture_output=True, text=True,
                          timeout=options.pop("timeout", 20), stdin=subprocess.DEVNULL, **options)


class Gate:
    """Ready when the constructor returns. Use as `with Gate(...) as gate:`.

    top:    text before the first table, for example 'shards = 2'
    body:   the tables of the test (greet, pool, route, limits, ...)
    access: text of the access list; None: no [access] table
    inherited: a listening socket to hand over as LISTEN_FDS does, on the address it has
    owner:  the user the directory belongs to, for a gate that drops root
    files:  {path below the directory: text}, for example drop-ins of the catalogue
    environment: variables besides ours
    before: a preexec_fn of the test; the working directory is always the gate's own
    """

    def __init__(self, body, top="shards = 1", access=None, access_reject=None, inherited=None,
                 owner=None, files=None, environment=None, before=None):
        self._scratch = ScratchDir("gate")
        self.dir = self._scratch.path
        if owner is not None:
            shutil.chown(self.dir, owner)
        self._inherited = inherited
        self._environment = environment or {}
        self._before = before
        self.port = inherited.getsockname()[1] if inherited else free_port()
        self.target = ("127.0.0.1", self.port)
        self.control = os.path.join(self.dir, "control.sock")
        self.log_path = os.path.join(self.dir, "gate.log")
        self._mark = f"LYCHGATE_E2E_GATE={self.dir}"
        self._daemon = None
        self.config = self._scratch.file(
            "lychgate.toml", self._configuration(top, body, access, access_reject))
        for path, text in (files or {}).items():
            os.makedirs(os.path.dirname(os.path.join(self.dir, path)), exist_ok=True)
            self._scratch.file(path, text)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _configuration(self, top, body, access, access_reject):
        text = f'{top}\n[[listen]]\nname = "door"\naddress = "127.0.0.1:{self.port}"\n'
        text += f'[control]\nsocket = "{self.control}"\n[log]\ntarget = "file:{self.log_path}"\n'
        if access is not None:
            text += f'[access]\nfile = "{self._scratch.file("access.cidr", access)}"\n'
            if access_reject is not None:
                text += f'reject = "{access_reject}"\n'
        return text + body

    def _start(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(self.dir, "notify.sock")
        notify.bind(path)
        notify.settimeout(0.1)
        name, value = self._mark.split("=", 1)
        with notify, open(self._scratch.file("stderr"), "wb") as stderr:
            self._daemon = subprocess.Popen(
                self._command(), start_new_session=True,
                env=marked_environment(NOTIFY_SOCKET=path, **{name: value}, **self._environment),
                pass_fds=[self._inherited.fileno()] if self._inherited else [],
                preexec_fn=self._prepare, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=stderr,
                stderr=stderr)
            self._wait_ready(notify)

    def _prepare(self):
        die_with_parent()
        if self._before is not None:
            self._before()

    def _command(self):
        command = [LYCHGATE, "run", "--config", self.config]
        if self._inherited is None:
            return command
        # LISTEN_PID must be the daemon's own pid, which only exec keeps; descriptors begin at 3.
        script = 'exec 3<&"$0"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        return ["bash", "-c", script, str(self._inherited.fileno()), *command]

    def _wait_ready(self, notify):
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            if self._daemon.poll() is not None:
                raise AssertionError(f"lychgate run ended with {self._daemon.returncode} before it "
                                     f"was ready: {self.stderr()}{self.log()}")
            try:
                if b"READY=1" in notify.recv(4096):
                    wait_until(lambda: os.path.exists(self.control), 2, "the status socket exists")
                    return
            except TimeoutError:
                continue
        raise AssertionError(f"no READY=1 in {_READY_SECONDS} s: {self.stderr()}{self.log()}")

    @property
    def pid(self):
        return self._daemon.pid

    def status(self):
        """The whole answer of `status --json`."""
        result = run_command("status", "--socket", self.control, "--json")
        if result.returncode != 0:
            raise AssertionError(f"status ended with {result.returncode}: {result.stderr}"
                                 f"{self.stderr()}{self.log()[-2000:]}")
        return json.loads(result.stdout)

    def total(self):
        return self.status()["total"]

    def held(self):
        return self.total()["held"]

    def counter(self, name):
        return self.total()["counters"][name]

    def outcomes(self, pool):
        """{"taken": n, "refused": n, ...} of one pool over all shards."""
        return self.total()["pools"][pool]

    def lists(self):
        """{list: what `lists --json` says of it}."""
        result = run_command("lists", "--socket", self.control, "--json")
        if result.returncode != 0:
            raise AssertionError(f"lists ended with {result.returncode}: {result.stderr}")
        return {one["list"]: one for one in json.loads(result.stdout)["lists"]}

    def wait_list(self, name, state, seconds=10):
        """Waits until a list is "up" or "disabled"; returns what is said of it then."""
        def reached():
            said = self.lists()[name]
            return said if said["state"] == state else None
        return wait_until(reached, seconds, f"{name} is {state}")

    def shard_pids(self):
        return [shard["pid"] for shard in self.status()["shards"]]

    def wait_empty(self, seconds=10):
        """Waits until no client is held, then returns the last status."""
        return wait_until(lambda: (lambda s: s if s["total"]["held"] == 0 else None)(self.status()),
                          seconds, f"no client is held: {self.total()}")

    def log(self):
        return self._read(self.log_path)

    def log_lines(self, *words):
        """Log lines that hold every given word, letter case aside; none is on its way then."""
        self._settle()
        return [line for line in self.log().splitlines()
                if all(word.lower() in line.lower() for word in words)]

    def _settle(self):
        """A lot of lines is written 50 ms after the last one: until none was, at most a second."""
        before = None
        for _ in range(12):
            size = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
            if size == before:
                return
            before = size
            time.sleep(0.08)

    def stderr(self):
        return self._read(os.path.join(self.dir, "stderr"))

    @staticmethod
    def _read(path):
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def processes(self):
        return processes_marked(self._mark)

    def kill_supervisor(self):
        self._daemon.kill()
        self._daemon.wait()

    def wait_gone(self, seconds):
        wait_until(lambda: not self.processes(), seconds, f"nobody is left: {self.processes()}")

    def stop(self, seconds=15):
        """SIGTERM to the daemon, then SIGKILL to whatever of it is left. Returns the exit code,
        None when it had to be killed."""
        code = None
        if self._daemon is not None:
            if self._daemon.poll() is None:
                self._daemon.send_signal(signal.SIGTERM)
            try:
                code = self._daemon.wait(seconds)
            except subprocess.TimeoutExpired:
                kill_quietly(self._daemon.pid)
                self._daemon.wait()
            for pid in self.processes():
                kill_quietly(pid)
            wait_until(lambda: not self.processes(), 10, "all lychgate processes ended")
        self._scratch.remove()
        return code


def pool(name, *backends, **settings):
    """Text of one [[pool]]."""
    quoted = ", ".join(f'"{backend}"' for backend in backends)
    text = f'[[pool]]\nname = "{name}"\nbackends = [{quoted}]\n'
    return text + "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def route(pool_name, when=None):
    """Text of one [[route]]; `when` is TOML, for example 'allowlisted = true'."""
    text = f'[[route]]\npool = "{pool_name}"\n'
    return text + (f"when = {{ {when} }}\n" if when else "")


def greet(**settings):
    return "[greet]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def no_dialogue():
    """Who passed its wait is handed off at once, and meets the backend's own 220."""
    tests = ("pipelining", "non_smtp_command", "bare_newline")
    return "[dialogue]\n" + "".join(f"{test}.enable = false\n" for test in tests)


def limits(**settings):
    return "[limits]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def table(name, **settings):
    """Text of any other table, for example table("dnsl", sites=[...], threshold=3)."""
    return f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, (int, float)) else f'"{value}"'
