"""Every kind of client that does not behave: each ends as configured, and afterwards the gate holds
nobody and its memory is back where it was."""

import unittest

import shared
from clients import Client, Sink
from gate import Gate, greet, no_dialogue, pool, route
from scratch import SANITIZED, loopback, note, resident_bytes, scaled, wait_until

WAIT = 1.5
FRIENDS = "127.30.0.0/16 permit\n"


class RudeClients(unittest.TestCase):
    """One gate for all: strangers go to a sink by splice, friends to Postfix by pass."""

    def setUp(self):
        self.postfix = shared.the_postfix()
        self.sink = Sink()
        self.addCleanup(self.sink.stop)

    def _gate(self, pregreet="drop", early_look="500ms", idle="2s"):
        body = (greet(wait=f"{int(WAIT * 1000)}ms", early_look=early_look, pregreet=pregreet)
                + no_dialogue() + f'command_time_limit = "{idle}"\n'
                + pool("friendly", f"pass:{self.postfix.friendly}")
                + pool("sink", f"tcp:127.0.0.1:{self.sink.port}", proxy_protocol="none",
                       connections=2000, check_interval="0s")
                + f'[relay]\nidle_timeout = "{idle}"\n'
                + route("friendly", "allowlisted = true") + route("sink"))
        return Gate(body, access=FRIENDS)

    def test_early_talker_refused(self):
        """early talker, pregreet = enforce: heard by the gate, 550 5.5.1 at RCPT, not handed on"""
        with self._gate(pregreet="enforce") as gate, Client(gate.target, "127.31.0.1") as client:
            client.send("EHLO zombie.test\r\n")
            self.assertRegex(client.reply(), r"\A220-.*\r\n250 .*\r\n\Z")
            self.assertLess(client.seconds(), WAIT + 1)
            self.assertTrue(client.ask_rcpt("zombie.test").startswith("550 5.5.1 "))
            self.assertTrue(client.command("QUIT").startswith("221 "))
            self.assertEqual("", client.rest())
            gate.wait_empty()
            self.assertEqual(1, gate.counter("pregreet"))
            self.assertEqual(1, gate.counter("refused"))
            self.assertEqual(0, self.sink.connections)
            self.assertTrue(gate.log_lines("PREGREET 18 after", "[127.31.0.1]",
                                           r"EHLO zombie.test\r\n"))
            self.assertEqual(1, len(gate.log_lines(
                "NOQUEUE: reject: RCPT from [127.31.0.1]:", "550 5.5.1 ", "helo=<zombie.test>")))

    def test_early_talker_dropped(self):
        """early talker, pregreet = drop: 521 5.5.1 in the greeting, then closed"""
        with self._gate() as gate, Client(gate.target, "127.31.0.2") as client:
            client.send("EHLO zombie.test\r\n")
            self.assertRegex(client.rest(), r"\A220-.*\r\n521 5\.5\.1 .*\r\n\Z")
            self.assertLess(client.seconds(), WAIT + 1)
            gate.wait_empty()
            self.assertEqual(1, gate.counter("pregreet"))
            self.assertEqual((1, 0), (gate.counter("dropped"), gate.counter("refused")))
            self.assertEqual(0, self.sink.connections)
            self.assertTrue(gate.log_lines("PREGREET 18 after", "[127.31.0.2]",
                                           r"EHLO zombie.test\r\n"))
            self.assertEqual([], gate.log_lines("NOQUEUE"))

    def test_early_talker_ignored(self):
        """early talker, pregreet = ignore: served at the end, its early words not lost"""
        with self._gate(pregreet="ignore", early_look="0s") as gate, \
                Client(gate.target, "127.31.0.3") as client:
            client.send("NOOP\r\n")
            self.assertTrue(client.reply().endswith("220 sink ESMTP\r\n"))
            self.assertEqual("250 ok\r\n", client.reply())
            self.assertEqual("221 bye\r\n", client.command("QUIT"))
            gate.wait_empty()
            self.assertEqual(1, gate.counter("pregreet_ignored"))

    def test_silent(self):
        """silent client: teased, held to the end of the wait, handed over, ended when idle"""
        with self._gate() as gate, Client(gate.target, "127.31.0.4") as client:
            self.assertTrue(client.line().startswith("220-"))
            self.assertEqual("220 sink ESMTP\r\n", client.reply())
            self.assertGreaterEqual(client.seconds(), WAIT)
            self.assertEqual("", client.rest())
            gate.wait_empty()
            self.assertEqual(1, gate.counter("relay_idle_timeout"))

    def test_hang_up_during_the_wait(self):
        """hang-up before any word, during the wait and after the teaser, by FIN and by RST"""
        with self._gate(early_look="300ms") as gate:
            for index, leave in enumerate((Client.hang_up, Client.reset)):
                leave(Client(gate.target, loopback(index, 32)))
                client = Client(gate.target, loopback(10 + index, 32))
                self.assertTrue(client.line().startswith("220-"))
                leave(client)
            gate.wait_empty(WAIT + 3)
            self.assertEqual(4, gate.counter("hangup"))
            self.assertEqual(0, self.sink.connections)
            self.assertEqual(4, len(gate.log_lines("HANGUP after")))

    def test_hang_up_at_the_greeting(self):
        """hang-up at the greeting, by FIN and by RST, through splice and through pass"""
        with self._gate() as gate:
            for block in (33, 30):
                for index, leave in enumerate((Client.hang_up, Client.reset)):
                    client = Client(gate.target, loopback(index, block))
                    self.assertIn("220 ", client.reply())
                    leave(client)
            gate.wait_empty()
            total = gate.total()
            self.assertEqual(2, total["pools"]["sink"]["taken"])
            self.assertEqual(2, total["pools"]["friendly"]["taken"])
            self.assertEqual(0, total["pools"]["sink"]["open"])
            self.assertEqual(0, total["pools"]["friendly"]["open"])

    def test_hang_up_in_data(self):
        """hang-up in the middle of DATA: Postfix logs a lost connection, nothing is delivered"""
        for method, text in (("pass", pool("out", f"pass:{self.postfix.friendly}")),
                             ("splice", pool("out", f"tcp:127.0.0.1:{self.postfix.proxied_port}"))):
            with self.subTest(method), Gate(greet(wait="0s") + text + route("out")) as gate:
                mark = self.postfix.log_mark()
                with Client(gate.target, "127.34.0.1") as client:
                    client.reply()
                    for command in ("EHLO x.test", "MAIL FROM:<a@b.test>",
                                    "RCPT TO:<box20@gate.test>"):
                        self.assertTrue(client.command(command).startswith("250"), command)
                    self.assertTrue(client.command("DATA").startswith("354"))
                    client.send("Subject: half\r\n\r\n" + "half a message\r\n" * 5000)
                gate.wait_empty()
                wait_until(lambda: "lost connection after DATA" in self.postfix.log_since(mark), 10,
                           "Postfix noticed the hang-up")
                self.assertEqual([], self.postfix.delivered("box20"))

    def test_byte_by_byte_early(self):
        """one byte at a time from the start: an early talker like any other"""
        for pregreet in ("drop", "enforce"):
            with self.subTest(pregreet), self._gate(pregreet) as gate, \
                    Client(gate.target, "127.31.0.5") as client:
                client.send_slowly("EHLO slow.test\r\n", pause=0.05)
                if pregreet == "drop":
                    self.assertIn("521 5.5.1 ", client.rest())
                else:
                    self.assertRegex(client.reply(), r"\A220-.*\r\n250 ")
                    self.assertTrue(client.ask_rcpt().startswith("550 5.5.1 "))
                    client.hang_up()
                gate.wait_empty()
                self.assertEqual(1, gate.counter("pregreet"))

    def test_byte_by_byte_later(self):
        """one byte at a time after the greeting: a whole session through splice and through pass"""
        with self._gate() as gate:
            for source, answer in (("127.31.0.6", "250 ok"), ("127.30.0.6", "250")):
                with self.subTest(source), Client(gate.target, source) as client:
                    self.assertIn("220 ", client.reply())
                    self.assertTrue(client.send_slowly("EHLO slow.test\r\n", pause=0.05))
                    self.assertTrue(client.reply().startswith(answer))
                    self.assertTrue(client.send_slowly("QUIT\r\n", pause=0.05))
                    self.assertTrue(client.reply().startswith("221"))
            gate.wait_empty()

    def test_never_reads(self):
        """a client that asks for 50 MB and never reads: ended when idle, memory bounded"""
        with self._gate() as gate:
            pid = gate.shard_pids()[0]
            with Client(gate.target, "127.31.0.7", receive_buffer=4096) as client:
                client.reply()
                before = resident_bytes(pid)
                client.send("BURST 50000000\r\n")
                gate.wait_empty(WAIT + 8)
                grown = resident_bytes(pid) - before
            self.assertEqual(1, gate.counter("relay_idle_timeout"))
            self.assertLess(grown, 2 << 20)
            note(f"shard grew by {grown / 1024:.0f} kB over the stalled stream")

    def test_never_reads_its_refusal(self):
        """an early talker that never reads what it is told does not stay"""
        for pregreet, counter in (("drop", "dropped"), ("enforce", "refused")):
            with self.subTest(pregreet), self._gate(pregreet) as gate, \
                    Client(gate.target, "127.31.0.8", receive_buffer=4096) as client:
                client.send("EHLO x\r\n")
                wait_until(lambda g=gate, c=counter: g.counter(c) == 1, WAIT + 8, counter)
                gate.wait_empty(WAIT + 8)

    def test_memory_after_all(self):
        """hundreds of each kind at once, twice: zero held and the shard's memory back"""
        with self._gate(pregreet="enforce") as gate:
            self._everybody(gate, each=1)
            pid = gate.shard_pids()[0]
            before = resident_bytes(pid)
            each = scaled(60, least=5)
            for _ in range(2):
                self._everybody(gate, each)
            status = gate.wait_empty()
            after = resident_bytes(pid)
            self.assertEqual(0, sum(count for phase, count in status["total"]["phases"].items()
                                    if phase != "free"), status["total"]["phases"])
            note(f"shard memory {before / 1024:.0f} kB before, {after / 1024:.0f} kB after "
                 f"{10 * each} rude clients")
            if not SANITIZED:  # a sanitizer keeps freed memory in quarantine
                self.assertLess(after, before * 1.02 + 256 * 1024)

    def _everybody(self, gate, each):
        """`each` of five kinds at once; returns when the gate holds nobody."""
        clients = []
        for index in range(each):
            for kind in range(5):
                client = Client(gate.target, loopback(kind * 1000 + index, 36),
                                receive_buffer=4096 if kind == 4 else None)
                clients.append((kind, client))
                if kind == 0:
                    client.send("EHLO early.test\r\n")
                elif kind == 1:
                    client.hang_up()
        for kind, client in clients:
            if kind == 2:
                client.line()
                client.reset()
            elif kind == 3:
                client.reply()
                client.hang_up()
            elif kind == 4:
                client.reply()
                client.send("BURST 300000\r\n")
        gate.wait_empty(WAIT + 15)
        for _, client in clients:
            client.hang_up()
