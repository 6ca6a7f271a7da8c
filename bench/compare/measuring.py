"""How one figure of one server comes about: start it, load it, read what it cost, end it.

Each function starts a server of its own, so that nobody pays for what another work left behind, and
returns {measure: value}. Knows no table and no goal.
"""

import contextlib
import dataclasses
import itertools
import socket
import time

import accounting
from accounting import established, kernel_growth, kernel_objects, settled_kernel_objects
from load import Flood, LoadFailed, flood
from scratch import wait_until
from servers import BY_NAME, Door, wait_for_quiet
from world import favoured

ALLOWED = "127.32.0.0/16"       # clients that are let through at once
_ALLOWED_FLOOD = "127.64.0.0/10"  # all others, for works in which nobody is screened
_UNKNOWN = itertools.cycle(range(64, 120))
_WARM_UP = 20
_FLOOD_OPEN_MOST = 200_000      # clients of the flood open at once; they stay for 0.1 s
_SETTLE_SECONDS = 2             # the gate's early look is over, RCU has freed what it frees


@dataclasses.dataclass
class Bench:
    """What all measurements of a comparison share."""

    scale: object
    backlog: int
    sink: object
    smtpd: object = None

    def door(self, **wanted):
        settings = {"wait": self.scale.wait, "backend": self.sink, "backlog": self.backlog}
        return Door(**{**settings, **wanted})


def unknown_sources():
    """A network no client has come from for a while."""
    return f"127.{next(_UNKNOWN)}.0.0/16"


@contextlib.contextmanager
def serving(name, door):
    """The server, having met its first clients."""
    server = BY_NAME[name](door)
    try:
        for _ in range(_WARM_UP):
            with socket.create_connection(("127.0.0.1", server.port), 10):
                pass
        time.sleep(0.3)
        yield server
    finally:
        server.stop()


def _latency(said, kind, part):
    found = said["latency_us"][kind]
    return found[part] / 1000 if found["count"] else None  # ms


def screened(bench, name, profile, clients, sample=False, door=None, **wanted):
    """The whole life of clients that must wait; until the last of them is forgotten."""
    door = door or bench.door()
    with serving(name, door) as server:
        before = server.cpu()
        most = {}
        with Flood(server.port, profile, count=clients, sources=unknown_sources(),
                   **wanted) as load:
            while sample and load.running():
                _note_most(most, server)
                time.sleep(0.5)
            said = load.result()
        time.sleep(door.wait)
        wait_for_quiet(server, 60)
        spent = server.cpu() - before
    if not said["connected"]:
        raise LoadFailed(f"{name}: nobody could connect")
    return {"cpu_us": spent / said["connected"] * 1e6,
            "first_byte_p50_ms": _latency(said, "first_byte", "p50"),
            "first_byte_p99_ms": _latency(said, "first_byte", "p99"),
            "rate": said["rate_achieved"],
            # HAProxy says nothing to those it screens.
            "unserved": clients - (said["first_bytes"] or said["connected"]), **most}


def _note_most(most, server):
    pids = server.pids()
    most["processes"] = max(most.get("processes", 0), len(pids))
    most["user_mb"] = max(most.get("user_mb", 0), accounting.user_bytes(pids) / 1e6)


def _wait_held(server, base, count, seconds):
    """All are connected, and the server has accepted them all."""
    wait_until(lambda: established() >= base + 2 * count
               and accounting.waiting_in_queue(server.port) == 0, seconds,
               f"{server.name} holds {count} (sockets before: {base})", pause=0.2)


def _hold(port, count):
    return Flood(port, "zombie", count=count, parallel=count, hold="600s", duration="600s",
                 sources=_ALLOWED_FLOOD)


def held(bench, name, count):
    """User and kernel memory and idle CPU while `count` silent clients are held."""
    door = bench.door(wait=60, mode="hold", held_most=count + 1000)
    with serving(name, door) as server:
        pids = server.pids()
        user_before = accounting.user_bytes(pids)
        kernel_before = settled_kernel_objects()
        base = established()
        begin_cpu = server.cpu()
        with _hold(server.port, count):
            # The floor holds for ever, the others till the wait is over.
            _wait_held(server, base, count, 300 if name == "floor" else 50)
            time.sleep(_SETTLE_SECONDS)
            kernel = kernel_growth(kernel_before, kernel_objects())
            # At least the sockets: less was freed by somebody else.
            if kernel < 2 * count * kernel_before["TCP"][1]:
                raise LoadFailed("another program frees kernel memory: this needs an idle machine")
            user = accounting.user_bytes(pids)
            cpu, begin = server.cpu(), time.monotonic()
            time.sleep(bench.scale.idle_seconds)
            idle = (server.cpu() - cpu) / (time.monotonic() - begin)
        return {"user_b": (user - user_before) / count + server.reserved_bytes,
                "user_mb": user / 1e6, "both_ends_b": kernel / count,
                "accept_us": (cpu - begin_cpu) / count * 1e6, "idle_percent": idle * 100}


def accepted_half(bench, name, count):
    """The server's kernel half of one accepted connection: what accepting adds to a connection in
    the queue, and the queue's own two objects. Nobody hears a banner, so the client's half is the
    same in both readings."""
    del name
    count = min(count, bench.backlog - 100)
    with serving("floor", bench.door(mode="hold", banner=False)) as server:
        base = established()
        server.rest()
        try:
            with _hold(server.port, count):
                wait_until(lambda: established() >= base + 2 * count, 30, "all wait in the queue")
                time.sleep(_SETTLE_SECONDS)
                waiting = kernel_objects()
                server.resume()
                _wait_held(server, base, count, 30)
                time.sleep(_SETTLE_SECONDS)
                added = kernel_growth(waiting, kernel_objects())
        finally:
            server.resume()
    return {"half_b": added / count + accounting.child_half_bytes(waiting)}


def preferred(bench, name, flooded):
    """Time to smtpd's 220 for clients that are let through, alone or beside a flood."""
    scale = bench.scale
    door = bench.door(wait=6, allow=ALLOWED, backend=bench.smtpd, held_most=400_000)
    with serving(name, door) as server, contextlib.ExitStack() as stack:
        _call_preferred(server, scale.preferred_rate * 2, scale)  # starts the smtpd processes
        load = None
        if flooded:
            load = stack.enter_context(Flood(
                server.port, "zombie", hold="100ms", count=100_000_000, rate=scale.flood_rate,
                parallel=_FLOOD_OPEN_MOST, duration=f"{scale.preferred_seconds + 2}s",
                sources=_ALLOWED_FLOOD))
            time.sleep(1)
        said = _call_preferred(server, scale.preferred_rate * scale.preferred_seconds, scale)
        out = {"p50_ms": _latency(said, "first_byte", "p50"),
               "p99_ms": _latency(said, "first_byte", "p99"),
               "unserved": said["started"] - said["first_bytes"]}
        if load is not None:
            out["flood_rate"] = load.result()["rate_achieved"]
        return out


def _call_preferred(server, count, scale):
    # Each stays a little, so there are always some; smtpd's number is bounded.
    with favoured():
        return flood(server.port, "zombie", count=count, rate=scale.preferred_rate, hold="900ms",
                     sources=ALLOWED)


def mail(bench, name, handoff):
    """Whole transactions to the sink; with postscreen and the gate the client is let through."""
    scale = bench.scale
    door = bench.door(wait=0 if name != "postscreen" else 1, allow=ALLOWED, handoff=handoff)
    with serving(name, door) as server:
        before = server.cpu()
        said = flood(server.port, "legit", count=scale.mails, parallel=50, size=scale.mail_bytes,
                     sources=ALLOWED)
        wait_for_quiet(server, 60)
        spent = server.cpu() - before
    if said["delivered"] < scale.mails * 0.99:
        raise LoadFailed(f"{name}: only {said['delivered']} of {scale.mails} mails delivered: "
                         f"{said['endings']}")
    return {"mails_per_s": said["delivered"] / said["elapsed_s"],
            "cpu_us": spent / said["delivered"] * 1e6,
            "p50_ms": _latency(said, "transaction", "p50"),
            "p99_ms": _latency(said, "transaction", "p99"),
            "unserved": scale.mails - said["delivered"]}
