"""Two faces and what happens when one is gone: friendly to friendly, stranger to hostile, a dead
backend to the fallback with a log line and a counter, and 421 in the end, never a silent close."""

import os
import unittest

import shared
from clients import Client, Sink
from gate import Gate, greet, limits, no_dialogue, pool, route
from scratch import free_port, loopback, wait_until

FRIEND = "127.20.0.9"
STRANGER = "127.21.0.9"
ACCESS = "127.20.0.0/16 permit\n127.29.0.0/16 reject\n"


class Routing(unittest.TestCase):
    def setUp(self):
        self.postfix = shared.the_postfix()

    def _two_faces(self, friendly_backend=None, **friendly_settings):
        return (greet(wait="1s", early_look="0s") + no_dialogue()
                + pool("friendly", friendly_backend or f"pass:{self.postfix.friendly}",
                       **friendly_settings)
                + pool("hostile", f"pass:{self.postfix.hostile}")
                + route("friendly", "allowlisted = true") + route("hostile"))

    def _session(self, gate, source):
        """A short polite session; returns greeting, the client's name and the seconds to 220."""
        with Client(gate.target, source) as client:
            greeting = client.reply()
            waited = client.seconds()
            self.assertTrue(client.command("EHLO client.test").startswith("250"), greeting)
            self.assertTrue(client.command("QUIT").startswith("221"))
            return greeting, client.name, waited

    def _logged(self, mark, face, name):
        return wait_until(lambda: name in self.postfix.clients_since(mark, face), 5,
                          f"postfix/{face} logged {name}")

    def test_friend(self):
        """a preferred client reaches the friendly smtpd without waiting and without a teaser"""
        mark = self.postfix.log_mark()
        with Gate(self._two_faces(), access=ACCESS) as gate:
            greeting, name, waited = self._session(gate, FRIEND)
            self._logged(mark, "friendly", name)
            self.assertEqual("220 mx.gate.test ESMTP Postfix\r\n", greeting)
            self.assertLess(waited, 0.9)
            gate.wait_empty()
            self.assertEqual(1, gate.outcomes("friendly")["taken"])
            self.assertEqual(1, gate.counter("allowlisted"))
            self.assertTrue(gate.log_lines("ALLOWLISTED", f"[{FRIEND}]:{name[1]}"))

    def test_stranger(self):
        """a stranger is teased, waits the whole greet.wait and reaches the hostile smtpd"""
        mark = self.postfix.log_mark()
        with Gate(self._two_faces(), access=ACCESS) as gate:
            greeting, name, waited = self._session(gate, STRANGER)
            self._logged(mark, "hostile", name)
            self.assertRegex(greeting, r"\A220-.*\r\n220 mx\.gate\.test ESMTP Postfix\r\n\Z")
            self.assertGreaterEqual(waited, 1.0)
            self.assertLess(waited, 2.5)
            gate.wait_empty()
            self.assertEqual(1, gate.outcomes("hostile")["taken"])
            self.assertEqual(0, gate.outcomes("friendly")["taken"])
            self.assertEqual(1, gate.counter("pass_new"))
            self.assertTrue(gate.log_lines("PASS NEW", f"[{STRANGER}]:{name[1]}"))
            self.assertTrue(gate.log_lines("CONNECT from", f"[{STRANGER}]:{name[1]}"))

    def test_denied(self):
        """a client the access list rejects hears 550 5.3.2 at RCPT, or 521 in the greeting"""
        for action, code in (("enforce", "550 5.3.2"), ("drop", "521 5.3.2")):
            with self.subTest(action), Gate(self._two_faces(), access=ACCESS,
                                            access_reject=action) as gate:
                with Client(gate.target, "127.29.0.1") as client:
                    if action == "enforce":
                        self.assertTrue(client.reply().startswith("220 "))
                        self.assertTrue(client.ask_rcpt().startswith(f"{code} "))
                    else:
                        self.assertIn(code, client.rest())
                gate.wait_empty()
                self.assertEqual(1, gate.counter("denylisted"))
                self.assertTrue(gate.log_lines("DENYLISTED", "[127.29.0.1]"))
                self.assertEqual(1 if action == "enforce" else 0, len(gate.log_lines("NOQUEUE")))
                self.assertEqual(0, gate.outcomes("hostile")["taken"])

    def test_fallback_path_gone(self):
        """pass service gone: friends reach the fallback, with a log line and counters"""
        gone = self.postfix.friendly + ".gone"
        with Gate(self._two_faces(fallback="hostile"), access=ACCESS) as gate:
            os.rename(self.postfix.friendly, gone)
            try:
                self._expect_fallback(gate)
            finally:
                os.rename(gone, self.postfix.friendly)

    def test_fallback_port_closed(self):
        """TCP backend stopped: friends reach the fallback, with a log line and counters"""
        backend = f"tcp:127.0.0.1:{free_port()}"
        with Gate(self._two_faces(backend, fallback="hostile"), access=ACCESS) as gate:
            self._expect_fallback(gate)

    def _expect_fallback(self, gate):
        mark = self.postfix.log_mark()
        _, name, waited = self._session(gate, FRIEND)
        self._logged(mark, "hostile", name)
        gate.wait_empty()
        self.assertLess(waited, 3, "a refused connection needs no timeout")
        self.assertGreaterEqual(gate.outcomes("friendly")["refused"], 1)
        self.assertEqual(1, gate.outcomes("friendly")["fell_back"])
        self.assertEqual(1, gate.outcomes("hostile")["taken"])
        self.assertTrue(gate.log_lines("friendly", "hostile"), gate.log())

    def test_next_backend(self):
        """a refusing backend is passed over for the next one of the same pool"""
        with Sink() as sink:
            body = pool("out", f"tcp:127.0.0.1:{free_port()}", f"tcp:127.0.0.1:{sink.port}",
                        proxy_protocol="none") + route("out")
            with Gate(greet(wait="0s") + no_dialogue() + body) as gate:
                for index in range(10):
                    self._session(gate, loopback(index, 22))
                gate.wait_empty()
                self.assertEqual(10, gate.outcomes("out")["taken"])
                self.assertEqual(0, gate.counter("drop_no_backend"))

    def test_nothing_left(self):
        """no backend and no fallback: the client waits, hears 421 and is counted"""
        with Gate(self._two_faces(f"tcp:127.0.0.1:{free_port()}", wait="1s"),
                  access=ACCESS) as gate:
            with Client(gate.target, FRIEND) as client:
                self.assertRegex(client.rest(), r"\A421 4\.3\.2 ")
                self.assertLess(client.seconds(), 4)
            gate.wait_empty()
            self.assertEqual(1, gate.outcomes("friendly")["gave_up"])
            self.assertEqual(1, gate.counter("drop_no_backend"))

    def test_limit(self):
        """the client over limits.per_address hears 421, its neighbours do not"""
        body = limits(per_address=3) + self._two_faces()
        with Gate(body, access=ACCESS) as gate:
            clients = [Client(gate.target, STRANGER) for _ in range(3)]
            try:
                wait_until(lambda: gate.held() == 3, 5, "three are held")
                with Client(gate.target, STRANGER) as fourth:
                    self.assertRegex(fourth.rest(), r"\A421 4\.7\.0 ")
                with Client(gate.target, "127.21.0.10") as neighbour:
                    self.assertTrue(neighbour.line().startswith("220-"))
            finally:
                for client in clients:
                    client.hang_up()
            gate.wait_empty()
            self.assertEqual(1, gate.counter("drop_per_address"))

    def test_stop(self):
        """stopping: the held are told 421, the daemon ends with 0 and nothing is left of it"""
        gate = Gate(self._two_faces(), top='shards = 2\ndrain = "1s"', access=ACCESS)
        try:
            with Client(gate.target, STRANGER) as client:
                wait_until(lambda: gate.held() == 1, 5, "the client is held")
                code = gate.stop()
                self.assertIn("421 ", client.rest())
            self.assertEqual(0, code)
        finally:
            gate.stop()
