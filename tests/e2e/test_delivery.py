"""2,000 messages of 1 kB to 200 kB through each hand-off to a real Postfix: all delivered, every
body equal by digest, Postfix's log naming the true client address and port."""

import collections
import os
import unittest

import mail
import shared
from gate import Gate, limits, pool, route
from scratch import ScratchDir, note, scaled, wait_until

# Size and count of the smtp-source runs; with 150 random and 20 swaks messages it makes 2,000.
SIZES = ((1000, 600), (5000, 500), (20_000, 400), (60_000, 230), (200_000, 100))
RANDOM = 150
SWAKS = 20


class Delivery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postfix = shared.the_postfix()
        cls.reference = cls._reference()

    @classmethod
    def _reference(cls):
        """What smtp-source's messages look like when no gate is in the way."""
        plain = ("127.0.0.1", cls.postfix.plain_port)
        digests = {}
        for size, _ in SIZES:
            mail.smtp_source(plain, "box10", 3, size, sessions=1)
            found = mail.delivered_digests(cls.postfix.wait_delivered("box10", 3))
            assert list(found.values()) == [3], found
            digests[size] = next(iter(found))
            cls.postfix.clear("box10")
        return digests

    def _deliver(self, box, block, face, pool_text):
        """Everything through one gate, then the comparison."""
        wanted = collections.Counter()
        mark = self.postfix.log_mark()
        body = limits(per_address=0) + pool_text + route("out", "allowlisted = true")
        with Gate(body, top="shards = 2", access="127.0.0.0/8 permit\n") as gate:
            for size, full_count in SIZES:
                count = scaled(full_count, least=5)
                mail.smtp_source(gate.target, box, count, size)
                wanted[self.reference[size]] += count
            seen_before = self.postfix.log_mark()
            courier = mail.Courier(gate.target, box, scaled(RANDOM, least=10), block)
            wait_until(lambda: len(self.postfix.clients_since(seen_before, face))
                       >= len(courier.senders), 10, "Postfix logged every client")
            seen = self.postfix.clients_since(seen_before, face)
            wanted.update(courier.digests)
            wanted.update(self._swaks(gate, box, block))
            paths = self.postfix.wait_delivered(box, wanted.total())
            gate.wait_empty()
            taken = gate.outcomes("out")["taken"]
            lost = gate.counter("drop_no_backend")
        self.assertEqual(wanted, mail.delivered_digests(paths))
        self.assertEqual([], mail.altered(paths))
        self.assertCountEqual(courier.senders, seen)
        self.assertEqual([], self.postfix.trouble_since(mark))
        self.assertEqual((wanted.total(), 0), (taken, lost))
        note(f"{wanted.total()} messages, {sum(map(os.path.getsize, paths)) / 1e6:.0f} MB, "
             f"{len(seen)} source addresses")
        self.postfix.clear(box)

    def _swaks(self, gate, box, block):
        scratch = ScratchDir("swaks")
        try:
            return [mail.swaks(gate.target, box, scratch.path, index, block + 1)
                    for index in range(scaled(SWAKS, least=2))]
        finally:
            scratch.remove()

    def test_pass(self):
        """pass: 2,000 messages, digests equal, log names the true clients"""
        self._deliver("box11", 11, "friendly", pool("out", f"pass:{self.postfix.friendly}"))

    def test_splice_v2(self):
        """splice with PROXY v2: 2,000 messages, digests equal, log names the true clients"""
        self._deliver("box12", 13, "proxied", pool(
            "out", f"tcp:127.0.0.1:{self.postfix.proxied_port}", proxy_protocol="v2"))

    def test_splice_v1(self):
        """splice with PROXY v1: 2,000 messages, digests equal, log names the true clients"""
        self._deliver("box13", 15, "proxied", pool(
            "out", f"tcp:127.0.0.1:{self.postfix.proxied_port}", proxy_protocol="v1"))

    def test_splice_unix(self):
        """splice to a unix socket with PROXY v2: random messages equal by digest, clients named"""
        mark = self.postfix.log_mark()
        body = (pool("out", f"unix:{self.postfix.unix_proxied}", check_interval="0s")
                + route("out", "allowlisted = true"))
        with Gate(body, access="127.0.0.0/8 permit\n") as gate:
            courier = mail.Courier(gate.target, "box14", scaled(100, least=10), block=17)
            paths = self.postfix.wait_delivered("box14", len(courier.digests))
        self.assertEqual([], mail.altered(paths))
        self.assertCountEqual(courier.digests, mail.delivered_digests(paths).elements())
        self.assertCountEqual(courier.senders, self.postfix.clients_since(mark, "unixproxied"))
        self.postfix.clear("box14")
