"""Two thousand clients that nobody has seen before come at once, each with a message and an address
of its own: all are delivered in that same session, none is told to come back."""

import asyncio
import collections
import time
import unittest

import faces
import mail
from gate import Gate, greet, limits, route
from postfix import DOMAIN
from scratch import loopback, note, scaled, wait_until

COUNT = 2000
FIRST = 250  # so that nobody is 127.0.0.1
SESSION_SECONDS = 85


def tearDownModule():
    faces.close()


class _Caller:
    """One polite session: what it heard in the end is in `refused`, or it is empty."""

    def __init__(self, index, box):
        self.source = loopback(FIRST + index, block=0)
        self.recipient = f"{box}@{DOMAIN}"
        self.body = mail.random_body(3000 + index % 5000, f"crowd-{box}-{index}")
        self.digest = mail.digest(self.body)
        self.port = None
        self.refused = ""

    async def call(self, target):
        reader, writer = await asyncio.open_connection(*target, local_addr=(self.source, 0))
        try:
            self.port = writer.get_extra_info("sockname")[1]
            message = (f"To: <{self.recipient}>\r\nX-Digest: {self.digest}\r\n\r\n"
                       + self.body.replace("\n", "\r\n"))
            message = message.replace("\r\n.", "\r\n..") + ".\r\n"
            for text in ("", "EHLO crowd.test\r\n", f"MAIL FROM:<{mail.SENDER}>\r\n",
                         f"RCPT TO:<{self.recipient}>\r\n", "DATA\r\n", message, "QUIT\r\n"):
                writer.write(text.encode())
                await writer.drain()
                if not await self._accepted(reader):
                    return
        except OSError as error:
            self.refused = repr(error)
        finally:
            writer.close()

    async def _accepted(self, reader):
        """Reads one reply, all lines of it."""
        line = b"220-"
        while line[3:4] == b"-":
            line = await reader.readline()
        if line[:1] not in (b"2", b"3"):
            self.refused = line.decode(errors="replace") or "the end of the connection"
        return not self.refused


async def _call_all(callers, target):
    await asyncio.wait_for(asyncio.gather(*(caller.call(target) for caller in callers)),
                           SESSION_SECONDS)


class FirstContactCrowd(unittest.TestCase):
    def _crowd(self, face, box):
        callers = [_Caller(index, box) for index in range(scaled(COUNT, least=50))]
        count = len(callers)
        mark = face.server.log_mark()
        with Gate(greet(wait="2s") + limits(per_address=0) + face.pool + route("out"),
                  top="shards = 2") as gate:
            wait_until(lambda: gate.counter("backend_checks") > 0, 10, "the backend was checked")
            started = time.monotonic()
            asyncio.run(_call_all(callers, gate.target))
            seconds = time.monotonic() - started
            refused = collections.Counter(caller.refused for caller in callers)
            self.assertEqual({"": count}, refused)
            paths = faces.wait_delivered(face, box, count, seconds=90)
            gate.wait_empty()
            counters = gate.total()["counters"]
        self.assertEqual((count, count, count, 0, 0), tuple(counters[name] for name in (
            "accepted", "pass_new", "handed_over", "recipients_refused", "drop_no_backend")))
        self.assertCountEqual([caller.digest for caller in callers],
                              mail.delivered_digests(paths).elements())
        self.assertEqual([], mail.altered(paths))
        faces.wait_clients(face, mark, [(caller.source, caller.port) for caller in callers])
        self.assertEqual([], face.server.trouble_since(mark))
        note(f"{count} first contacts at once: the last was done after {seconds:.1f} s")

    def test_pass(self):
        """pass: 2,000 first contacts at once, 2,000 delivered, none deferred"""
        self._crowd(faces.by_pass(wait="60s"), "box31")

    def test_proxy(self):
        """PROXY v2: 2,000 first contacts at once, 2,000 delivered, none deferred"""
        self._crowd(faces.by_proxy(wait="60s"), "box32")
