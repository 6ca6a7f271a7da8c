"""Everything that a client can send in the dialogue: no crash, no hang, nothing left open, one
outcome and one line in the log. Times are those of the gate, set short."""

import random
import re
import socket
import time
import unittest

import scripted
from clients import Client
from dialogue import body, open_files, said_of, wait_checked, wait_nothing_left
from gate import Gate, limits
from scratch import SANITIZED, note, resident_bytes, wait_until
from scripted import ScriptedBackend

LIMITS = limits(per_address=0) + '[dialogue]\ncommand_time_limit = "1s"\n'
REPLIES = r"\A(\d\d\d[ -][\t\x20-\x7e]*\r\n)*\Z"
# How a client's stay ends, in the words of the log; each client has one of them.
ENDS = r"PASS NEW|DISCONNECT"
FLOOD = 1 << 20
CLOSED_WITHIN = 8


def _noise(size, seed):
    return random.Random(seed).randbytes(size)


# What comes behind the greeting, and the line it leaves in the log.
SENT = {
    "binary": (_noise(200_000, 1), ""),
    "binary without a line end": (_noise(200_000, 2).translate(None, b"\r\n"),
                                  "COMMAND LENGTH LIMIT"),
    "binary in one line": (_noise(400, 3).translate(None, b"\r\n\0") + b"\r\n", ""),
    "endless line": (b"A" * FLOOD, "COMMAND LENGTH LIMIT"),
    "endless CR": (b"\r" * FLOOD, "COMMAND LENGTH LIMIT"),
    "endless NUL": (b"\0" * FLOOD, "COMMAND LENGTH LIMIT"),
    "endless 8-bit": (b"\xff" * FLOOD, "COMMAND LENGTH LIMIT"),
    "endless blanks": (b" " * FLOOD, "COMMAND LENGTH LIMIT"),
    "endless LF": (b"\n" * FLOOD, "COMMAND COUNT LIMIT"),
    "endless CRLF": (b"\r\n" * FLOOD, "COMMAND COUNT LIMIT"),
    "endless NOOP": (b"NOOP\r\n" * (FLOOD // 6), "COMMAND COUNT LIMIT"),
    "endless lines of 500": ((b"X" * 498 + b"\r\n") * (FLOOD // 500), "COMMAND COUNT LIMIT"),
    "huge EHLO name": (b"EHLO " + b"x" * 100_000 + b"\r\n", "COMMAND LENGTH LIMIT"),
    "EHLO name of 490": (b"EHLO " + b"x" * 490 + b"\r\nQUIT\r\n", "COMMAND PIPELINING"),
    "8-bit EHLO name": (b"EHLO \xff\xfe\x80\r\n", "COMMAND TIME LIMIT"),
    "NUL in a command": (b"EH\0LO client.test\r\n", "COMMAND TIME LIMIT"),
    "CR in a command": (b"EHLO a\rb\r\n", "COMMAND TIME LIMIT"),
    "nothing": (b"", "COMMAND TIME LIMIT"),
    "half a command": (b"EHLO cli", "COMMAND TIME LIMIT"),
    "another protocol": (b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n", "NON-SMTP COMMAND"),
    "a TLS hello": (bytes.fromhex("1603010200010001fc0303") + _noise(506, 4), ""),
    "a PROXY header": (b"PROXY TCP4 127.9.9.9 127.0.0.1 1 2\r\n", ""),
}

# Where a client may leave: what it has said by then, each line after the reply to the one before.
POINTS = {
    "at the greeting": (),
    "behind EHLO": ("EHLO client.test\r\n",),
    "in the middle of a command": ("EHLO client.test\r\n", "MAIL FR"),
    "behind a refused command": ("EHLO client.test\r\n", "NONSENSE\r\n"),
    "behind MAIL, handed over": ("EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n"),
    "behind DATA": ("EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n",
                    "RCPT TO:<b@gate.test>\r\n", "DATA\r\n"),
    "in the message": ("EHLO client.test\r\n", "MAIL FROM:<a@client.test>\r\n",
                       "RCPT TO:<b@gate.test>\r\n", "DATA\r\n", "Subject: none\r\n\r\nhalf"),
}


class _Dialogue(unittest.TestCase):
    """One gate for a class, which must be at the end what it was in the beginning."""

    answers = None

    @classmethod
    def setUpClass(cls):
        cls.backend = ScriptedBackend()
        cls.addClassCleanup(cls.backend.stop)
        cls.gate = Gate(body(cls.backend.address, dialogue=LIMITS, wait="0s"))
        cls.addClassCleanup(cls.gate.stop)
        wait_checked(cls.gate)
        cls.checked = len(cls.backend.sessions)
        cls.backend.answers = cls.answers or {}
        with Client(cls.gate.target, "127.130.0.1") as client:  # whatever is made at the first
            client.reply()
            client.command("QUIT")
        wait_nothing_left(cls.gate)
        cls.pids = cls.gate.shard_pids()
        cls.files = open_files(cls.gate)

    def _expect_one_end(self, source):
        """One CONNECT, one end; everything the log says."""
        said = said_of(self.gate, source, until=ENDS)
        self.assertEqual(1, sum(line.startswith("CONNECT") for line in said), said)
        self.assertEqual(1, sum(bool(re.match(ENDS, line)) for line in said), said)
        return said

    def _expect_served(self, source):
        """A polite client that comes next, maybe to the same slot, is none the worse for it."""
        with Client(self.gate.target, source) as client:
            client.reply()
            for command in ("EHLO polite.test", "MAIL FROM:<a@client.test>",
                            "RCPT TO:<b@gate.test>", "QUIT"):
                self.assertRegex(client.command(command), r"\A2", command)
        wait_nothing_left(self.gate)
        self._expect_one_end(source)

    def _expect_nothing_left(self):
        total = wait_nothing_left(self.gate)
        self.assertEqual(self.pids, self.gate.shard_pids())
        self.assertEqual(0, total["counters"]["restarts"])
        self.assertEqual(self.files, open_files(self.gate))


class SentInTheDialogue(_Dialogue):
    def _send(self, index, sent):
        """What is heard until the gate closes."""
        source = f"127.131.0.{index + 1}"
        with Client(self.gate.target, source) as client:
            self.assertRegex(client.reply(), r"\A220 ")
            client.socket.settimeout(CLOSED_WITHIN)
            try:
                client.send(sent)
            except OSError:
                pass  # the gate has heard enough
            return source, client.rest()

    def test_sent(self):
        """binary, endless lines, CR, LF, NUL, 8-bit, huge names: all end by themselves"""
        for index, (name, (sent, line)) in enumerate(SENT.items()):
            with self.subTest(name):
                source, heard = self._send(index, sent)
                self.assertRegex(heard, REPLIES)
                wait_nothing_left(self.gate)
                said = self._expect_one_end(source)
                self.assertTrue(any(text.startswith(line) for text in said), said)
                self._expect_served(f"127.131.1.{index + 1}")
        self.assertEqual({"EHLO polite.test", "MAIL FROM:<a@client.test>",
                          "RCPT TO:<b@gate.test>", "QUIT"},
                         {line for session in self.backend.sessions[self.checked:]
                          for line in session.lines})
        self._expect_nothing_left()

    def test_trickle(self):
        """a byte now and then buys no time: the limit is for the whole command"""
        with Client(self.gate.target, "127.132.0.1") as client:
            client.reply()
            started = time.monotonic()
            client.send_slowly("EHLO " + "x" * 60, 0.1)
            self.assertLess(time.monotonic() - started, 5)
            client.socket.settimeout(CLOSED_WITHIN)
            self.assertRegex(client.rest(), r"\A(421 4\.4\.2 .*\r\n)?\Z")
        wait_nothing_left(self.gate)
        said = self._expect_one_end("127.132.0.1")
        self.assertTrue(any(text.startswith("COMMAND TIME LIMIT") for text in said), said)

    def test_unread(self):
        """who sends commands and reads no reply is let go"""
        with Client(self.gate.target, "127.132.0.2", receive_buffer=2048) as client:
            client.reply()
            try:
                for _ in range(2000):
                    client.send("EHLO client.test\r\n")
                    time.sleep(0.001)
            except OSError:
                pass
            wait_until(lambda: self.gate.held() == 0, CLOSED_WITHIN, "the client was let go")
        self._expect_one_end("127.132.0.2")
        self._expect_nothing_left()

    def test_memory(self):
        """a hundred floods of each endless kind leave the gate as large as it was"""
        floods = [sent for name, (sent, _) in SENT.items() if name.startswith("endless")]

        def all_of_them(block):
            for count in range(100):
                source = f"127.{block}.{count}.1"
                with Client(self.gate.target, source) as client:
                    client.reply()
                    try:
                        client.send(floods[count % len(floods)][:200_000])
                    except OSError:
                        pass
            wait_nothing_left(self.gate)
            return resident_bytes(self.pids[0])

        before = all_of_them(133)
        after = all_of_them(134)
        note(f"resident {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
        if not SANITIZED:
            self.assertLess(after - before, 1 << 20)
        self._expect_nothing_left()


class LeavingTheDialogue(_Dialogue):
    def _go_to(self, client, point):
        client.reply()
        for text in POINTS[point]:
            client.send(text)
            if text.endswith("\r\n"):
                self.assertRegex(client.reply(), r"\A[2345]")

    def _leave(self, leave, network):
        for index, point in enumerate(POINTS):
            with self.subTest(point):
                source = f"{network}.{index + 1}"
                client = Client(self.gate.target, source)
                self._go_to(client, point)
                leave(client)
                wait_nothing_left(self.gate)
                self._expect_one_end(source)
        self._expect_nothing_left()

    def test_half_close(self):
        """a client that shuts its sending side: the gate, or the backend, closes too"""
        def leave(client):
            client.socket.shutdown(socket.SHUT_WR)
            client.socket.settimeout(CLOSED_WITHIN)
            self.assertRegex(client.rest(), REPLIES)
            client.hang_up()

        self._leave(leave, "127.135.0")

    def test_close(self):
        """a client that closes"""
        self._leave(Client.hang_up, "127.136.0")

    def test_reset(self):
        """a client that resets"""
        self._leave(Client.reset, "127.137.0")


class LeavingTheHandOver(LeavingTheDialogue):
    """The same while a slow backend keeps each step of the hand-over open for a while."""

    answers = {"BANNER": scripted.late("220 scripted.test ESMTP\r\n", 0.2),
               "MAIL": scripted.late("250 2.1.0 Ok\r\n", 0.2)}

    def _go_to(self, client, point):
        """Up to the last line, whose reply is not awaited."""
        client.reply()
        *answered, last = POINTS[point] or ("",)
        for text in answered:
            client.send(text)
            client.reply()
        client.send(last)
        time.sleep(0.1)
