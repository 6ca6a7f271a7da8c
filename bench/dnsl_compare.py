#!/usr/bin/env python3
"""Measures lychgate's DNS lists against postscreen with dnsblog, in one interleaved run.

python3 bench/dnsl_compare.py [--rounds N] [--clients N] [--seats N] [--markdown]

Both face the same clients, each from an address of its own, ask the same five lists of the same
rbldnsd, find it in the same resolv.conf, and pass clients to the same stand-in for smtpd. Most
clients are on a list that allows, so that the answers alone decide when they hear 220; some are on
one that blocks and must hear 521, some on none. `seats` clients are there at once; who has heard
its verdict makes room for the next. Reported: lookups a second up to the last allowed client's
220, CPU of all processes of the peer (user and system, those that ended included) for a lookup,
the most processes it had. Exit code 0 only if every client heard from both what the zones say.

The peer runs on core 0, all others on core 1. Everything happens in a network and a mount namespace
of this process's own, where rbldnsd has port 53; they vanish with it. Needs root.
"""

import argparse
import contextlib
import ctypes
import json
import multiprocessing
import os
import re
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
sys.dont_write_bytecode = True

import dns_lists  # noqa: E402
from gate import Gate, greet, limits, pool, route, run_command, table  # noqa: E402
from postfix import Postfix  # noqa: E402
from relay_compare import LOAD_CORE, PROXY_CORE, cell, cpu_seconds, pinned  # noqa: E402
from scratch import (LYCHGATE, ScratchDir, free_port, loopback,  # noqa: E402
                     processes_marked, wait_until)

SITES = ["one.test=127.0.0.2*3", "two.test=127.0.0.2*3", "three.test=127.0.0.[2..4]*2",
         "block.test=127.0.0.2*8", "allow.test=127.0.0.2*-8"]
THRESHOLD, ALLOW_THRESHOLD = 8, -4
WAIT_SECONDS = 2
CLIENTS_BLOCK = 7  # addresses are 127.7.0.1 and on
LISTS = len(SITES)
DNS_PORT = 53

# sched.h and sys/mount.h
_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18

_FINAL = re.compile(rb"(?:^|\n)(\d\d\d) [^\n]*\n")

_MAIN_CF = """
postscreen_dnsbl_sites = {sites}
postscreen_dnsbl_threshold = {threshold}
postscreen_dnsbl_allowlist_threshold = {allow}
postscreen_dnsbl_action = drop
postscreen_greet_action = ignore
postscreen_greet_wait = {wait}s
postscreen_cache_map =
postscreen_access_list =
postscreen_client_connection_count_limit = 0
postscreen_pre_queue_limit = 20000
postscreen_post_queue_limit = 20000
# Also the backlog of the dnsblog socket: a burst beyond it is not asked at all.
default_process_limit = 4000
"""
_MASTER_CF = """
127.0.0.1:{port} inet n - n - 1 postscreen -o smtpd_service_name=standin
dnsblog unix - - n - 0 dnsblog
"""


def enter_namespaces(stack):
    """A network of our own, where port 53 is free, and a resolv.conf that names it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) != 0:
            raise SystemExit(f"{name}: {os.strerror(ctypes.get_errno())}; root is needed, and a "
                             "kernel that gives it namespaces")
    call("unshare", _CLONE_NEWNS | _CLONE_NEWNET)
    call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as f:
        f.write(str(DNS_PORT))
    scratch = ScratchDir("resolv")
    stack.callback(scratch.remove)
    resolv_conf = scratch.file("resolv.conf", "nameserver 127.0.0.1\n")
    call("mount", resolv_conf.encode(), b"/etc/resolv.conf", None, _MS_BIND, None)
    # Unmounted before its file is removed.
    stack.callback(call, "umount", b"/etc/resolv.conf")


def verdict_of(index):
    """What the zones make of the index-th client, and so what it must hear."""
    kind = index % 32
    return "521" if kind == 7 else "220"


def waits_on_answers(index):
    """Whether its verdict comes with the last answer, not at the end of the wait."""
    return index % 32 not in (7, 19)


def make_zones(count):
    """Clients of kind 7 are blocked, 19 is on one list that does not suffice, all others are
    allowed, 1 although another list knows it."""
    def listed(wanted):
        return (loopback(i, CLIENTS_BLOCK) for i in range(count) if wanted(i % 32))
    return [dns_lists.Zone("one.test", listed(lambda kind: kind in (1, 7))),
            dns_lists.Zone("two.test", listed(lambda kind: kind == 7)),
            dns_lists.Zone("three.test", listed(lambda kind: kind == 19)),
            dns_lists.Zone("block.test", listed(lambda kind: kind == 7)),
            dns_lists.Zone("allow.test", listed(lambda kind: kind not in (7, 19)))]


def stand_in(listener):
    """In place of smtpd: takes a passed connection, says 220, lets it go."""
    os.sched_setaffinity(0, {LOAD_CORE})
    while True:
        service, _ = listener.accept()
        with service:
            _, descriptors, _, _ = socket.recv_fds(service, 4096, 1)
            for one in descriptors:
                with contextlib.suppress(OSError):
                    os.write(one, b"220 stand-in\r\n")
                os.close(one)


class Postscreen(Postfix):
    """The scratch Postfix with a postscreen in front; its dnsblog has no limit of processes."""

    def __init__(self):
        self.port = free_port()
        super().__init__()

    def _write_configuration(self):
        super()._write_configuration()
        self._append("etc/main.cf", _MAIN_CF.format(
            sites=" ".join(SITES), threshold=THRESHOLD, allow=ALLOW_THRESHOLD, wait=WAIT_SECONDS))
        self._append("etc/master.cf", _MASTER_CF.format(port=self.port))

    def _append(self, name, text):
        with open(os.path.join(self.dir, name), "a", encoding="ascii") as out:
            out.write(text)

    def pids(self):
        """master, postscreen and every dnsblog."""
        found = []
        for pid in [self._master.pid, *processes_marked(f"MAIL_CONFIG={self.dir}/etc")]:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as f:
                if f.read().strip() in ("master", "postscreen", "dnsblog"):
                    found.append(pid)
        return list(set(found))

    def reaped_seconds(self):
        """CPU of the children that ended."""
        with open(f"/proc/{self._master.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


class Peer:
    """One of the two: where clients call, and how to learn what it has cost."""

    def __init__(self, name, port, pids, reaped=lambda: 0):
        self.name = name
        self.port = port
        self._pids = pids
        self._reaped = reaped
        self.results = {"lookups/s": [], "CPU us/lookup": [], "processes": []}
        self.wrong = []  # of all rounds

    def processes(self):
        return len(self._pids())

    def cpu(self):
        total = self._reaped()
        for pid in self._pids():
            with contextlib.suppress(OSError):
                total += cpu_seconds([pid])
        return total


class Round:
    """Clients from a range of addresses, `seats` at once; each hangs up at its verdict."""

    def __init__(self, port, indexes, seats):
        self._target = ("127.0.0.1", port)
        self._waiting = iter(indexes)
        self._seats = seats
        self._poll = select.epoll()
        self._open = {}  # descriptor: [socket, index, text]
        self.wrong = []  # (index, text)
        self.seconds = 0  # until the last client that waited on answers alone

    def run(self):
        begin = time.monotonic()
        for _ in range(self._seats):
            self._next()
        while self._open:
            events = self._poll.poll(WAIT_SECONDS + 15)
            if not events:
                self.wrong += [(index, "nothing") for _, index, _ in self._open.values()]
                break
            for descriptor, _ in events:
                self._hear(descriptor, begin)
        for client, _, _ in self._open.values():
            client.close()
        self._poll.close()

    def _next(self):
        """Seats the next client; those that wait to the end whatever the answers take no seat."""
        for index in self._waiting:
            self._call(index)
            if waits_on_answers(index):
                return

    def _call(self, index):
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((loopback(index, CLIENTS_BLOCK), 0))
        client.connect_ex(self._target)
        self._open[client.fileno()] = [client, index, b""]
        self._poll.register(client, select.EPOLLIN)

    def _hear(self, descriptor, begin):
        seat = self._open[descriptor]
        client, index, _ = seat
        try:
            data = client.recv(4096)
        except OSError:
            data = b""
        seat[2] += data
        said = _FINAL.search(seat[2])
        if data and not said:
            return
        if not said or said.group(1).decode() != verdict_of(index):
            self.wrong.append((index, seat[2].decode(errors="replace")))
        del self._open[descriptor]
        client.close()
        if waits_on_answers(index):
            self.seconds = time.monotonic() - begin
            self._next()


def start_postscreen(stack):
    with pinned(PROXY_CORE):
        postfix = Postscreen()
    stack.callback(postfix.stop)
    listener = socket.socket(socket.AF_UNIX)
    path = os.path.join(postfix.dir, "queue/private/standin")
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(4096)
    process = multiprocessing.Process(target=stand_in, args=(listener,), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    return Peer("postscreen", postfix.port, postfix.pids, postfix.reaped_seconds), path


def lists_are_up(gate):
    said = run_command("lists", "--socket", gate.control, "--json")
    return all(one["state"] == "up" for one in json.loads(said.stdout)["lists"])


def start_lychgate(path, stack):
    body = (greet(wait=f"{WAIT_SECONDS}s", early_look="0s") + limits(per_address=0)
            + table("dnsl", sites=SITES, threshold=THRESHOLD, allow_threshold=ALLOW_THRESHOLD,
                    action="drop")
            + pool("standin", f"pass:{path}", connections=10000) + route("standin"))
    with pinned(PROXY_CORE):
        gate = stack.enter_context(Gate(body, top="shards = 1"))
    wait_until(lambda: lists_are_up(gate), 10, "all lists have passed their test points")
    return gate, Peer("lychgate", gate.port, gate.processes)


def run_round(peer, indexes, seats):
    cpu = peer.cpu()
    one = Round(peer.port, indexes, seats)
    one.run()
    peer.wrong += one.wrong
    lookups = len(indexes) * LISTS
    answered = sum(map(waits_on_answers, indexes)) * LISTS
    peer.results["lookups/s"].append(answered / one.seconds)
    peer.results["CPU us/lookup"].append((peer.cpu() - cpu) / lookups * 1e6)
    peer.results["processes"].append(peer.processes())


def measure(chosen, stack):
    """Both peers with their results; the gate last."""
    enter_namespaces(stack)
    os.sched_setaffinity(0, {LOAD_CORE})
    # resolv.conf knows no ports.
    with mock.patch.object(dns_lists, "free_port", return_value=DNS_PORT):
        zones = make_zones(chosen.clients * (chosen.rounds + 1))
        stack.enter_context(dns_lists.Rbldnsd(zones))
    theirs, path = start_postscreen(stack)
    gate, ours = start_lychgate(path, stack)
    peers = [theirs, ours]
    for number in range(chosen.rounds + 1):
        indexes = range(number * chosen.clients, (number + 1) * chosen.clients)
        for peer in peers:
            run_round(peer, indexes, chosen.seats)
            if number == 0:  # it starts what is started on demand, and does not count
                for values in peer.results.values():
                    values.clear()
        peers.reverse()  # nobody always goes first
        print(f"round {number} of {chosen.rounds} done", file=sys.stderr, flush=True)
    said = {name: value for name, value in gate.total()["counters"].items()
            if name.startswith("dns_") and value}
    wanted = chosen.clients * (chosen.rounds + 1) * LISTS  # the probes of the lists come on top
    if said["dns_asked"] < wanted or said["dns_answered"] != said["dns_asked"]:
        print(f"lychgate had not all answers to {wanted} lookups: {said}")
    return [theirs, ours]


def report(peers, markdown):
    theirs, ours = peers
    measures = list(ours.results)
    rows = [["min/median/max", *measures]]
    rows += [[one.name, *(cell(one.results[measure]) for measure in measures)] for one in peers]
    rows.append(["lychgate / postscreen", *(
        f"{statistics.median(ours.results[one]) / statistics.median(theirs.results[one]):.3g}"
        for one in measures)])
    if markdown:
        rows.insert(1, ["---"] * len(rows[0]))
        print("\n".join("| " + " | ".join(row) + " |" for row in rows))
        return
    widths = [max(map(len, column)) for column in zip(*rows)]
    print("\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
                    for row in rows))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--clients", type=int, default=2000, help="of one round")
    options.add_argument("--seats", type=int, default=200, help="clients there at once")
    options.add_argument("--markdown", action="store_true", help="print a Markdown table")
    chosen = options.parse_args()
    if not os.access(LYCHGATE, os.X_OK):
        print(f"{LYCHGATE} is missing: build it, or name a build folder by LYCHGATE_BUILD",
              file=sys.stderr)
        return 69
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        peers = measure(chosen, stack)
    report(peers, chosen.markdown)
    for peer in peers:
        if peer.wrong:
            index, text = peer.wrong[0]
            print(f"{peer.name}: {len(peer.wrong)} clients did not hear what the zones say, for "
                  f"example {loopback(index, CLIENTS_BLOCK)} heard {text!r}")
    return 1 if any(peer.wrong for peer in peers) else 0


if __name__ == "__main__":
    sys.exit(main())
