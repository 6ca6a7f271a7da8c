"""Everything a DNS server can do wrong: clients pass the wait in time with the right partial score,
`lists` shows why, what was wrong comes back by itself, and nothing grows."""

import unittest

from callers import call
from clients import Client
from dns_message import REFUSED, SERVFAIL
from fault_dns import FORGERIES, TCP_MANNERS, FaultServer, FaultZone
from gate import Gate, greet, limits, table
from scratch import SANITIZED, loopback, note, resident_bytes, scaled, wait_until
from score_pools import ScorePools, score_in

WAIT = 2.0
BAD, CLEAN = "127.80.0.1", "127.80.0.2"
SITES = ["good.test=127.0.0.2*2", "bad.test=127.0.0.[2..9]*3"]
# How long after the wait a client may hear its verdict on a busy machine.
LATE = 3.0 if SANITIZED else 0.7


class DnsListFaults(unittest.TestCase):
    """good.test behaves and lists BAD with 2; bad.test would list it with 3 but misbehaves."""

    def setUp(self):
        self.good = FaultZone("good.test", {BAD: "127.0.0.2"})
        self.bad = FaultZone("bad.test", {BAD: "127.0.0.3"})
        self.server = FaultServer(self.good, self.bad)
        self.addCleanup(self.server.stop)
        self.pools = ScorePools(-1, 6)
        self.addCleanup(self.pools.stop)

    def _gate(self, servers=None, sites=None, dns=None, top="shards = 1", **dnsl):
        ports = [server.port for server in servers or [self.server]]
        settings = {"threshold": 100, "allow_threshold": 0, "probe_interval": "60s", **dnsl}
        return Gate(greet(wait=f"{int(WAIT)}s", early_look="0s") + limits(per_address=0)
                    + table("dns", servers=[f"127.0.0.1:{port}" for port in ports],
                            **(dns or {"timeout": "1s"}))
                    + table("dnsl", sites=sites or SITES, **settings) + self.pools.body(), top=top)

    def _up(self, gate):
        for name in ("good.test", "bad.test"):
            gate.wait_list(name, "up")

    def _score(self, gate, address=BAD, least=WAIT):
        """The score of one client, who must have had its verdict at the end of the wait."""
        heard = call(gate.target, [address], WAIT + 5)[address]
        self.assertIsNotNone(heard.seconds, "no verdict")
        self.assertTrue(least <= heard.seconds <= WAIT + LATE, f"in time: {heard}")
        return score_in(heard)

    def test_no_fault(self):
        """nothing wrong: both lists count"""
        with self._gate() as gate:
            self._up(gate)
            self.assertEqual(5, self._score(gate))
            self.assertEqual(0, self._score(gate, CLEAN))
            self.assertEqual(0, gate.counter("dnsl_partial"))

    def test_dead(self):
        """DNS dead, port closed or silent, from the start: everybody passes in time with 0"""
        for how in ("silent", "closed"):
            with self.subTest(how):
                server = FaultServer(FaultZone("good.test", {BAD: "127.0.0.2"}),
                                     FaultZone("bad.test", {BAD: "127.0.0.3"}))
                self.addCleanup(server.stop)
                server.silent = True
                if how == "closed":
                    server.stop()
                with self._gate([server]) as gate:
                    self.assertEqual(0, self._score(gate))
                    self._disabled(gate, "good.test", "does not answer")
                    self._disabled(gate, "bad.test", "does not answer")
                    asked = gate.counter("dns_asked")
                    self.assertEqual(0, self._score(gate))
                    self.assertLessEqual(gate.counter("dns_asked") - asked, 8,
                                         "disabled lists are only probed")

    def test_dies_and_returns(self):
        """DNS dies while the gate runs and comes back: lists are disabled, then up by themselves"""
        with self._gate(probe_interval="1s") as gate:
            self._up(gate)
            self.server.silent = True
            self._disabled(gate, "good.test", "does not answer", seconds=15)
            self.assertEqual(0, self._score(gate, loopback(1, 81)))
            self.server.silent = False
            for name in ("good.test", "bad.test"):
                gate.wait_list(name, "up", 15)
                self.assertEqual(1, len(gate.log_lines(f"DNS list {name} is back")))
            self.assertEqual(5, self._score(gate))

    def _disabled(self, gate, name, why, seconds=10):
        said = gate.wait_list(name, "disabled", seconds)
        self.assertIn(why, said["why"])
        self.assertEqual(1, len(gate.log_lines(f"DNS list {name} disabled", why)), gate.log())

    def test_slow(self):
        """answers after 3 s: the sum without them at the end of the wait; late ones are counted"""
        for timeout, partial in (("1s", 0), ("10s", 1)):
            with self.subTest(timeout), self._gate(dns={"timeout": timeout},
                                                        threshold=5) as gate:
                self.bad.delay = 0
                self._up(gate)
                self.bad.delay = 3.0
                self.assertEqual(2, self._score(gate))
                # Given up before the wait was over, or still under way then.
                self.assertEqual([partial, 1 - partial], [gate.counter(name) for name in
                                                          ("dnsl_partial", "dns_timed_out")])
                if not partial:
                    wait_until(lambda: gate.counter("dns_late") > 0, 5, "late ones were counted")

    def test_lying(self):
        """a list that lists everything: never counts, one log line, back by itself"""
        self.bad.everything = "127.0.0.2"
        with self._gate(probe_interval="1s") as gate:
            self.assertEqual(2, self._score(gate))
            self._disabled(gate, "bad.test", "lists an address that no list may list")
            self.assertEqual(0, self._score(gate, CLEAN))
            self.bad.everything = None
            gate.wait_list("bad.test", "up", 15)
            self.assertEqual(1, len(gate.log_lines("DNS list bad.test disabled")))
            self.assertEqual(1, len(gate.log_lines("DNS list bad.test is back after")))
            self.assertEqual(5, self._score(gate))

    def test_starts_lying(self):
        """a good list that begins to list everybody is noticed by the next probe"""
        with self._gate(probe_interval="1s") as gate:
            self._up(gate)
            self.bad.everything = "127.0.0.2"
            self._disabled(gate, "bad.test", "lists an address that no list may list")
            self.assertEqual(0, self._score(gate, CLEAN))

    def test_error_codes(self):
        """a list that answers an error code: never counts, disabled, and `lists` says so"""
        with self._gate(probe_interval="1s") as gate:
            self._up(gate)
            self.bad.everything = "127.255.255.254"
            self.assertEqual(2, self._score(gate))
            self._disabled(gate, "bad.test", "error code")
            self.bad.everything = None
            gate.wait_list("bad.test", "up", 15)
            self.assertGreater(gate.lists()["bad.test"]["errors"], 0)

    def test_outside_127(self):
        """answers outside 127/8 (a resolver that invents them) never count"""
        with self._gate() as gate:
            self._up(gate)
            self.bad.everything = "203.0.113.80"
            self.assertEqual(2, self._score(gate))

    def test_empties(self):
        """a list that lost its data, test point too, is disabled"""
        self.bad.behave(listed={}, test_points=False)
        with self._gate() as gate:
            self._disabled(gate, "bad.test", "does not list its test point")
            self.assertEqual(2, self._score(gate))

    def test_cannot(self):
        """SERVFAIL and REFUSED: zero points, told as such"""
        for rcode in (SERVFAIL, REFUSED):
            with self.subTest(rcode=rcode):
                self.bad.rcode = rcode
                with self._gate() as gate:
                    self.assertEqual(2, self._score(gate))
                    self._disabled(gate, "bad.test", "SERVFAIL or REFUSED")
                    self.assertGreater(gate.counter("dns_failed"), 0)

    def _each_alone(self, cases, dns=None):
        """Many faults in one gate: a list for each case, up before it misbehaves, and a client that
        only it lists. cases: [(name, manners, whether its answer counts)]. Returns the gate's
        counters at the end; a client too many that somebody believed would show in its sum."""
        zones = [FaultZone(f"case{index}.test", {loopback(index, 86): "127.0.0.3"})
                 for index in range(len(cases))]
        self.good.listed = {loopback(index, 86): "127.0.0.2" for index in range(len(cases))}
        with FaultServer(self.good, *zones) as server, self._gate(
                [server], dns=dns, sites=["good.test=127.0.0.2*2"] + [
                    f"{zone.name}=127.0.0.[2..9]*3" for zone in zones]) as gate:
            for name in ("good.test", *(zone.name for zone in zones)):
                gate.wait_list(name, "up")
            for zone, (_, manners, _) in zip(zones, cases):
                zone.behave(**manners)
            sources = [*self.good.listed, CLEAN]
            heard = call(gate.target, sources, WAIT + 5)
            self.assertEqual(
                {**{name: 5 if counts else 2 for name, _, counts in cases}, "nobody": 0},
                dict(zip([name for name, _, _ in cases] + ["nobody"],
                         [score_in(heard[source]) for source in sources])))
            self.assertLess(max(one.seconds for one in heard.values()), WAIT + LATE)
            self.assertEqual(0, gate.counter("restarts"))
            return gate.total()["counters"], zones

    def test_truncated(self):
        """truncated over UDP: asked again over TCP, also when that comes byte by byte"""
        cases = [(manner, {"truncate": True, "tcp": manner}, manner in ("whole", "bytes"))
                 for manner in TCP_MANNERS]
        counters, zones = self._each_alone(cases)
        self.assertGreaterEqual(counters["dns_tcp"], len(cases) * (len(cases) + 1))
        self.assertTrue(all(zone.asked_tcp > 0 for zone in zones))

    def test_forged(self):
        """forged replies are ignored and counted; the honest one, if it comes, counts"""
        cases = [(f"{how} {honest}", {"forge": (how,), "honest": honest}, honest)
                 for how in FORGERIES for honest in (True, False)]
        counters, _ = self._each_alone(cases, dns={"timeout": "1s", "mix_case": True})
        # From another port they do not even reach a connected socket.
        seen = (len(FORGERIES) - 1) * 2 * (len(cases) + 1)
        self.assertGreaterEqual(counters["dns_forged"] + counters["dns_late"], seen)

    def test_shapes(self):
        """empty, cut, garbage, no reply at all, CNAME loops: zero points; a short chain counts"""
        cases = [(shape, {"shape": shape}, False) for shape in (
            "nodata", "garbage", "empty", "short", "lengths", "pointers", "question", "loop",
            "self")]
        cases += [(f"chain of {links}", {"shape": "chain", "chain": links}, links < 8)
                  for links in (1, 7, 40)]
        counters, _ = self._each_alone(cases)
        self.assertGreater(counters["dns_forged"], 0)

    def test_sprayed(self):
        """hundreds of replies with guessed ids before each honest one change nothing"""
        with self._gate() as gate:
            self._up(gate)
            self.bad.spray = 500
            self.assertEqual(0, self._score(gate, CLEAN))
            self.assertEqual(5, self._score(gate))
            self.assertGreater(gate.counter("dns_late") + gate.counter("dns_forged"), 300)

    def test_duplicates(self):
        """the same answer ten times, and again later: counts once"""
        with self._gate() as gate:
            self._up(gate)
            self.bad.behave(copies=10, again_after=0.5)
            self.assertEqual(5, self._score(gate))
            self.assertGreaterEqual(gate.counter("dns_late"), 9)

    def test_lossy(self):
        """a third of all packets lost: retries bring nearly every answer within the wait"""
        count = scaled(500, least=100)
        sources = [loopback(index, 83) for index in range(count)]
        for zone in (self.good, self.bad):
            zone.listed = {source: "127.0.0.2" for source in sources}
        with self._gate(dns={"timeout": "1500ms"}) as gate:
            self._up(gate)
            self.good.drop = self.bad.drop = 33
            heard = call(gate.target, sources, WAIT + 5)
            whole = sum(score_in(one) == 5 for one in heard.values())
            self.assertTrue({score_in(one) for one in heard.values()} <= {0, 2, 3, 5})
            self.assertLess(max(one.seconds for one in heard.values()), WAIT + LATE)
            note(f"{whole} of {count} clients had both answers, three attempts each")
            self.assertGreater(whole, count * 0.8)

    def test_time_to_live(self):
        """an answer is asked for once in its TTL; TTL 0 each time; joined while under way"""
        with self._gate() as gate:
            self._up(gate)
            self.bad.ttl = 0
            self.good.delay = 0.1
            label = ".".join(reversed(BAD.split(".")))
            with Client(gate.target, BAD) as first, Client(gate.target, BAD) as second:
                self.assertEqual(first.reply(), second.reply())
            self.assertEqual((1, 1), (self.good.names[label, 1], self.bad.names[label, 1]))
            self.assertEqual(5, self._score(gate))
            self.assertEqual((1, 2), (self.good.names[label, 1], self.bad.names[label, 1]))
            self.assertGreater(gate.counter("dnsl_joined"), 0)
            self.assertGreater(gate.counter("dnsl_cached"), 0)

    def test_case_ports_and_ids(self):
        """mixed case when asked for; several source ports; ids that do not repeat in a row"""
        with self._gate(dns={"mix_case": True, "sockets": 4}) as gate:
            self._up(gate)
            call(gate.target, [loopback(index, 84) for index in range(100)], WAIT + 5)
            self.assertGreater(self.bad.mixed_case, 90)
            self.assertEqual(4, len(self.server.ports))
            self.assertGreater(len(self.server.numbers), 190)

    def test_nothing_grows(self):
        """thousands of clients under loss, delay, forgeries and garbage: memory stays"""
        count = scaled(3000, least=200)
        faults = [{"drop": 50}, {"delay": 3.0}, {"forge": FORGERIES, "honest": False},
                  {"shape": "garbage"}, {"truncate": True, "tcp": "hang"},
                  {"spray": 20, "copies": 3}]
        rest = {"drop": 0, "delay": 0.0, "forge": (), "honest": True, "shape": "honest",
                "truncate": False, "tcp": "whole", "spray": 0, "copies": 1}
        with self._gate() as gate:
            self._up(gate)
            pid, sizes = gate.shard_pids()[0], []
            for index, fault in enumerate(faults * 2):
                self.bad.behave(**{**rest, **fault})
                # The same addresses again in the second round: a full table has been touched.
                heard = call(gate.target, [loopback(index % len(faults) * count + one, 85)
                                           for one in range(count)], WAIT + 20)
                late = max(one.seconds for one in heard.values())
                self.assertLess(late, WAIT + 3 * LATE, fault)
                gate.wait_empty()
                sizes.append(resident_bytes(pid))
            first, second = sizes[len(faults) - 1], sizes[-1]
            note(f"shard memory {sizes[0] / 1024:.0f} kB after {count} clients, "
                 f"{first / 1024:.0f} kB after {count * len(faults)}, {second / 1024:.0f} kB after "
                 "the same again")
            if not SANITIZED:
                self.assertLess(second, first * 1.02 + 256 * 1024)
