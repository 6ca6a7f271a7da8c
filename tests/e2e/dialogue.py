"""What tests of the dialogue ask of a gate: that it knows its backends, and that nothing is left.

Knows the gate's status, its processes and the wording of its log; owns nothing."""

import os
import re
import time

from gate import greet, pool, route
from scratch import wait_until


def body(*backends, wait="0s", dialogue="", **settings):
    """A gate's configuration: strangers talk to it at once and go to these backends."""
    return (greet(wait=wait) + dialogue + pool("out", *backends, proxy_protocol="none", **settings)
            + route("out"))


def wait_checked(gate, checks=1):
    """Until so many health checks are over: from then on EHLO announces what backends can."""
    wait_until(lambda: gate.counter("backend_checks") >= checks, 10, "backends were checked")
    wait_until(lambda: gate.total()["phases"]["backend"] == 0, 10, "the checks are over")


def wait_nothing_left(gate, seconds=15):
    """Until every slot is free; returns the last totals of the status."""
    def free():
        total = gate.total()
        return None if any(total["phases"].values()) or total["held"] else total
    return wait_until(free, seconds, f"every slot is free: {gate.total()}")


def open_files(gate):
    """Descriptors of all shards, those that only their rings know included."""
    count = 0
    for pid in gate.shard_pids():
        for entry in os.listdir(f"/proc/{pid}/fdinfo"):
            count += 1
            try:
                with open(f"/proc/{pid}/fdinfo/{entry}", encoding="ascii", errors="replace") as f:
                    table = f.read().partition("UserFiles:")[2].partition("UserBufs:")[0]
            except OSError:
                continue
            count += len(re.findall(r"(?m)^\s*\d+: ", table))
    return count


def said_of(gate, source, until=None):
    """Log lines about one address, each from its first word on. Lines are written when a shard has
    nothing else to do: waits a while for one that begins like `until`."""
    end = time.monotonic() + 5
    while True:
        said = _said(gate, source)
        whole = until is None or any(re.match(until, line) for line in said)
        if whole or time.monotonic() > end:
            return said
        time.sleep(0.02)


def _said(gate, source):
    where = re.escape(f"[{source}]:")
    return [line.split("]: ", 1)[1] for line in gate.log().splitlines() if re.search(where, line)]


def wait_lines(gate, count, *words):
    """Until the log has so many lines with these words."""
    wait_until(lambda: len(gate.log_lines(*words)) == count, 5, f"{count} lines with {words}")
