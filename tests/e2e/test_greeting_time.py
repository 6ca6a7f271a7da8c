"""From connect to the first byte of smtpd's 220: through pass, against straight to smtpd."""

import socket
import statistics
import time
import unittest

import shared
from clients import Client
from gate import Gate, pool, route
from scratch import SANITIZED, note, scaled

SOURCE = "127.60.0.1"


class GreetingTime(unittest.TestCase):
    def test_preferred_client(self):
        """a preferred client's time to 220 through pass is within 1.25x of a bare hand-off"""
        self.postfix = shared.the_postfix()
        body = pool("friendly", f"pass:{self.postfix.friendly}") + route("friendly")
        with Gate(body, access="127.0.0.0/8 permit\n") as gate, \
                socket.create_server(("127.0.0.1", 0)) as self.own_door:
            plain = ("127.0.0.1", self.postfix.plain_port)
            ways = {"direct": lambda: Client(plain, SOURCE),
                    "pass": lambda: Client(gate.target, SOURCE),
                    "floor": self._hand_over_ourselves}
            seconds = {way: [] for way in ways}
            # Warm first: every service has a process waiting, so nobody measures a fork.
            for number in range(-20, scaled(500, least=50)):
                for way, connect in ways.items():
                    spent = self._seconds_to_220(connect)
                    if number >= 0:
                        seconds[way].append(spent)
        median = {way: statistics.median(values) * 1e6 for way, values in seconds.items()}
        ratio = median["pass"] / median["direct"]
        over_floor = median["pass"] / median["floor"]
        note(f"median of {len(seconds['pass'])}: direct {median['direct']:.0f} us, through pass "
             f"{median['pass']:.0f} us, ratio {ratio:.2f}; the bare hand-off with no gate process, "
             f"made by this test, {median['floor']:.0f} us")
        if not SANITIZED:
            # A second process has to wake up, and smtpd to read a message: that alone is 1.35 to
            # 1.5 of a direct connection where smtpd answers in 150 us (docs/benchmarks.md), so what
            # the gate can be held to is the hand-off with no gate process at all.
            self.assertLessEqual(over_floor, 1.25)

    def _seconds_to_220(self, connect):
        with connect() as client:
            first = client.socket.recv(1)
            seconds = client.seconds()
            self.assertEqual(b"2", first)
            client.reply()
            client.command("QUIT")
            client.rest()
        # smtpd still logs the end and goes back to waiting: not at the next client's expense.
        time.sleep(0.002)
        return seconds

    def _hand_over_ourselves(self):
        """What accept, connect and one sendmsg cost with nobody to wake: no gate can be faster."""
        client = Client(self.own_door.getsockname(), SOURCE)
        accepted, (address, port) = self.own_door.accept()
        attributes = {"client_address": address, "client_port": port,
                      "server_address": "127.0.0.1", "server_port": 25}
        text = "".join(f"{name}\0{value}\0" for name, value in attributes.items())
        with accepted, socket.socket(socket.AF_UNIX) as service:
            service.connect(self.postfix.friendly)
            socket.send_fds(service, [f"\0{text}\0".encode()], [accepted.fileno()])
        return client
