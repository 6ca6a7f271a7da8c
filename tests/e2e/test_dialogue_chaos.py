"""Hundreds of clients at once that do anything, before backends that do anything: whatever comes,
the gate stays what it was. What a line's length changes, to the byte, is tried here too."""

import concurrent.futures
import random
import time
import unittest

import scripted
from clients import Client
from dialogue import body, open_files, said_of, wait_checked, wait_nothing_left
from gate import Gate, limits
from scratch import loopback, note, scaled
from scripted import ScriptedBackend, ScriptedPass

SESSIONS = 1200
PARALLEL = 24
LINES = (b"EHLO chaos.test\r\n", b"HELO chaos.test\r\n", b"NOOP\r\n", b"RSET\r\n",
         b"NONSENSE\r\n", b"MAIL FROM:<a@client.test>\r\n", b"RCPT TO:<b@gate.test>\r\n",
         b"DATA\r\n", b".\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"VRFY b\r\n",
         b"ETRN gate.test\r\n",
         b"BDAT 10 LAST\r\n0123456789", b"QUIT\r\n", b"EHLO bare.test\n", b"GET / HTTP/1.1\r\n",
         b"\0\r\n", b"\r\n", b"\xff\xfe\r\n", b"EHLO ", b"x" * 300, b"y" * 3000 + b"\r\n")
# What a client that behaves says; half of all steps are from here.
POLITE = (b"EHLO chaos.test\r\n", b"MAIL FROM:<a@client.test>\r\n", b"RCPT TO:<b@gate.test>\r\n")
ANSWERS = ("250 ok\r\n", "421 4.3.2 busy\r\n", "554 no\r\n", "nonsense\r\n", "250-half\r\n",
           b"\xff\n", "220 a\r\n220 b\r\n", scripted.close, scripted.reset,
           scripted.late("250 late\r\n", 0.05))


class _AnyClient:
    """One seeded session; it ends by itself whatever is answered."""

    def __init__(self, target, seed):
        self._target = target
        self._random = random.Random(seed)
        self.source = loopback(seed, block=161)

    def run(self):
        with Client(self._target, self.source) as client:
            client.reply()
            client.socket.settimeout(0.2)
            for _ in range(self._random.randrange(1, 9)):
                try:
                    self._step(client)
                except OSError:
                    return
            if self._random.random() < 0.3:
                client.reset()

    def _step(self, client):
        data = self._random.choice(self._random.choice((LINES, POLITE)))
        if self._random.random() < 0.1:
            data += self._random.choice(LINES)
        if self._random.random() < 0.2:
            cut = self._random.randrange(len(data))
            client.send(data[:cut])
            time.sleep(0.002)
            data = data[cut:]
        client.send(data)
        if self._random.random() < 0.9:
            self._listen(client)

    def _listen(self, client):
        try:
            client.reply()
        except TimeoutError:
            pass
        except OSError:
            return


class DialogueChaos(unittest.TestCase):
    def _backends(self):
        """Two that turn bad at random, one that stays good."""
        backends = [ScriptedBackend(), ScriptedPass(), ScriptedBackend()]
        for backend in backends:
            self.addCleanup(backend.stop)
        return backends

    @staticmethod
    def _spoil(backend, seed):
        chance = random.Random(seed)

        def react(session, usual):
            if chance.random() < 0.5:
                return scripted.perform(session, usual)
            return scripted.perform(session, chance.choice(ANSWERS))

        backend.answers = {
            "BANNER": lambda session: react(session, "220 scripted.test ESMTP\r\n"),
            "MAIL": lambda session: react(session, "250 2.1.0 Ok\r\n"),
            "RCPT": lambda session: react(session, "250 2.1.5 Ok\r\n")}

    def test_chaos(self):
        """1,200 random sessions, 24 at once, before random backends: nothing is left of them"""
        backends = self._backends()
        configuration = limits(per_address=0) + body(
            *(backend.address for backend in backends), greeting_timeout="500ms", wait="200ms")
        with Gate(configuration, top="shards = 2") as gate:
            wait_checked(gate, checks=len(backends))
            pids = gate.shard_pids()
            self._all(gate, range(100))  # whatever is made at the first
            wait_nothing_left(gate, 30)
            before = open_files(gate)
            for number, backend in enumerate(backends[:2]):
                self._spoil(backend, number)
            count = scaled(SESSIONS, least=100)
            clients = self._all(gate, range(100, 100 + count))
            total = wait_nothing_left(gate, 30)
            self.assertEqual(before, open_files(gate))
            self.assertEqual((pids, 0), (gate.shard_pids(), total["counters"]["restarts"]))
            time.sleep(0.5)  # a shard writes its lines when it has nothing else to do
            for client in clients:
                said = said_of(gate, client.source)
                ends = [line for line in said if line.startswith(("PASS NEW", "DISCONNECT"))]
                self.assertIn(len(ends), (1, 2), said)
                if len(ends) == 2:  # let on, and no server was free
                    self.assertIn("all server ports busy", said[-2])
            self._expect_good(gate, backends)
            counters = total["counters"]
            note(", ".join(f"{name} {counters[name]}" for name in (
                "dialogues", "handed_over", "replay_failed", "spoke_behind", "pipelining",
                "drop_no_backend", "hangup")))

    @staticmethod
    def _all(gate, seeds):
        clients = [_AnyClient(gate.target, seed) for seed in seeds]
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as executor:
            for done in [executor.submit(client.run) for client in clients]:
                done.result()
        return clients

    def _expect_good(self, gate, backends):
        for backend in backends:
            backend.answers = {}
        with Client(gate.target, "127.162.0.1") as client:
            client.reply()
            for command in ("EHLO good.test", "MAIL FROM:<a@client.test>",
                            "RCPT TO:<b@gate.test>", "DATA", "words\r\n.", "QUIT"):
                self.assertRegex(client.command(command), r"\A[23]", command)


class Lengths(unittest.TestCase):
    """The gate's blocks hold 255, 320 and 2,048 octets: no length around them changes a byte."""

    NAMES = (1, 200, 249, 250)
    LINES = (40, 253, 254, 255, 256, 257, 258, 318, 319, 320, 321, 322, 510, 511, 512, 513, 1000,
             2045, 2046, 2047)
    BYTE_BY_BYTE_MAX = 330

    def _send(self, client, data, how):
        if how == "in halves":
            client.send(data[:len(data) // 2])
            time.sleep(0.003)
            data = data[len(data) // 2:]
        if how != "byte by byte":
            client.send(data)
            return
        for byte in data:
            client.send(bytes([byte]))

    def test_lengths(self):
        """names and commands of any length, however cut, reach the backend unchanged"""
        with ScriptedBackend() as backend, \
                Gate(limits(per_address=0) + body(backend.address)) as gate:
            wait_checked(gate)
            for name in self.NAMES:
                for size in self.LINES:
                    for how in ("whole", "in halves", "byte by byte"):
                        if how == "byte by byte" and size > self.BYTE_BY_BYTE_MAX:
                            continue
                        with self.subTest(name=name, size=size, how=how):
                            self._expect_unchanged(backend, gate, (name, size, how))
            wait_nothing_left(gate)

    def _expect_unchanged(self, backend, gate, case):
        name, size, how = case
        hello = "EHLO " + "n" * name
        mail = "MAIL FROM:<a@client.test> X="
        mail += "m" * (size - len(mail) - 2)
        before = len(backend.sessions)
        with Client(gate.target, "127.163.0.1") as client:
            client.reply()
            self.assertRegex(client.command(hello), r"\A250")
            self._send(client, (mail + "\r\n").encode(), how)
            self.assertRegex(client.reply(), r"\A250")
            self.assertEqual([hello, mail], [line for session in backend.sessions[before:]
                                             for line in session.lines])
            client.command("QUIT")
