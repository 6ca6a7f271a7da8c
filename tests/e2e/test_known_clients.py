"""Clients that are remembered: who has passed comes back without a wait, who has failed is refused
at once, and neither a killed gate nor a dead steward nor a full disk changes more than that."""

import os
import signal
import subprocess
import time
import unittest

import shared
from clients import Client, Sink
from gate import Gate, greet, limits, no_dialogue, pool, route, table
from scratch import SANITIZED, ScratchDir, loopback, note, wait_until

WAIT = 1.0
AT_ONCE = 0.9 if SANITIZED else 0.5


class KnownClients(unittest.TestCase):
    def setUp(self):
        self.scratch = ScratchDir("known")
        self.addCleanup(self.scratch.remove)
        self.store = os.path.join(self.scratch.path, "clients.mdb")

    def _body(self, *backends, settings=None, routes=route("sink"), **greeting):
        return (greet(wait=f"{WAIT:.0f}s", early_look="0s", **greeting) + no_dialogue()
                + limits(per_address=0) + "".join(backends) + routes
                + table("store", **{"file": self.store, **(settings or {})}))

    @staticmethod
    def _sink_pool(sink, name="sink"):
        return pool(name, f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none", connections=1000,
                    check_interval="0s")

    def _visit(self, gate, source):
        """A polite session. Seconds to the final 220, and the greeting."""
        with Client(gate.target, source) as client:
            greeting = client.reply()
            seconds = client.seconds()
            self.assertRegex(greeting, r"(?m)^220 ")
            self.assertTrue(client.command("QUIT").startswith("221"))
            return seconds, greeting

    def _stranger(self, gate, source):
        seconds, greeting = self._visit(gate, source)
        self.assertGreaterEqual(seconds, WAIT)
        self.assertTrue(greeting.startswith("220-"))

    def _friend(self, gate, source):
        seconds, greeting = self._visit(gate, source)
        self.assertLess(seconds, AT_ONCE)
        self.assertFalse(greeting.startswith("220-"), "no teaser for whom nothing is to be tested")
        return seconds

    @staticmethod
    def _wait_written(gate, visits):
        """The steward was told of so many, and has had the time for a batch."""
        wait_until(lambda: gate.counter("visits_told") >= visits, 5, f"{visits} visits were told")
        time.sleep(0.5)

    @staticmethod
    def _kill_all(gate):
        for pid in gate.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        gate.wait_gone(5)

    def test_comes_back(self):
        """a stranger passes once, comes back and is handed over at once; also after kill -9"""
        with Sink() as sink:
            body = self._body(self._sink_pool(sink))
            with Gate(body) as gate:
                self._stranger(gate, "127.60.0.1")
                self._wait_written(gate, 1)
                first = self._friend(gate, "127.60.0.1")
                self.assertEqual(1, gate.counter("pass_new"))
                self.assertEqual(1, gate.counter("pass_old"))
                self.assertEqual(1, len(gate.log_lines("PASS NEW [127.60.0.1]")))
                self.assertEqual(1, len(gate.log_lines("PASS OLD [127.60.0.1]")))
                self._stranger(gate, "127.60.0.2")
                self._wait_written(gate, 3)
                self._kill_all(gate)
            with Gate(body, top="shards = 2") as gate:
                second = self._friend(gate, "127.60.0.1")
                self._friend(gate, "127.60.0.2")
                self._stranger(gate, "127.60.0.3")
        note(f"220 after {first * 1000:.1f} ms, {second * 1000:.1f} ms after kill -9 and a start")

    def test_ordered_end(self):
        """what was learned in the last moment before SIGTERM is remembered too"""
        with Sink() as sink:
            body = self._body(self._sink_pool(sink))
            with Gate(body) as gate:
                self._stranger(gate, "127.60.1.1")
                self.assertEqual(0, gate.stop())
            with Gate(body) as gate:
                self._friend(gate, "127.60.1.1")

    def test_postfix(self):
        """a known client meets Postfix itself, at once, and its mail face is the friendly one"""
        postfix = shared.the_postfix()
        body = self._body(pool("friendly", f"pass:{postfix.friendly}"),
                          pool("hostile", f"pass:{postfix.hostile}"),
                          routes=route("friendly", "known = true") + route("hostile"))
        mark = postfix.log_mark()
        with Gate(body) as gate:
            with Client(gate.target, "127.60.2.1") as client:
                self.assertIn("220 mx.gate.test", client.reply())
                stranger = client.name
                client.command("QUIT")
            self._wait_written(gate, 1)
            with Client(gate.target, "127.60.2.1") as client:
                self.assertEqual("220 mx.gate.test ESMTP Postfix\r\n", client.reply())
                self.assertLess(client.seconds(), AT_ONCE)
                friend = client.name
                client.command("QUIT")
            for face, name in (("hostile", stranger), ("friendly", friend)):
                wait_until(lambda f=face, n=name: n in postfix.clients_since(mark, f), 5,
                           f"postfix/{face} logged {name}")

    def test_steward_dies(self):
        """a killed steward holds nobody up; what it had written is known, and records flow again"""
        with Sink() as sink, Gate(self._body(self._sink_pool(sink))) as gate:
            self._stranger(gate, "127.60.3.1")
            self._wait_written(gate, 1)
            steward = next(pid for pid in gate.processes()
                           if self._name(pid).startswith("lychgate/stew"))
            os.kill(steward, signal.SIGSTOP)
            self._friend(gate, "127.60.3.1")
            self._stranger(gate, "127.60.3.2")
            os.kill(steward, signal.SIGKILL)
            self._stranger(gate, "127.60.3.3")
            self._wait_written(gate, 4)
            self._friend(gate, "127.60.3.2")
            self._friend(gate, "127.60.3.3")
            self.assertEqual(0, gate.counter("visits_lost"))

    @staticmethod
    def _name(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                return name.read().strip()
        except OSError:
            return ""

    def _offender(self, pregreet, judged, first, again):
        """`first` and `again` say what a client heard that speaks early, and that is silent."""
        with Sink() as sink:
            body = self._body(self._sink_pool(sink), settings={"failures": "5s"}, pregreet=pregreet)
            with Gate(body) as gate:
                with Client(gate.target, "127.60.4.1") as client:
                    client.send("EHLO rude.test\r\n")
                    said = first(client)
                failed = time.monotonic()
                self._wait_written(gate, 1)
                with Client(gate.target, "127.60.4.1") as client:
                    silent = again(client)
                    self.assertLess(client.seconds(), AT_ONCE)
                self.assertEqual(said, silent)
                self.assertEqual(1, gate.counter("known_refused"))
                self.assertEqual(2, gate.counter(judged))
                self.assertEqual(1, gate.counter("pregreet"), "there was no second test")
                self.assertEqual(0, sink.connections)
                rejected = len(gate.log_lines("NOQUEUE: reject: RCPT", "[127.60.4.1]", said[0]))
                self.assertEqual(2 if pregreet == "enforce" else 0, rejected)
                time.sleep(max(0, failed + 6.5 - time.monotonic()))
                self._stranger(gate, "127.60.4.1")
                self.assertEqual(2, gate.counter("visits_told"), "a refusal is no visit")
        return said[0]

    def test_offender(self):
        """who spoke early is refused at once with the same words, until that is forgotten"""
        def first(client):
            self.assertRegex(client.reply(), r"\A220-.*\r\n250 ")
            return client.ask_rcpt().splitlines()

        def again(client):
            self.assertRegex(client.reply(), r"\A220 ")
            return client.ask_rcpt().splitlines()
        self.assertIn("550 5.5.1", self._offender("enforce", "refused", first, again))

    def test_dropped_offender(self):
        """the same with pregreet = drop: 521 in the greeting, both times"""
        said = self._offender("drop", "dropped", lambda client: client.rest().splitlines()[-1:],
                              lambda client: client.rest().splitlines())
        self.assertIn("521 5.5.1", said)

    def test_min_passes(self):
        """a stranger becomes a preferred client by behaving: min_passes and seen_for"""
        with Sink() as friendly, Sink() as hostile:
            body = self._body(
                self._sink_pool(friendly, "friendly"), self._sink_pool(hostile, "hostile"),
                routes=route("friendly", 'min_passes = 2, seen_for = "2s"') + route("hostile"))
            with Gate(body) as gate:
                for visits in (1, 2):
                    self._visit(gate, "127.60.5.1")
                    self._wait_written(gate, visits)
                self.assertEqual((0, 2), (friendly.connections, hostile.connections))
                time.sleep(1.5)
                self._friend(gate, "127.60.5.1")
                self.assertEqual((1, 2), (friendly.connections, hostile.connections))
                self._stranger(gate, "127.60.5.2")
                self.assertEqual((1, 3), (friendly.connections, hostile.connections))

    def test_full_disk(self):
        """no space for the store: one line, traffic goes on; with space, records flow again"""
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        folder = os.path.join(self.scratch.path, "small")
        os.mkdir(folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a tmpfs here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        self.store = os.path.join(folder, "clients.mdb")
        with Sink() as sink, Gate(self._body(self._sink_pool(sink))) as gate:
            filler = os.path.join(folder, "filler")
            self._fill(filler)
            self._pass_many(gate, 200)
            wait_until(lambda: gate.log_lines("warning: client store"), 5, "a line says so")
            self._pass_many(gate, 20)
            time.sleep(2.5)
            self.assertEqual(1, len(gate.log_lines("warning: client store")), gate.log()[-3000:])
            os.unlink(filler)
            wait_until(lambda: gate.log_lines("client store", "works again"), 5,
                       "and that it works")
            self._friend(gate, loopback(1, 61))

    @staticmethod
    def _fill(path):
        with open(path, "wb", buffering=0) as out:
            try:
                while out.write(b"x" * 4096):
                    pass
            except OSError:
                pass

    def _pass_many(self, gate, count):
        clients = [Client(gate.target, loopback(index + 1, 61)) for index in range(count)]
        for client in clients:
            with client:
                self.assertRegex(client.reply(), r"(?m)^220 ")

    def test_no_folder(self):
        """a store that cannot be made: one line with the path, everybody is a stranger"""
        self.store = os.path.join(self.scratch.path, "missing", "clients.mdb")
        with Sink() as sink, Gate(self._body(self._sink_pool(sink)), top="shards = 2") as gate:
            self._stranger(gate, "127.60.7.1")
            self._stranger(gate, "127.60.7.1")
            self.assertEqual(1, len(gate.log_lines(self.store)), gate.log())

    def test_state_directory(self):
        """under systemd the store is in the unit's state directory without being configured"""
        with Sink() as sink:
            body = self._body(self._sink_pool(sink)).replace(f'file = "{self.store}"\n', "")
            with Gate(body, environment={"STATE_DIRECTORY": self.scratch.path}) as gate:
                self._stranger(gate, "127.60.8.1")
                self._wait_written(gate, 1)
                self._friend(gate, "127.60.8.1")
            self.assertTrue(os.path.exists(self.store))

    def test_without_store(self):
        """without a store nobody is remembered and nobody is told"""
        with Sink() as sink:
            body = self._body(self._sink_pool(sink)).replace(f'file = "{self.store}"\n', "")
            with Gate(body) as gate:
                self._stranger(gate, "127.60.9.1")
                self._stranger(gate, "127.60.9.1")
                self.assertEqual(0, gate.counter("visits_told"))
