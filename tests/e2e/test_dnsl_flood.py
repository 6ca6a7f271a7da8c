"""20,000 clients at once, each looked up in five lists of 10^6 entries: 100,000 lookups, every one
answered, every sum right, and no process more than before."""

import itertools
import unittest

from callers import Callers
from dns_lists import Rbldnsd, Unbound, Zone
from gate import Gate, greet, limits, table
from scratch import SANITIZED, loopback, note, resident_bytes, scaled, wait_until
from score_pools import ScorePools, score_in

WAIT = 20
# How many of the million are clients, by the remainder of the client's number, and the weight.
LISTS = [("one.test", 2, 1), ("two.test", 3, 2), ("three.test", 5, 3), ("four.test", 7, 4),
         ("white.test", 11, -5)]
BLOCK = 100


def address(index):
    return loopback(index, BLOCK)


def entries(clients, every, total):
    """`total` addresses: the clients whose number `every` divides, then others."""
    mine = (address(index) for index in range(0, clients, every))
    others = (loopback(index, BLOCK + 10 + index // 60_000) for index in range(total))
    return itertools.islice(itertools.chain(mine, others), total)


def expected_score(index):
    return sum(weight for _, every, weight in LISTS if index % every == 0)


class DnsListFlood(unittest.TestCase):
    def _flood(self, through_unbound):
        clients = scaled(20_000, least=500)
        total = scaled(1_000_000, least=20_000)
        lists = Rbldnsd([Zone(name, entries(clients, every, total)) for name, every, _ in LISTS])
        self.addCleanup(lists.stop)
        server = lists
        if through_unbound:
            server = Unbound({name: lists.server for name, _, _ in LISTS})
            self.addCleanup(server.stop)
        body = (greet(wait=f"{WAIT}s", early_look="0s") + limits(per_address=0)
                + table("dns", servers=[f"127.0.0.1:{server.port}"])
                + table("dnsl", sites=[f"{name}=127.0.0.2*{weight}" for name, _, weight in LISTS],
                        threshold=100, allow_threshold=0))
        with ScorePools(-6, 11) as pools, Gate(body + pools.body(), top="shards = 2") as gate:
            for name, _, _ in LISTS:
                gate.wait_list(name, "up")
            probes = gate.counter("dns_asked")
            before = sorted(gate.processes())
            with Callers(gate.target, map(address, range(clients)), processes=3) as callers:
                wait_until(lambda: gate.held() == clients, WAIT / 2, "all are held at once")
                self.assertEqual(before, sorted(gate.processes()))
                sizes = [resident_bytes(pid) for pid in gate.shard_pids()]
                heard = {one.source: one for one in callers.results(WAIT + 60)}
            self.assertEqual(before, sorted(gate.processes()))
            self._check(gate, heard, clients, probes)
            note(f"{len(before)} processes before, during and after; shards of "
                 f"{' and '.join(f'{size / 1e6:.0f} MB' for size in sizes)} while all were held")

    def _check(self, gate, heard, clients, probes):
        counters = gate.total()["counters"]
        note(f"{clients} clients held; asked {counters['dns_asked']}, sent {counters['dns_sent']}, "
             f"answered {counters['dns_answered']}, late {counters['dns_late']}, timed out "
             f"{counters['dns_timed_out']}, partial {counters['dnsl_partial']}")
        wrong = [(heard[source], index) for index in range(clients)
                 if score_in(heard[source := address(index)]) != expected_score(index)]
        self.assertEqual([], wrong[:5], f"{len(wrong)} of {clients} verdicts are wrong")
        lookups = clients * len(LISTS)
        # Probes go on meanwhile; the lookups of clients are exactly this many.
        self.assertGreaterEqual(counters["dns_asked"], lookups + probes)
        self.assertLessEqual(counters["dns_asked"], lookups + probes + 5 * 4 * 3)
        self.assertEqual(counters["dns_asked"], counters["dns_answered"])
        for name in ("dns_timed_out", "dns_failed", "dns_given_up", "dnsl_partial", "dnsl_cached",
                     "restarts"):
            self.assertEqual(0, counters[name], name)
        for name, said in gate.lists().items():
            self.assertEqual("up", said["state"], name)
            self.assertGreaterEqual(said["queries"], clients)
        if not SANITIZED:
            slowest = max(one.seconds for one in heard.values())
            note(f"the last client had its greeting {slowest - WAIT:.1f} s after its wait")

    def test_lists_alone(self):
        """20,000 clients, 5 lists, asked of rbldnsd itself"""
        self._flood(through_unbound=False)

    def test_through_a_resolver(self):
        """the same through unbound, whose cache is empty: 100,000 recursions"""
        self._flood(through_unbound=True)
