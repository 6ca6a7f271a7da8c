"""A gate behind a balancer: the PROXY header says who the client is, if a trusted peer sends it."""

import collections
import re
import time
import unittest

import faces
import mail
import proxy_headers
import smtp_clients
from clients import Client, Sink
from dialogue import said_of, wait_checked, wait_lines, wait_nothing_left
from gate import Gate, greet, limits, pool, route
from proxy_headers import HaProxy, v1, v2
from scratch import free_port, note

TRUE = ("203.0.113.7", 4711)
TRUE6 = ("2001:db8::7", 4711)
STRANGER = "127.152.0.1"
COMPLETE = {
    "v1, IPv4": (v1(TRUE), TRUE),
    "v1, IPv6": (v1(TRUE6, ("2001:db8::25", 25)), TRUE6),
    "v1, IPv4 in IPv6": (v1(("::ffff:203.0.113.7", 4711), ("::1", 25)), TRUE),
    "v2, IPv4": (v2(TRUE), TRUE),
    "v2, IPv6": (v2(TRUE6), TRUE6),
    "v2, IPv4 in IPv6": (v2(("::ffff:203.0.113.7", 4711)), TRUE),
    "v2, TLVs": (v2(TRUE, tlvs=proxy_headers.tlv(0x02, b"gate.test")
                    + proxy_headers.tlv(0x04, bytes(40))), TRUE),
    "v2, a right checksum": (v2(TRUE, checksum=True), TRUE),
    "v1, UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "v1, UNKNOWN with addresses": (b"PROXY UNKNOWN 203.0.113.7 127.0.0.1 1 2\r\n", None),
    "v2, LOCAL": (v2(TRUE, command=proxy_headers.LOCAL), None),
    "v2, LOCAL without addresses": (
        v2(TRUE, command=proxy_headers.LOCAL, family=proxy_headers.UNSPEC), None),
    "v2, UNSPEC": (v2(TRUE, family=proxy_headers.UNSPEC), None),
}
REFUSED = {
    "no header": b"EHLO client.test\r\n",
    "v1, half a word": b"PROXX TCP4 203.0.113.7 127.0.0.1 1 2\r\n",
    "v1, another family": b"PROXY UDP4 203.0.113.7 127.0.0.1 1 2\r\n",
    "v1, no address": b"PROXY TCP4 203.0.113 127.0.0.1 1 2\r\n",
    "v1, a port too large": b"PROXY TCP4 203.0.113.7 127.0.0.1 65536 2\r\n",
    "v1, no ports": b"PROXY TCP4 203.0.113.7 127.0.0.1\r\n",
    "v1, LF alone": b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\n",
    "v1, endless": b"PROXY TCP4 " + b"1" * 600,
    "v2, another version": v2(TRUE)[:12] + b"\x31" + v2(TRUE)[13:],
    "v2, another command": v2(TRUE, command=0x22),
    "v2, too short for its addresses": v2(TRUE)[:14] + b"\0\x04" + v2(TRUE)[16:20],
    "v2, a TLV that does not fit": v2(TRUE, tlvs=b"\x04\0\xff\0"),
    "v2, a wrong checksum": v2(TRUE, checksum=False),
    "v2, too long": v2(TRUE, tlvs=proxy_headers.tlv(0x04, bytes(2000))),
}


def tearDownModule():
    faces.close()


class _Behind(unittest.TestCase):
    """A gate with a second listener, which wants a header from 127.0.0.1."""

    def _gate(self, configuration, access=None, timeout="1s", wait="0s", **greeting):
        self.port = free_port()
        listener = (f'[[listen]]\nname = "balanced"\naddress = "127.0.0.1:{self.port}"\n'
                    f'proxy_protocol = true\ntrusted = ["127.0.0.1/32"]\n'
                    f'proxy_timeout = "{timeout}"\n')
        gate = Gate(listener + greet(wait=wait, **greeting) + configuration, access=access)
        self.addCleanup(gate.stop)
        return gate

    def _gate_and_sink(self, more="", **options):
        sink = Sink()
        self.addCleanup(sink.stop)
        return self._gate(more + pool("out", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none")
                          + route("out"), **options)

    def _connect(self, header, source=None):
        client = Client(("127.0.0.1", self.port), source)
        self.addCleanup(client.hang_up)
        client.send(header)
        return client

    def _expect_reset(self, client, seconds=3):
        """Closed without a word; a reset, as the gate has nothing to say to it."""
        client.socket.settimeout(seconds)
        with self.assertRaises(ConnectionResetError):
            self.assertEqual(b"", client.socket.recv(100))
            client.send("x")
            client.socket.recv(100)


class Headers(_Behind):
    def test_complete(self):
        """v1 and v2, IPv4, IPv6, mapped, TLVs, LOCAL, UNSPEC: each greeted by its true name"""
        gate = self._gate_and_sink()
        wanted = collections.Counter()
        for name, (header, true) in COMPLETE.items():
            with self.subTest(name):
                client = self._connect(header)
                self.assertRegex(client.reply(), r"\A220 ")
                address, port = true or client.name
                wanted[address, port] += 1
                wait_lines(gate, wanted[address, port], f"CONNECT from [{address}]:{port} to ")
                client.command("QUIT")
                client.hang_up()
                wait_nothing_left(gate)
        told = sum(true is not None for _, true in COMPLETE.values())
        self.assertEqual((told, 0), (gate.counter("proxied"), gate.counter("proxy_refused")))

    def test_split(self):
        """a header split anywhere, and one that comes byte by byte"""
        gate = self._gate_and_sink()
        for name in ("v1, IPv4", "v2, a right checksum"):
            header, true = COMPLETE[name]
            for cut in (1, 5, 6, 12, 13, 16, len(header) - 1):
                with self.subTest(name, cut=cut):
                    client = self._connect(header[:cut])
                    time.sleep(0.05)
                    client.send(header[cut:])
                    self.assertRegex(client.reply(), r"\A220 ")
                    client.hang_up()
            client = self._connect(b"")
            for byte in header:
                client.send(bytes([byte]))
                time.sleep(0.002)
            self.assertRegex(client.reply(), r"\A220 ")
            client.hang_up()
        wait_nothing_left(gate)
        self.assertEqual((16, 0), (gate.counter("proxied"), gate.counter("proxy_refused")))
        wait_lines(gate, 16, "CONNECT from [203.0.113.7]:4711")

    def test_refused(self):
        """what is no good header is reset, and nothing is said to it"""
        gate = self._gate_and_sink()
        for name, header in REFUSED.items():
            with self.subTest(name):
                self._expect_reset(self._connect(header))
        wait_nothing_left(gate)
        self.assertEqual((0, len(REFUSED)),
                         (gate.counter("proxied"), gate.counter("proxy_refused")))
        self.assertEqual([], gate.log_lines("CONNECT from"))

    def test_untrusted(self):
        """a peer that is not trusted is reset, whatever it sends"""
        gate = self._gate_and_sink()
        for header in (b"", v1(TRUE), v2(TRUE)):
            try:
                client = Client(("127.0.0.1", self.port), STRANGER)
                self.addCleanup(client.hang_up)
                client.send(header)
            except (ConnectionResetError, BrokenPipeError):
                continue  # reset already, perhaps before connect() has returned
            self._expect_reset(client)
        wait_nothing_left(gate)
        self.assertEqual(3, gate.counter("proxy_refused"))
        self.assertEqual([], gate.log_lines("203.0.113.7"))

    def test_silence(self):
        """no word before the header is complete; after proxy_timeout a reset"""
        gate = self._gate_and_sink(timeout="1s")
        for header in (b"", b"PROXY TCP4 203.", v2(TRUE)[:-1]):
            with self.subTest(header):
                started = time.monotonic()
                client = self._connect(header)
                client.socket.settimeout(0.7)
                with self.assertRaises(TimeoutError):
                    client.socket.recv(100)
                self._expect_reset(client)
                self.assertLess(time.monotonic() - started, 2.5)
        wait_nothing_left(gate)

    def test_early_words(self):
        """words in the segment of the header are words of the client before its greeting"""
        gate = self._gate_and_sink(wait="1s", pregreet="drop")
        client = self._connect(v2(TRUE) + b"EHLO early.test\r\n")
        self.assertRegex(client.rest(), r"521 5\.5\.1 ")
        wait_nothing_left(gate)
        wait_lines(gate, 1, "PREGREET 17", "[203.0.113.7]:4711", r"EHLO early.test\r\n")

    def test_limits(self):
        """limits.per_address counts true clients, not the balancer"""
        gate = self._gate_and_sink(limits(per_address=2))
        held = [self._connect(v2(("203.0.113.7", port))) for port in (1, 2)]
        for client in held:
            self.assertRegex(client.reply(), r"\A220 ")
        self.assertRegex(self._connect(v2(("203.0.113.7", 3))).reply(), r"\A421 4\.7\.0 ")
        for last in range(20):
            client = self._connect(v2((f"203.0.113.{100 + last}", 1)))
            self.assertRegex(client.reply(), r"\A220 ")
        self.assertEqual(1, gate.counter("drop_per_address"))

    def test_access(self):
        """the access list is asked about the true client"""
        gate = self._gate_and_sink(access="203.0.113.0/24 reject\n127.0.0.0/8 permit\n")
        client = self._connect(v2(TRUE))
        for command in ("", "EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n"):
            client.send(command)
            self.assertRegex(client.reply(), r"\A2")
        self.assertRegex(client.command("RCPT TO:<b@gate.test>"), r"\A550 5\.3\.2 ")
        client = self._connect(v2(("198.51.100.1", 5)))
        self.assertRegex(client.reply(), r"\A220 ")
        wait_lines(gate, 1, "DENYLISTED [203.0.113.7]:4711")
        self.assertEqual([], gate.log_lines("ALLOWLISTED"))

    def test_leaving(self):
        """who leaves before the header is complete leaves nothing, and no line"""
        gate = self._gate_and_sink()
        for leave in (Client.hang_up, Client.reset):
            for header in (b"", v1(TRUE)[:9]):
                leave(self._connect(header))
        wait_nothing_left(gate)
        self.assertEqual([], gate.log_lines("CONNECT from"))


class BehindHaProxy(_Behind):
    """The real balancer in front, a real Postfix behind."""

    def _deliver(self, options, box, block):
        face = faces.by_proxy()
        gate = self._gate(face.pool + route("out") + limits(per_address=2), wait="1s")
        wait_checked(gate)
        mark = face.server.log_mark()
        with HaProxy(self.port, options) as balancer:
            digests, sources = [], [f"127.{block}.0.{number}" for number in range(1, 6)]
            for source in sources:
                with smtp_clients.Errand(balancer.target, box, source) as errand:
                    smtp_clients.swaks(errand)
                    digests.append(errand.digest)
        paths = faces.wait_delivered(face, box, len(sources))
        self.assertCountEqual(digests, mail.delivered_digests(paths).elements())
        wait_nothing_left(gate)
        for source in sources:
            said = said_of(gate, source, until="PASS NEW")
            self.assertTrue(re.match("CONNECT from", said[0]), said)
            port = int(re.search(r"\]:(\d+)", said[0])[1])
            self.assertIn((source, port), face.clients(mark))
        self.assertEqual(len(sources), gate.counter("proxied"))

    def test_v1(self):
        """HAProxy with send-proxy: true addresses in the gate's log and in Postfix's"""
        self._deliver("send-proxy", "box51", 153)

    def test_v2(self):
        """HAProxy with send-proxy-v2: the same"""
        self._deliver("send-proxy-v2", "box52", 154)

    def test_v2_checksum(self):
        """HAProxy with send-proxy-v2 and its checksum: the same"""
        self._deliver("send-proxy-v2 proxy-v2-options crc32c", "box53", 155)

    def test_checks(self):
        """HAProxy's own health checks (LOCAL) are visits of the balancer itself"""
        gate = self._gate_and_sink()
        with HaProxy(self.port, "send-proxy-v2 check check-send-proxy inter 200ms"):
            time.sleep(1.5)
        total = wait_nothing_left(gate)
        self.assertEqual((0, 0), (total["counters"]["proxied"], total["counters"]["proxy_refused"]))
        note(f"{total['counters']['accepted']} connections of checks")
