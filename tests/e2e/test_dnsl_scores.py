"""Scores and verdicts of thousands of clients, from real list servers behind a real resolver, each
compared with what the reference makes of the same zone data."""

import random
import unittest

from callers import TO_RCPT, call
from clients import Client
from dns_lists import Rbldnsd, Unbound, Zone
from gate import Gate, greet, limits, run_command, table
from scratch import free_port, loopback, note, scaled, wait_until
from score_pools import ScorePools, score_in
from score_reference import Reference

WAIT = 3.0
# Every form of the grammar: the same list several times, sets and ranges of each octet, the default
# weight, weights of both signs.
SITES = ["alpha.test=127.0.0.2*3", "alpha.test=127.0.0.[4..7;10]*2", "alpha.test=127.0.0.4*1",
         "beta.test=127.0.[0..1].[2;3]*2", "beta.test=127.0.1.3*+4", "gamma.test=127.0.0.2",
         "gamma.test=127.[1..2].[3..4;9].[5..6]*5", "white.test=127.0.[2..15].1*-1",
         "white.test=127.0.[2..15].[2..3]*-3", "six.test=127.0.0.[1..254]*2"]
CODES = {
    "alpha.test": ["127.0.0.2", "127.0.0.4", "127.0.0.6", "127.0.0.10", "127.0.0.99"],
    "beta.test": ["127.0.0.2", "127.0.1.3", "127.0.1.2", "127.0.2.2"],
    "gamma.test": ["127.0.0.2", "127.1.3.5", "127.2.9.6", "127.1.5.5"],
    "white.test": ["127.0.5.1", "127.0.15.2", "127.0.2.3", "127.0.1.1", "127.0.5.0"],
    "six.test": ["127.0.0.1", "127.0.0.200", "127.0.1.1"],
}
# What lists, or resolvers in their place, say when something is wrong.
ERRORS = ["127.255.255.254", "127.255.255.255", "127.255.255.252", "10.0.0.1", "203.0.113.7"]

# list, its records, what they are worth with the built-in catalogue
CATALOGUED = [
    ("zen.spamhaus.org", ("127.0.0.4",), 8),
    ("zen.spamhaus.org", ("127.0.0.3",), 5),
    ("zen.spamhaus.org", ("127.0.0.2", "127.0.0.9"), 8),
    ("zen.spamhaus.org", ("127.0.0.5",), 0),
    ("zen.spamhaus.org", ("127.0.0.77",), 0),
    ("zen.spamhaus.org", ("127.255.255.252",), 0),
    ("zen.spamhaus.org", ("127.255.255.254",), 0),
    ("zen.spamhaus.org", ("127.255.255.255",), 0),
    ("zen.spamhaus.org", ("127.255.255.250",), 0),
    ("zen.spamhaus.org", ("127.0.0.4", "127.255.255.254"), 0),
    ("zen.spamhaus.org", ("10.9.8.7",), 0),
    ("zen.spamhaus.org", ("127.0.0.4", "203.0.113.9"), 0),
    ("list.dnswl.org", ("127.0.5.3",), -8),
    ("list.dnswl.org", ("127.0.15.1",), -2),
    ("list.dnswl.org", ("127.0.5.0",), 0),
    ("list.dnswl.org", ("127.0.0.255",), 0),
    ("list.dnswl.org", ("127.0.10.3",), 0),
    ("list.dnswl.org", ("127.0.10.0",), 0),
    ("list.dnswl.org", ("127.0.5.3", "127.0.10.3"), 0),
    ("bl.spamcop.net", ("127.0.0.2",), 9),
    ("bl.spamcop.net", ("127.1.2.3",), 9),  # the site's own pattern knows it
    ("bl.spamcop.net", ("127.255.255.254",), 0),
    ("bl.spamcop.net", ("203.0.113.1",), 0),
]


def made_up(count, block, seed):
    """{zone: {address: codes}} for the addresses loopback(0..count-1, block)."""
    chance = random.Random(seed)
    zones = {name: {} for name in CODES}
    for address in (loopback(index, block) for index in range(count)):
        for name, codes in CODES.items():
            if chance.random() < 0.4:
                said = chance.sample(codes, chance.choice((1, 1, 1, 2, 3)))
                if chance.random() < 0.1:
                    said.append(chance.choice(ERRORS))
                zones[name][address] = tuple(said)
    return zones


def answers_of(zones, address):
    return {name: listed[address] for name, listed in zones.items() if address in listed}


class DnsListScores(unittest.TestCase):
    def _lists(self, zones):
        """rbldnsd with these zones, and unbound in front of it."""
        lists = Rbldnsd([Zone(name, listed) for name, listed in zones.items()])
        self.addCleanup(lists.stop)
        resolver = Unbound({name: lists.server for name in zones})
        self.addCleanup(resolver.stop)
        return resolver

    def _body(self, resolver, sites, **dnsl):
        # This many clients come to an empty cache of the resolver at once; they share two cores.
        return (greet(wait=f"{WAIT}s".replace(".0s", "s"), early_look="0s")
                + limits(per_address=0)
                + table("dns", servers=[f"127.0.0.1:{resolver.port}"])
                + table("dnsl", sites=sites, **dnsl))

    def test_every_sum(self):
        """each of 3,000 clients has exactly the score that the zone data give, told by its route"""
        count = scaled(3000, least=200)
        zones = made_up(count, 70, seed=1)
        reference = Reference(SITES)
        sources = [loopback(index, 70) for index in range(count)]
        expected = {source: reference.score(answers_of(zones, source)) for source in sources}
        resolver = self._lists(zones)
        # Thresholds nobody reaches: all are held to the end of the wait, so all sums are whole.
        with ScorePools(-6, 20) as pools, Gate(
                self._body(resolver, SITES, threshold=1000, allow_threshold=0) + pools.body(),
                top="shards = 2") as gate:
            heard = call(gate.target, sources, WAIT + 30, processes=2)
            wrong = {source: (score_in(heard[source]), expected[source]) for source in sources
                     if score_in(heard[source]) != expected[source]}
            self.assertEqual({}, dict(list(wrong.items())[:10]), f"{len(wrong)} of {count}")
            self.assertGreaterEqual(min(one.seconds for one in heard.values()), WAIT)
            self.assertEqual(0, gate.counter("dnsl_partial"))
            note(f"{count} clients, scores {min(expected.values())} to {max(expected.values())}, "
                 f"{gate.counter('dns_asked')} questions, {gate.counter('dns_sent')} packets")

    def test_every_verdict(self):
        """each of 3,000 is refused at RCPT, let in at once or after the wait, as its sum says"""
        count = scaled(3000, least=200)
        zones = made_up(count, 71, seed=2)
        reference = Reference(SITES)
        sources = [loopback(index, 71) for index in range(count)]
        expected = {source: reference.score(answers_of(zones, source)) for source in sources}
        resolver = self._lists(zones)
        with ScorePools(-6, 20) as pools, Gate(
                self._body(resolver, SITES, threshold=4, allow_threshold=-3) + pools.body(),
                top="shards = 2") as gate:
            heard = call(gate.target, sources, WAIT + 30, processes=2, commands=TO_RCPT)
            seen = {"refused": 0, "allowed": 0, "passed": 0}
            for source in sources:
                kind = self._check_verdict(heard[source], expected[source], zones, reference)
                seen[kind] += 1
            self.assertTrue(all(seen.values()), seen)
            gate.wait_empty()
            self.assertEqual([seen["refused"]] * 3 + [seen["allowed"]],
                             [gate.counter(name) for name in
                              ("refused", "recipients_refused", "dnsl_failed", "dnsl_allow")])
            self._check_log(gate, heard, seen["refused"])
            early = [one.seconds for one in heard.values() if one.seconds < WAIT]
            note(f"{seen}; the decided ones had their verdict after {sum(early) / len(early):.2f} "
                 f"s on average, {max(early):.2f} s at most")

    def _check_verdict(self, heard, score, zones, reference):
        """What this client heard is what its score says; returns which of the three it was."""
        if score >= 4:
            self.assertLess(heard.seconds, WAIT, f"{heard} with {score}: not at once")
            pattern = (r"\A(?:220-[^\n]*\r\n)+220 [^\n]*\r\n(?:250-[^\n]*\r\n)*250 [^\n]*\r\n"
                       r"250 [^\n]*\r\n550 5\.7\.1 Service unavailable; client "
                       rf"\[{heard.source}\] blocked using (\S+)\r\n\Z")
            self.assertRegex(heard.text, pattern, f"{heard} with {score}")
            name = heard.text.split()[-1]
            codes = answers_of(zones, heard.source).get(name, ())
            self.assertGreater(reference.list_score(name, codes), 0,
                               f"{heard}: {name} says nothing against it")
            return "refused"
        self.assertIsNotNone(score_in(heard), f"{heard} with {score}")
        if score <= -3:
            self.assertLess(heard.seconds, WAIT, f"{heard} with {score}: not at once")
            return "allowed"
        self.assertGreaterEqual(heard.seconds, WAIT, f"{heard} with {score}: too early")
        self.assertEqual(score, score_in(heard), heard)
        return "passed"

    def _check_log(self, gate, heard, refused):
        if gate.counter("log_lost"):
            return
        ranks = gate.log_lines("DNSBL rank", "for [127.71.")
        rejects = gate.log_lines("NOQUEUE: reject: RCPT from [127.71.", "550 5.7.1")
        self.assertEqual((refused, refused), (len(ranks), len(rejects)))
        self.assertEqual([], gate.log_lines("reject: CONNECT"))
        for line in rejects[:50]:
            self.assertIn("from=<a@caller.test>, to=<b@gate.test>, proto=ESMTP, "
                          "helo=<caller.test>", line)
        for line in ranks[:50]:
            self.assertRegex(line, r"DNSBL rank \d+ for \[127\.71\.\d+\.\d+\]:\d+$")
        for line in gate.log_lines("listed by domain")[:50]:
            self.assertRegex(line, r"addr 127\.71\.\d+\.\d+ listed by domain \S+ as 127\.\d+\.\d+"
                                   r"\.\d+ \(weight -?\d+, ttl \d+\)")
        self.assertEqual(len(heard) - refused, len(gate.log_lines("PASS NEW")))

    def test_error_codes_never_count(self):
        """error codes and answers outside 127/8 score nothing, and the list stays up"""
        zones = {name: {} for name in ("zen.spamhaus.org", "list.dnswl.org", "bl.spamcop.net")}
        expected = {}
        for index, (zone, codes, score) in enumerate(CATALOGUED):
            address = loopback(index, 73)
            zones[zone][address] = codes
            expected[address] = score
        sites = ["zen.spamhaus.org", "list.dnswl.org",
                 "bl.spamcop.net=127.[0..255].[0..255].[0..255]*9"]
        reference = Reference(sites)
        self.assertEqual(expected, {address: reference.score(answers_of(zones, address))
                                    for address in expected})
        lists = Rbldnsd([Zone(name, listed, test_points=name != "list.dnswl.org")
                         for name, listed in zones.items()])
        self.addCleanup(lists.stop)
        resolver = Unbound({name: lists.server for name in zones})
        self.addCleanup(resolver.stop)
        with ScorePools(-9, 10) as pools, Gate(
                self._body(resolver, sites, threshold=1000, allow_threshold=0)
                + pools.body()) as gate:
            heard = call(gate.target, expected, WAIT + 10)
            self.assertEqual(expected, {address: score_in(one) for address, one in heard.items()})
            for name, said in gate.lists().items():
                with self.subTest(name):
                    self.assertEqual("up", said["state"])
                    self.assertGreaterEqual(said["errors"], 2)

    def test_ipv6(self):
        """an IPv6 client is looked up by nibbles and scored like any other"""
        zones = {"six.test": {"::1": "127.0.0.200"}, "alpha.test": {"::1": "127.0.0.2"}}
        resolver = self._lists(zones)
        sites = [site for site in SITES if site.startswith(("six", "alpha"))]
        with ScorePools(-6, 20) as pools:
            for threshold, pattern in (
                    (6, r"\n220 score 5\r\n"),
                    (5, r"\n550 5\.7\.1 Service unavailable; client \[::1\] blocked using "
                        r"(alpha|six)\.test\r\n\Z")):
                port = free_port()
                body = f'[[listen]]\naddress = "[::1]:{port}"\n' + pools.body()
                body += self._body(resolver, sites, threshold=threshold)
                with self.subTest(threshold), Gate(body):
                    heard = call(("::1", port), ["::1"], WAIT + 5, commands=TO_RCPT)["::1"]
                    self.assertRegex(heard.text, pattern)

    def test_heaviest_is_named(self):
        """the reply names the list that weighs most, and its TXT reason when asked for"""
        address = "127.72.0.1"
        lists = Rbldnsd([Zone("light.test", {address: "127.0.0.2"}, reason="light ?$"),
                         Zone("heavy.test", {address: "127.0.0.2"}, reason="see heavy?ip=$"),
                         Zone("good.test", {address: "127.0.0.2"}, reason="good")])
        self.addCleanup(lists.stop)
        sites = ["light.test=127.0.0.2*2", "heavy.test=127.0.0.2*6", "good.test=127.0.0.2*-1"]
        for reason, text in ((False, "heavy.test"), (True, f"heavy.test; see heavy?ip={address}")):
            with self.subTest(reason=reason), Gate(
                    self._body(lists, sites, threshold=7, reason=reason)) as gate, \
                    Client(gate.target, address) as client:
                # 8 without the good word, which is still to come when 8 is reached: 7 with it.
                client.reply()
                said = [client.command(command) for command in TO_RCPT][-1]
                self.assertEqual("550 5.7.1 Service unavailable; client "
                                 f"[{address}] blocked using {text}\r\n", said)
                self.assertLess(client.seconds(), WAIT)
                client.hang_up()
                gate.wait_empty()
                for name in ("heavy.test as 127.0.0.2 (weight 6", "light.test as 127.0.0.2"):
                    self.assertEqual(1, len(gate.log_lines(
                        f"addr {address} listed by domain {name}")), gate.log())
                # A list's own reason is left out.
                self.assertEqual(1, len(gate.log_lines(
                    f"NOQUEUE: reject: RCPT from [{address}]:",
                    "blocked using heavy.test; from=<a@caller.test>, to=<b@gate.test>")))

    def test_actions(self):
        """action = ignore lets the client in and counts it; action = drop answers 521"""
        address = "127.72.0.2"
        resolver = self._lists({"alpha.test": {address: "127.0.0.2"}})
        for action in ("ignore", "drop"):
            with self.subTest(action), ScorePools(-1, 4) as pools, Gate(
                    self._body(resolver, ["alpha.test=127.0.0.2*3"], threshold=3, action=action)
                    + pools.body()) as gate, Client(gate.target, address) as client:
                said = client.rest() if action == "drop" else client.reply()
                if action == "drop":
                    self.assertIn("521 5.7.1 Service unavailable; client", said)
                    self.assertLess(client.seconds(), WAIT)
                    gate.wait_empty()
                    self.assertEqual(1, gate.counter("dropped"))
                else:
                    self.assertIn("220 score 3\r\n", said)
                    self.assertGreaterEqual(client.seconds(), WAIT)
                    self.assertEqual(1, gate.counter("dnsl_ignored"))
                self.assertEqual(1, len(gate.log_lines("DNSBL rank 3 for", address)))

    def test_early_talker(self):
        """what a list allows excuses nobody who spoke before the greeting"""
        address = "127.72.0.3"
        resolver = self._lists({"white.test": {address: "127.0.5.2"}})
        body = self._body(resolver, ["white.test=127.0.5.2*-5"], threshold=3, allow_threshold=-5)
        with ScorePools(-6, 4) as pools, Gate(
                body.replace('early_look = "0s"', 'early_look = "100ms"') + pools.body()) as gate:
            # It must have spoken before the answer is there: the resolver stops for that.
            gate.wait_list("white.test", "up")
            answered = gate.counter("dns_answered")
            resolver.pause()
            with Client(gate.target, address) as client:
                client.send("EHLO early.test\r\n")
                self.assertRegex(client.reply(), r"\n250 [^\n]*\r\n\Z")
                self.assertRegex(client.command("MAIL FROM:<a@early.test>"), r"\A250 ")
                self.assertRegex(client.command("RCPT TO:<b@gate.test>"), r"\A550 5\.5\.1 ")
                resolver.resume()
                wait_until(lambda: gate.counter("dns_answered") > answered, 5, "the list's answer")
                self.assertRegex(client.command("RCPT TO:<c@gate.test>"), r"\A550 5\.5\.1 ")
            gate.wait_empty()
            self.assertEqual(2, len(gate.log_lines(f"reject: RCPT from [{address}]:", "550 5.5.1")))

    def test_undescribed_list(self):
        """a list that no catalogue and no pattern describes counts nothing; `check` warns"""
        address = "127.72.0.4"
        resolver = self._lists({"delta.test": {address: "127.0.0.2"}})
        with ScorePools(-1, 4) as pools, Gate(
                self._body(resolver, ["delta.test*4"], threshold=3) + pools.body()) as gate, \
                Client(gate.target, address) as client:
            self.assertIn("220 score 0\r\n", client.reply())
            said = run_command("check", "--config", gate.config)
            self.assertEqual(0, said.returncode, said.stderr)
            self.assertRegex(said.stderr, r"warning: .*delta\.test")
