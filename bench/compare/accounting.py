"""What servers cost: CPU of whole processes, user memory, kernel objects. Only reads /proc.

Kernel memory is counted in objects of the slab caches that connections live in, each at its share
of its slab, so it holds what slabs waste at their ends and not what other programs happen to free.
"""

import os
import time

from relay_compare import cpu_seconds

PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
# Exact names, and beginnings: caches of the same size are merged under any one name, so what an
# epoll registration or a bind bucket takes may be counted as something else, but counted it is.
_CACHES = ("TCP", "request_sock_TCP", "sock_inode_cache", "filp", "dentry", "lsm_file_cache",
           "lsm_inode_cache", "io_kiocb", "eventpoll_epi", "eventpoll_pwq", "ep_head")
_CACHE_KINDS = ("kmalloc-", "skbuff_", "tcp_bind")


def living_cpu(pids):
    """CPU seconds of these processes so far, each with all its threads; who has gone counts 0."""
    total = 0.0
    for pid in pids:
        try:
            total += cpu_seconds([pid])
        except OSError:
            continue
    return total


def reaped_cpu(pid):
    """CPU seconds of the children of `pid` that have ended and were waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def user_bytes(pids):
    """Memory of these processes, pages they share counted once (PSS)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("Pss:")) * 1024
        except OSError:
            continue
    return total


def _is_counted(name):
    return name in _CACHES or name.startswith(_CACHE_KINDS)


def kernel_objects():
    """{cache: (objects in use, bytes of slab an object takes)}."""
    found = {}
    with open("/proc/slabinfo", encoding="ascii") as f:
        for line in f:
            fields = line.split()
            if line.startswith(("slabinfo", "#")) or not _is_counted(fields[0]):
                continue
            active, per_slab, pages = int(fields[1]), int(fields[4]), int(fields[5])
            found[fields[0]] = (active, pages * PAGE / per_slab)
    return found


def kernel_growth(before, after):
    """Bytes of the objects that came between two readings."""
    return sum((count - before.get(name, (0, 0))[0]) * size
               for name, (count, size) in after.items())


def settled_kernel_objects():
    """A reading once the kernel has freed what it frees late (inodes wait for RCU)."""
    last = kernel_objects()
    for _ in range(40):
        time.sleep(0.25)
        now = kernel_objects()
        if abs(kernel_growth(last, now)) < 32768:
            return now
        last = now
    return last


def child_half_bytes(objects):
    """What the server's end of a connection takes before it is accepted: socket and request."""
    return objects["TCP"][1] + objects["request_sock_TCP"][1]


def established():
    """TCP sockets in use in this network namespace."""
    with open("/proc/self/net/sockstat", encoding="ascii") as f:
        for line in f:
            if line.startswith("TCP:"):
                return int(line.split()[2])
    raise RuntimeError("no TCP line in /proc/net/sockstat")


def waiting_in_queue(port):
    """Connections of a listener on 127.0.0.1 that nobody has accepted yet."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/self/net/tcp", encoding="ascii") as f:
        next(f)
        for line in f:  # listeners come first
            fields = line.split()
            if fields[3] != "0A":
                break
            if fields[1] == wanted:
                return int(fields[4].split(":")[1], 16)
    raise RuntimeError(f"nobody listens on port {port}")
