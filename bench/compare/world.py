"""Where the comparison happens: a network of its own, its sysctls, cores, and what machine it is.

Owns: the network and mount namespace of this process (they vanish with it), the resolv.conf in it,
and with `tune` the one sysctl of the whole machine that is changed and put back. Everything of the
system itself (its port 25, its resolv.conf, its services) stays as it is and is not even seen.
"""

import contextlib
import os
import platform
import re
import resource
import subprocess

from dnsl_compare import enter_namespaces

SERVER_CORE, LOAD_CORE = 0, 1
_SOMAXCONN = "/proc/sys/net/core/somaxconn"
_DEVICE_BACKLOG = "/proc/sys/net/core/netdev_max_backlog"
_TUNED_SOMAXCONN = 1 << 20
_TUNED_DEVICE_BACKLOG = 200_000


def enter(stack, tune):
    """Returns the backlog that listeners may ask for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if tune:
        stack.enter_context(_device_backlog(_TUNED_DEVICE_BACKLOG))
    # Outside of it the file of the whole machine is no longer there: opened before, written after.
    enter_namespaces(stack)
    os.sched_setaffinity(0, {LOAD_CORE})
    if tune:  # of this namespace alone
        with open(_SOMAXCONN, "w", encoding="ascii") as f:
            f.write(str(_TUNED_SOMAXCONN))
    with open(_SOMAXCONN, encoding="ascii") as f:
        return int(f.read())


@contextlib.contextmanager
def _device_backlog(value):
    """Loopback queues of the whole machine; put back at the end whatever happens."""
    with open(_DEVICE_BACKLOG, "r+", encoding="ascii", buffering=1) as f:
        before = f.read().strip()
        f.seek(0)
        f.write(f"{value}\n")
        try:
            yield
        finally:
            f.seek(0)
            f.write(f"{before}\n")


def resolve_with(address):
    """The name server of everything that is started from now on."""
    with open("/etc/resolv.conf", "w", encoding="ascii") as f:
        f.write(f"nameserver {address}\n")


@contextlib.contextmanager
def favoured():
    """What is started in the block comes before the load on its core, as it would on another."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -15)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def _first_line(*command):
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "?"
    return (said.stdout or said.stderr).partition("\n")[0].strip()


def _version(*command):
    found = re.search(r"\d+\.\d+[.\d]*", _first_line(*command))
    return found.group(0) if found else "?"


def _processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def machine():
    """One sentence that names it, and the peers on it."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{os.cpu_count()} cores ({_processor()}), {gib:.0f} GiB, Linux {platform.release()}; "
            f"postscreen of Postfix {_version('postconf', '-d', 'mail_version')}, "
            f"HAProxy {_version('haproxy', '-v')}, rbldnsd as packaged")
