"""Scratch directories, free ports, waiting, process bookkeeping: what every test here needs.

Owns: the naming of temporary directories and their removal, the scale of heavy tests, the
environment mark by which processes started here are found again. Knows nothing of SMTP, Postfix
or lychgate, and touches nothing outside its own temporary directories.
"""

import ctypes
import os
import random
import shutil
import signal
import socket
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LYCHGATE_BUILD", os.path.join(ROOT, "build", "release"))
LYCHGATE = os.environ.get("LYCHGATE_BINARY", os.path.join(BUILD, "core", "daemon", "lychgate"))
SANITIZED = os.environ.get("LYCHGATE_E2E_SANITIZED", "0") == "1"
SCALE = float(os.environ.get("LYCHGATE_E2E_SCALE", "1"))
MARK = f"LYCHGATE_E2E_MARK={os.getpid()}-{random.getrandbits(48):012x}"

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

_given_ports = set()
_notes = []


def scaled(count, least=1):
    """A count of a heavy test under LYCHGATE_E2E_SCALE, never below `least`."""
    return max(least, int(count * SCALE))


def note(text):
    """A measured fact the runner prints below the test's line."""
    _notes.append(text)


def take_notes():
    taken = list(_notes)
    _notes.clear()
    return taken


def memory_root():
    """A tmpfs with 2 GiB to spare, so that Postfix's fsync costs nothing; else the usual place."""
    try:
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize >= 2 << 30:
            return "/dev/shm"
    except OSError:
        pass
    return None


class ScratchDir:
    """A directory other users may pass through (Postfix and a gate without root must)."""

    def __init__(self, label):
        self.path = tempfile.mkdtemp(prefix=f"lychgate-{label}-", dir=memory_root())
        os.chmod(self.path, 0o755)

    def file(self, name, text=None):
        path = os.path.join(self.path, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def free_port():
    """A port free for TCP and UDP, above 10000 and below the range the kernel hands to clients, so
    that no outgoing connection of a test can take it between the pick and the daemon's bind."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        top = max(int(f.read().split()[0]), 20000)
    for _ in range(1000):
        port = random.randrange(10001, top)
        if port in _given_ports:
            continue
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                stream.bind(("0.0.0.0", port))
                datagram.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port
    raise RuntimeError("no free port between 10001 and the ephemeral range")


def loopback(index, block=1):
    """The index-th address of 127.block.y.z; blocks tell kinds of clients apart."""
    return f"127.{block}.{index // 250 % 250}.{index % 250 + 1}"


def wait_until(check, seconds, what, pause=0.02):
    """Polls `check` until it returns something true, which is returned; fails naming `what`."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not so: {what}")
        time.sleep(pause)


def marked_environment(**extra):
    """The environment for a daemon: ours, plus the mark by which its processes are found."""
    name, value = MARK.split("=", 1)
    return {**os.environ, name: value, **extra}


def die_with_parent():
    """preexec_fn: the daemon ends when the test run is killed, so that nothing is left behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def processes_marked(mark):
    """Pids of all processes whose start environment holds `mark`, zombies excepted."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as f:
                if mark.encode() in f.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            continue
    return found


def kill_quietly(pid, how=signal.SIGKILL):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


def resident_bytes(pid):
    """Exact resident memory of a process; statm and VmRSS lag behind by per-CPU batches."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Rss in /proc/{pid}/smaps_rollup")
