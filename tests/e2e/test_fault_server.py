"""The fault server itself: each fault really happens and is counted, and at rest it is a good list.
A fault server that does not fault would let every test of the gate pass."""

import random
import select
import socket
import struct
import threading
import time
import unittest

import dns_message
from dns_message import NXDOMAIN, REFUSED, SERVFAIL, TXT, ask, ask_tcp, list_name
from fault_dns import FORGERIES, SHAPES, FaultServer, FaultZone
from scratch import SANITIZED, note, wait_until

BAD, GOOD = "127.5.0.1", "127.5.0.9"
CODE = "127.0.0.4"


class TestFaultServer(unittest.TestCase):
    def setUp(self):
        self.zone = FaultZone("bl.fault.test", {BAD: CODE, "::1": CODE}, reason="look at ?$")
        self.server = FaultServer(self.zone, FaultZone("other.fault.test"))
        self.addCleanup(self.server.stop)

    def _ask(self, address=BAD, **options):
        return ask(self.server.server, list_name(address, self.zone.name), **options)

    def _ask_tcp(self, address=BAD, **options):
        return ask_tcp(self.server.server, list_name(address, self.zone.name), **options)

    def _hear(self, count, seconds=0.5, address=BAD, number=7):
        """Up to `count` raw datagrams that follow one question, whoever sends them."""
        heard = []
        end = time.monotonic() + seconds
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(dns_message.question(list_name(address, self.zone.name), number=number),
                          self.server.server)
            while len(heard) < count and (left := end - time.monotonic()) > 0:
                client.settimeout(left)
                try:
                    heard.append(client.recvfrom(4096))
                except TimeoutError:
                    break
        return heard

    def test_good_manners(self):
        """at rest: a good list over UDP and TCP, IPv4 and IPv6, A and TXT, test points, SOA"""
        self.assertEqual(([CODE], [300]), (self._ask().codes, self._ask().ttls))
        self.assertEqual([CODE], self._ask_tcp().codes)
        self.assertEqual([CODE], self._ask("::1").codes)
        self.assertEqual([f"look at ?{BAD}"], self._ask(kind=TXT).texts)
        self.assertEqual(["127.0.0.2"], self._ask("127.0.0.2").codes)
        self.assertEqual(["127.0.0.2"], self._ask("::ffff:7f00:2").codes)
        for address in (GOOD, "127.0.0.1", "::ffff:7f00:1", "::2"):
            said = self._ask(address)
            self.assertEqual(([], NXDOMAIN, 60), (said.codes, said.rcode, said.soa_ttl))
        self.assertEqual(REFUSED, ask(self.server.server, "www.elsewhere.test").rcode)
        self.assertEqual(1, self.server.strangers)

    def test_counts(self):
        """counts: by type and name, over TCP, mixed case, ports and ids, what was no question"""
        for number in (1, 2, 3):
            self._ask(number=number)
        self._ask(kind=TXT)
        self._ask_tcp(GOOD)
        ask(self.server.server, list_name(GOOD, "BL.fAult.test"))
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"no question", self.server.server)
        wait_until(lambda: self.server.malformed == 1, 5, "garbage was counted")
        self.assertEqual({dns_message.A: 5, TXT: 1}, dict(self.zone.asked))
        self.assertEqual((6, 1, 1), (self.zone.total(), self.zone.asked_tcp, self.zone.mixed_case))
        self.assertEqual(3, self.zone.names["1.0.5.127", dns_message.A])
        self.assertEqual({1, 2, 3}, self.server.numbers)
        self.assertEqual(6, len(self.server.ports), "one for each socket over UDP")

    def test_unknown_manner(self):
        """a manner that does not exist is refused, so no test sets one in vain"""
        for wrong in ({"dorp": 1}, {"shape": "odd"}, {"forge": ("ports",)}, {"tcp": "never"}):
            with self.subTest(wrong), self.assertRaises((AttributeError, ValueError)):
                FaultZone("x.test", **wrong)

    def test_silence(self):
        """silent, drop and a closed port: no answer, but counted while the port is open"""
        self.server.silent = True
        self.assertIsNone(self._ask(seconds=0.1))
        self.server.silent = False
        self.zone.drop = 100
        self.assertIsNone(self._ask(seconds=0.1))
        self.assertEqual((2, 2), (self.zone.total(), self.zone.dropped))
        self.zone.drop = 50
        answered = sum(self._ask(seconds=0.02) is not None for _ in range(40))
        self.assertTrue(5 < answered < 35, answered)
        self.server.stop()
        started = time.monotonic()
        self.assertIsNone(self._ask(seconds=5))
        self.assertLess(time.monotonic() - started, 1, "the kernel refuses at once")

    def test_delay(self):
        """delay: late answers, those held back counted, other lists meanwhile served"""
        self.zone.delay = 0.3
        threads = [threading.Thread(target=self._ask, kwargs={"number": n}) for n in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: self.zone.waiting == 5, 5, "five answers are held back")
        started = time.monotonic()
        self.assertIsNotNone(ask(self.server.server, "1.0.0.127.other.fault.test"))
        self.assertLess(time.monotonic() - started, 0.2)
        for thread in threads:
            thread.join()
        self.assertEqual((0, 5), (self.zone.waiting, self.zone.most_waiting))
        started = time.monotonic()
        self.assertEqual([CODE], self._ask().codes)
        self.assertGreaterEqual(time.monotonic() - started, 0.3)

    def test_rcode(self):
        """SERVFAIL and REFUSED instead of an answer"""
        for rcode in (SERVFAIL, REFUSED):
            self.zone.rcode = rcode
            self.assertEqual((rcode, []), (self._ask().rcode, self._ask().codes))

    def test_lies(self):
        """a list that lists everything, its test point included; error codes; outside 127/8"""
        self.zone.everything = "127.0.0.2"
        for address in (GOOD, "127.0.0.1", "::2"):
            self.assertEqual(["127.0.0.2"], self._ask(address).codes)
        self.zone.behave(everything=None, listed={BAD: ("127.255.255.254", "10.0.0.1")})
        self.assertEqual(["127.255.255.254", "10.0.0.1"], self._ask().codes)
        self.zone.test_points = False
        self.assertEqual(NXDOMAIN, self._ask("127.0.0.2").rcode)

    def test_times_to_live(self):
        """TTL 0 and an answer without SOA"""
        self.zone.behave(ttl=0, soa=False)
        self.assertEqual([0], self._ask().ttls)
        self.assertIsNone(self._ask(GOOD).soa_ttl)

    def test_copies(self):
        """duplicates at once, and once more later"""
        self.zone.behave(copies=3, again_after=0.2)
        heard = self._hear(5, seconds=0.6)
        self.assertEqual(4, len(heard))
        self.assertEqual(1, len({data for data, _ in heard}))

    def test_truncation(self):
        """truncated over UDP, whole over TCP"""
        self.zone.truncate = True
        said = self._ask()
        self.assertEqual((True, []), (said.truncated, said.codes))
        self.assertEqual((False, [CODE]), (self._ask_tcp().truncated, self._ask_tcp().codes))

    def test_tcp_manners(self):
        """TCP that hangs, closes early, resets, or comes byte by byte"""
        for manner, least, most in (("hang", 0.5, 2), ("close", 0, 0.4), ("reset", 0, 0.4)):
            with self.subTest(manner):
                self.zone.tcp = manner
                started = time.monotonic()
                self.assertIsNone(self._ask_tcp(seconds=0.5))
                self.assertTrue(least <= time.monotonic() - started <= most)
        self.zone.tcp = "bytes"
        started = time.monotonic()
        self.assertEqual([CODE], self._ask_tcp().codes)
        self.assertGreater(time.monotonic() - started, 0.1)

    def test_forgeries(self):
        """each forged reply differs from an honest one in one thing only, and lies"""
        asked = list_name(GOOD, self.zone.name)
        for how in FORGERIES:
            with self.subTest(how):
                self.zone.forge = (how,)
                heard = self._hear(2, address=GOOD)
                self.assertEqual(2, len(heard), "the forged one and the honest one")
                # From another port the two race.
                heard.sort(key=lambda one: not dns_message.read_reply(one[0]).ttls)
                said, sender = dns_message.read_reply(heard[0][0]), heard[0][1][1]
                self.assertEqual([300], said.ttls, "lists who is not listed")
                kind = struct.unpack("!H", heard[0][0][-4 - 16:-2 - 16])[0]
                self.assertEqual([how], [name for name, differs in (
                    ("port", sender != self.server.port), ("id", said.number != 7),
                    ("question", said.name.lower() != asked), ("type", kind != dns_message.A),
                    ("case", said.name != said.name.lower())) if differs])
                self.assertEqual(NXDOMAIN, dns_message.read_reply(heard[1][0]).rcode)

    def test_spray(self):
        """many replies with other ids, and no honest one"""
        self.zone.behave(spray=20, honest=False)
        numbers = {data[:2] for data, _ in self._hear(30)}
        self.assertGreater(len(numbers), 15)
        self.assertNotIn(b"\0\7", numbers)

    def test_shapes(self):
        """each shape is what it says: empty, garbage, cut, loops, chains"""
        heard = {}
        for shape in SHAPES:
            self.zone.shape = shape
            heard[shape] = self._hear(1)[0][0]
        read = {shape: dns_message.read_reply(heard[shape])
                for shape in ("honest", "nodata", "loop", "self", "chain", "question")}
        self.assertEqual((0, [], None), (read["nodata"].rcode, read["nodata"].codes,
                                         read["nodata"].soa_ttl))
        self.assertEqual(b"", heard["empty"])
        for shape in ("short", "lengths", "pointers", "garbage"):
            with self.subTest(shape), self.assertRaises((ValueError, struct.error, IndexError)):
                dns_message.read_reply(heard[shape])
        self.assertEqual(0, heard["question"][2] & 0x80)
        asked = list_name(BAD, self.zone.name)
        self.assertEqual([f"loop.{asked}", asked], read["loop"].aliases)
        self.assertEqual([asked], read["self"].aliases)
        self.assertEqual((3, [CODE]), (len(read["chain"].aliases), read["chain"].codes))
        self.zone.chain = 20
        self.assertEqual(20, len(dns_message.read_reply(self._hear(1)[0][0]).aliases))

    def test_speed(self):
        """keeps up with 10,000 questions a second"""
        count, asked = 20_000, []
        chance = random.Random(1)
        for index in range(count):
            address = f"127.{chance.randrange(256)}.{chance.randrange(256)}.9"
            asked.append(dns_message.question(list_name(address, self.zone.name),
                                              number=index & 0xffff))
        started = time.monotonic()
        heard = self._burst(asked)
        seconds = time.monotonic() - started
        note(f"{count} questions in {seconds:.2f} s: {count / seconds:,.0f} a second, the asker "
             "included")
        self.assertEqual(count, heard)
        self.assertEqual(count, self.zone.total())
        if not SANITIZED:
            self.assertLess(seconds, count / 10_000)

    def _burst(self, questions, window=200):
        """Sends them all, `window` at once; returns how many were answered within 10 s."""
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(self.server.server)
            client.setblocking(False)
            sent = heard = 0
            end = time.monotonic() + 10
            while heard < len(questions) and time.monotonic() < end:
                while sent < len(questions) and sent - heard < window:
                    client.send(questions[sent])
                    sent += 1
                select.select([client], [], [], 0.1)
                try:
                    while client.recv(4096):
                        heard += 1
                except BlockingIOError:
                    pass
        return heard
