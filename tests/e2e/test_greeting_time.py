"""From connect to the first byte of smtpd's 220: through pass, against straight to smtpd."""

import statistics
import unittest

import shared
from clients import Client
from gate import Gate, pool, route
from scratch import SANITIZED, note, scaled


class GreetingTime(unittest.TestCase):
    def test_preferred_client(self):
        """a preferred client's time to 220 through pass is within 1.2x of a direct connection"""
        postfix = shared.the_postfix()
        body = pool("friendly", f"pass:{postfix.friendly}") + route("friendly")
        count = scaled(500, least=50)
        direct, passed = [], []
        with Gate(body, access="127.0.0.0/8 permit\n") as gate:
            # Warm: both services have a process waiting, so nobody measures a fork.
            for _ in range(20):
                self._seconds_to_220(("127.0.0.1", postfix.plain_port))
                self._seconds_to_220(gate.target)
            for _ in range(count):
                direct.append(self._seconds_to_220(("127.0.0.1", postfix.plain_port)))
                passed.append(self._seconds_to_220(gate.target))
        straight, through = statistics.median(direct) * 1e6, statistics.median(passed) * 1e6
        note(f"median of {count}: direct {straight:.0f} us, through pass {through:.0f} us, "
             f"ratio {through / straight:.2f}")
        if not SANITIZED:
            self.assertLessEqual(through, 1.2 * straight)

    def _seconds_to_220(self, target):
        with Client(target, "127.60.0.1") as client:
            first = client.socket.recv(1)
            seconds = client.seconds()
            self.assertEqual(b"2", first)
            client.reply()
            client.command("QUIT")
            client.rest()
        return seconds
