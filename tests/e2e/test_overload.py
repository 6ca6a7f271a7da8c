"""Levels of overload under a flood: they rise and fall as configured and are told, preferred
clients' mail goes on at each of them, and routes, waits and the tarpit follow."""

import os
import re
import time
import unittest

import mail
import shared
from clients import Client, Sink
from gate import Gate, greet, limits, pool, route, run_command, table
from scratch import ScratchDir, loopback, wait_until
from test_metrics import MeteredGate
from zombies import Zombies

HELD = 200
# Silent clients that are there at each level, of HELD; the defaults begin at 70, 90 and 97 %.
CROWDS = {"normal": 60, "busy": 150, "stress": 184, "emergency": 195}
FRIENDS = 150  # 127.150.y.z is permitted
KNOWN = "127.151.0.1"
MESSAGES = 6


def overload(calm, settings="", **levels):
    text = table("overload", calm=calm) + settings
    for level, values in levels.items():
        text += table(f"overload.{level}", **values)
    return text


def modes(gate):
    """What the log has said of levels: ["entering BUSY", ...]."""
    return re.findall(r"((?:entering|leaving) [A-Z]+) mode with \d+ connections", gate.log())


def level(gate):
    return gate.status()["overload"]["level"]


class Overload(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("overload")
        self.addCleanup(self.scratch.remove)

    def _send(self, gate, box, source):
        """One message of one client; the seconds to its greeting."""
        with Client(gate.target, source, timeout=30) as client:
            greeting = client.reply()
            seconds = client.seconds()
            self.assertRegex(greeting, r"(?m)^220 ", greeting)
            for command, code in (("EHLO known.test", "250"), (f"MAIL FROM:<{mail.SENDER}>", "250"),
                                  (f"RCPT TO:<{box}@gate.test>", "250"), ("DATA", "354"),
                                  ("Subject: x\r\n\r\nx\r\n.", "250"), ("QUIT", "221")):
                answer = client.command(command)
                self.assertTrue(answer.startswith(code), f"{command}: {answer}")
        return seconds

    def test_mail_goes_on(self):
        """at each level the mail of permitted and of known clients is delivered without delay"""
        postfix = shared.the_postfix()
        for box in ("box55", "box56"):
            postfix.clear(box)
        # The crowd's wait and dialogue stay as they are, so that it stays.
        as_ever = {"greet_wait": "2s", "command_time_limit": "300s"}
        body = (greet(wait="2s", early_look="0s") + limits(held=HELD)
                + overload("2s", busy=as_ever, stress=as_ever, emergency=as_ever)
                + table("store", file=os.path.join(self.scratch.path, "clients.mdb"))
                + pool("friendly", f"pass:{postfix.friendly}") + route("friendly"))
        with MeteredGate(body, access=f"127.{FRIENDS}.0.0/16 permit\n") as gate:
            self.assertGreaterEqual(self._send(gate, "box56", KNOWN), 2)
            wait_until(lambda: gate.values()["lychgate_store_records"] == 1, 10, "is remembered")
            crowds, before = [], 0
            self.addCleanup(lambda: [crowd.__exit__() for crowd in crowds])
            for number, (name, count) in enumerate(CROWDS.items()):
                crowds.append(Zombies.all_at_once(gate.target, count - before, 300))
                before = count
                wait_until(lambda: level(gate) == name, 10, f"{name} with {count} clients")
                mail.Courier(gate.target, "box55", MESSAGES, FRIENDS, largest=20_000, parallel=2)
                self.assertLess(self._send(gate, "box56", KNOWN), 1, name)
                self.assertEqual(name, level(gate))
                self.assertEqual(number, gate.values()["lychgate_overload_level"])
            self.assertEqual(["entering BUSY", "entering STRESS", "entering EMERGENCY"],
                             modes(gate))
            self.assertEqual(3, gate.counter("overloads"))
            for crowd in crowds:
                crowd.end()
            wait_until(lambda: level(gate) == "normal", 20, "it is calm")
            self.assertEqual(["leaving EMERGENCY", "leaving STRESS", "leaving BUSY"],
                             modes(gate)[3:])
            paths = postfix.wait_delivered("box55", len(CROWDS) * MESSAGES)
            self.assertEqual([], mail.altered(paths))
            postfix.wait_delivered("box56", len(CROWDS) + 1)
            self.assertEqual(0, gate.counter("drop_held"))

    def test_routes_and_waits(self):
        """under stress strangers wait less and go to another pool, permitted clients to theirs"""
        settings = {"greet_wait": "1s", "command_time_limit": "10s"}
        with Sink("220 friendly\r\n") as friendly, Sink("220 hostile\r\n") as hostile:
            body = (greet(wait="3s", early_look="0s") + limits(held=20)
                    + table("dialogue.pipelining", enable=False)
                    + table("dialogue.non_smtp_command", enable=False)
                    + table("dialogue.bare_newline", enable=False)
                    + overload("6s", stress=settings, emergency=settings)
                    + pool("friendly", f"tcp:127.0.0.1:{friendly.port}", proxy_protocol="none")
                    + pool("hostile", f"tcp:127.0.0.1:{hostile.port}", proxy_protocol="none")
                    + route("friendly", "allowlisted = true")
                    + route("hostile", 'overload = "stress"') + route("friendly"))

            def visit(source, least, most):
                with Client(gate.target, source) as client:
                    greeting = client.reply().splitlines()[-1]
                    self.assertTrue(least <= client.seconds() <= most, client.seconds())
                    return greeting

            with Gate(body, access=f"127.{FRIENDS}.0.0/16 permit\n") as gate:
                self.assertEqual("220 friendly", visit("127.152.0.1", 3, 5))
                with Zombies.all_at_once(gate.target, 18, 1) as crowd:
                    wait_until(lambda: level(gate) == "stress", 10, "there is stress")
                    crowd.result(20)
                self.assertEqual("220 hostile", visit("127.152.0.2", 1, 2.5))
                self.assertEqual("220 friendly", visit(loopback(0, FRIENDS), 0, 1))
                wait_until(lambda: level(gate) == "normal", 30, "it is calm", 0.1)
                self.assertEqual("220 friendly", visit("127.152.0.3", 3, 5))

    def test_tarpit_closes(self):
        """in an emergency the tarpit lets everybody go, and nobody else is held there"""
        body = (greet(wait="2s", early_look="0s", banner="") + limits(held=40)
                + table("tarpit", interval="1s", clients=20) + overload("30s")
                + pool("none", "tcp:127.0.0.1:9", check_interval="0s") + route("none"))
        with Gate(body, access="127.153.0.0/16 reject\n", access_reject="hold") as gate:
            held = [Client(gate.target, loopback(index, 153)) for index in range(5)]
            for client in held:
                self.addCleanup(client.hang_up)
            wait_until(lambda: gate.total()["phases"]["tarpit"] == 5, 5, "all are held")
            with Zombies.all_at_once(gate.target, 34, 5):
                wait_until(lambda: level(gate) == "emergency", 10, "there is an emergency")
                for client in held:
                    self.assertRegex(client.rest(), r"\A(?:550-.*\r\n)*550 .*\r\n\Z")
                with Client(gate.target, "127.153.9.1") as client:
                    self.assertRegex(client.rest(), r"\A521 5\.3\.2 ")
            counters = gate.total()["counters"]
            self.assertEqual((5, 5), (counters["tarpitted"], counters["tarpit_pressed"]))
            self.assertEqual(1, counters["tarpit_closed"])

    def test_flapping(self):
        """a load at the edge of a level does not leave it before its calm"""
        body = (greet(wait="1s", early_look="0s") + limits(held=20) + overload("3s")
                + pool("none", "tcp:127.0.0.1:9", check_interval="0s") + route("none"))
        with Gate(body) as gate:
            for _ in range(5):
                with Zombies.all_at_once(gate.target, 15, 1) as crowd:
                    wait_until(lambda: level(gate) == "busy", 5, "it is busy")
                    crowd.result(10)
                gate.wait_empty()
                time.sleep(0.5)
                self.assertEqual(["entering BUSY"], modes(gate))
            wait_until(lambda: level(gate) == "normal", 10, "it is calm")
            self.assertEqual(["entering BUSY", "leaving BUSY"], modes(gate))

    def test_reload(self):
        """a reload does not end a level, and the new generation leaves it"""
        body = (greet(wait="1s", early_look="0s") + limits(held=20) + overload("4s")
                + pool("none", "tcp:127.0.0.1:9", check_interval="0s") + route("none"))
        with Gate(body, top="shards = 2\ndrain = \"1s\"") as gate:
            with Zombies.all_at_once(gate.target, 15, 1) as crowd:
                wait_until(lambda: level(gate) == "busy", 5, "it is busy")
                crowd.result(10)
            since = gate.status()["overload"]["since"]
            result = run_command("reload", "--socket", gate.control)
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertEqual({"level": "busy", "since": since}, gate.status()["overload"])
            wait_until(lambda: level(gate) == "normal", 15, "it is calm")
            self.assertEqual(["entering BUSY", "leaving BUSY"], modes(gate))


if __name__ == "__main__":
    unittest.main()
