"""rbldnsd and unbound as the other tests use them: they serve what the zones say, cache, truncate
and ask nobody outside. Needs no gate."""

import os
import time
import unittest

from dns_lists import LISTED6, UNLISTED4, UNLISTED6, Rbldnsd, Unbound, Zone
from dns_message import NXDOMAIN, REFUSED, SERVFAIL, TXT, ask, ask_tcp, list_name
from fault_dns import FaultServer, FaultZone
from scratch import loopback, note, scaled

MANY = tuple(f"127.0.0.{i}" for i in range(10, 30))


def million(count):
    return (loopback(index, 1 + index // 60_000) for index in range(count))


class TestRealLists(unittest.TestCase):
    def test_codes_and_reasons(self):
        """rbldnsd: one or more codes, IPv4 and IPv6, TXT with the address, TTL and SOA as given"""
        listed = {"127.9.0.1": "127.0.0.3", "127.9.0.2": ("127.0.0.2", "10.1.1.1"),
                  "::1": "127.0.0.9"}
        zones = [Zone("codes.test", listed, reason="see ?$", ttl=77, negative_ttl=5),
                 Zone("plain.test", ["127.9.0.1"], code="127.255.255.254", test_points=False,
                      soa=False),
                 Zone("names.test", domains={"mail": "127.0.1.4"})]
        with Rbldnsd(zones) as lists:
            for address, codes in (("127.9.0.1", ["127.0.0.3"]), ("::1", ["127.0.0.9"]),
                                   ("127.9.0.2", ["10.1.1.1", "127.0.0.2"]), ("127.9.0.4", []),
                                   ("::2", []), (UNLISTED4, []), (UNLISTED6, []),
                                   ("127.0.0.2", ["127.0.0.2"]), (LISTED6, ["127.0.0.2"])):
                with self.subTest(address):
                    said = ask(lists.server, list_name(address, "codes.test"))
                    self.assertEqual(codes, sorted(said.codes))
                    self.assertEqual(77 if codes else 5,
                                     said.ttls[0] if codes else said.soa_ttl)
            said = ask(lists.server, list_name("127.9.0.1", "codes.test"), TXT)
            self.assertEqual(["see ?127.9.0.1"], said.texts)
            said = ask(lists.server, list_name("127.9.0.1", "plain.test"))
            self.assertEqual(["127.255.255.254"], said.codes)
            said = ask(lists.server, list_name("127.0.0.2", "plain.test"))
            self.assertEqual((NXDOMAIN, None), (said.rcode, said.soa_ttl))
            self.assertEqual(["127.0.1.4"], ask(lists.server, "mail.names.test").codes)

    def test_bad_zone(self):
        """rbldnsd: an entry it does not understand fails the test that wrote it"""
        with self.assertRaisesRegex(AssertionError, "did not take"):
            Rbldnsd([Zone("bad.test", ["127.9.0.1", "not an address"])])

    def test_million(self):
        """rbldnsd: a zone of 10^6 entries is written and served in seconds"""
        count = scaled(1_000_000, least=1000)
        started = time.monotonic()
        with Rbldnsd([Zone("big.test", million(count))]) as lists:
            note(f"{count} entries written, read and served after "
                 f"{time.monotonic() - started:.1f} s")
            for index in (0, count // 2, count - 1):
                address = loopback(index, 1 + index // 60_000)
                self.assertTrue(ask(lists.server, list_name(address, "big.test")).codes)
            self.assertFalse(ask(lists.server, list_name("127.200.0.1", "big.test")).codes)

    def test_cache(self):
        """unbound: asks a list once, then answers from its cache while the list is silent"""
        name = list_name("127.9.0.1", "bl.test")
        with FaultServer(FaultZone("bl.test", {"127.9.0.1": "127.0.0.2"})) as list_server, \
                Unbound({"bl.test": list_server.server}) as resolver:
            for _ in range(3):
                self.assertEqual(["127.0.0.2"], ask(resolver.server, name).codes)
            self.assertEqual(1, list_server["bl.test"].names["1.0.9.127", 1])
            list_server.silent = True
            self.assertEqual(["127.0.0.2"], ask(resolver.server, name).codes)

    def test_truncation(self):
        """unbound: an answer larger than max_udp is truncated over UDP and whole over TCP"""
        name = list_name("127.9.0.1", "bl.test")
        with Rbldnsd([Zone("bl.test", {"127.9.0.1": MANY})]) as lists, \
                Unbound({"bl.test": lists.server}, max_udp=256) as resolver:
            self.assertEqual((True, []), (ask(resolver.server, name).truncated,
                                          ask(resolver.server, name).codes))
            self.assertEqual(MANY, tuple(sorted(ask_tcp(resolver.server, name).codes)))

    def test_nothing_leaves(self):
        """unbound: names outside the zones are refused, not looked up; a dead list is SERVFAIL"""
        with FaultServer(FaultZone("bl.test")) as list_server, \
                Unbound({"bl.test": list_server.server}) as resolver:
            self.assertEqual(REFUSED, ask(resolver.server, "www.example.com").rcode)
            list_server["bl.test"].rcode = SERVFAIL
            self.assertEqual(SERVFAIL, ask(resolver.server, "1.2.0.127.bl.test", seconds=5).rcode)

    def test_pause(self):
        """a paused server is silent and answers what has queued up once it goes on"""
        with Rbldnsd([Zone("bl.test")]) as lists:
            lists.pause()
            self.assertIsNone(ask(lists.server, "1.0.0.127.bl.test", seconds=0.2))
            lists.resume()
            self.assertIsNotNone(ask(lists.server, "1.0.0.127.bl.test", seconds=5))

    def test_nothing_is_left(self):
        """both run unprivileged, and their processes and directories are gone afterwards"""
        with Rbldnsd([Zone("bl.test")]) as lists, Unbound({"bl.test": lists.server}) as resolver:
            for daemon in (lists, resolver):
                if os.geteuid() == 0:
                    self.assertNotEqual(0, os.stat(f"/proc/{daemon.pid}").st_uid)
        for daemon in (lists, resolver):
            self.assertFalse(os.path.exists(f"/proc/{daemon.pid}"))
            self.assertFalse(os.path.exists(daemon.dir))
