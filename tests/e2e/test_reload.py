"""Reload and upgrade under real clients: nobody's wait begins anew or ends early, no connection is
refused, no message lost, and what is wrong changes nothing."""

import os
import re
import shutil
import signal
import socket
import threading
import time
import unittest

import control
from callers import Callers
from clients import Client, Sink
from gate import Gate, greet, limits, no_dialogue, pool, route
from scratch import LYCHGATE, SANITIZED, free_port, loopback, note, scaled, wait_until
from zombies import Zombies, same_wait


def reload(gate, *words, patience=60):
    """What `lychgate reload` says; fails when it does."""
    result = control.command(gate, "reload", *words, timeout=patience)
    assert result.returncode == 0, result.stderr + gate.log()[-2000:]
    return result.stdout


def rewrite(gate, old, new):
    with open(gate.config, encoding="utf-8") as f:
        text = f.read()
    assert old in text, text
    with open(gate.config, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def generation(gate):
    return gate.status()["generation"]["number"]


class Reload(unittest.TestCase):
    def test_waits_go_on(self):
        """300 clients in the middle of their wait: all hear 220 when it is over, not earlier and
        not later, from the new generation"""
        count, wait = scaled(300, least=50), 5
        with Sink() as sink:
            body = (greet(wait=f"{wait}s") + no_dialogue() + limits(per_address=0)
                    + pool("sink", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none",
                           connections=1000) + route("sink"))
            with Gate(body, top="shards = 2") as gate:
                before = gate.shard_pids()
                with Callers(gate.target, [loopback(i, 50) for i in range(count)]) as callers:
                    wait_until(lambda: gate.held() == count, 10, "all are held")
                    time.sleep(1.5)
                    said = reload(gate)
                    self.assertIn(f"{count} held clients went over", said)
                    self.assertTrue(set(before).isdisjoint(gate.shard_pids()))
                    wait_until(lambda: gate.held() == count, 1, "carried clients are held")
                    heard = callers.results(wait + 5)
                counters = gate.total()["counters"]
        self.assertEqual({"220"}, {h.text.rsplit("\n", 2)[-2][:3] for h in heard})
        self.assertGreaterEqual(min(h.seconds for h in heard), wait, "nobody is let off its wait")
        self.assertLess(max(h.seconds for h in heard), wait + (5 if SANITIZED else 1),
                        "nobody waits again")
        self.assertEqual((count, count, 0), tuple(counters[name] for name in (
            "accepted", "carried", "carry_lost")))
        self.assertEqual(count, counters["pass_new"])

    def test_evidence_goes_along(self):
        """who has spoken before the reload is judged for it after it; a new configuration judges"""
        body = greet(wait="4s", early_look="0s", pregreet="drop")
        with Gate(body) as gate, Client(gate.target, loopback(1, 51)) as talker:
            talker.send("EHLO early\r\n")
            time.sleep(0.5)
            reload(gate)
            self.assertIn("\n521", talker.rest())
            self.assertGreaterEqual(talker.seconds(), 4)
            self.assertEqual(1, gate.counter("pregreet"))

    def test_settings_change(self):
        """banner, wait, pools, routes and listeners are those of the new file; counts go on"""
        with Sink("220 old ESMTP\r\n") as old, Sink("220 new ESMTP\r\n") as new:
            more = free_port()
            body = (greet(wait="0s") + no_dialogue()
                    + pool("one", f"tcp:127.0.0.1:{old.port}", proxy_protocol="none")
                    + route("one"))
            with Gate(body) as gate:
                with Client(gate.target) as client:
                    self.assertIn("old", client.line())
                rewrite(gate, "[[pool]]\n", f'[[listen]]\naddress = "127.0.0.1:{more}"\n'
                        + pool("two", f"tcp:127.0.0.1:{new.port}", proxy_protocol="none")
                        + "[[pool]]\n")
                rewrite(gate, '[[route]]\npool = "one"', '[[route]]\npool = "two"')
                reload(gate)
                for target in (gate.target, ("127.0.0.1", more)):
                    with Client(target) as client:
                        self.assertIn("new", client.line())
                wait_until(lambda: gate.outcomes("two")["taken"] == 2, 5, "two went to pool two")
                self.assertEqual(1, gate.outcomes("one")["taken"], "counted under its name")
                rewrite(gate, f'[[listen]]\naddress = "127.0.0.1:{more}"\n', "")
                wait_until(lambda: self._reload_quietly(gate), 20, "reloaded again")
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", more), 5)
                with Client(gate.target) as client:
                    self.assertIn("new", client.line())

    @staticmethod
    def _reload_quietly(gate):
        return control.command(gate, "reload", timeout=60).returncode == 0

    def test_relay_goes_on(self):
        """a relayed client notices nothing; a third generation waits for it, at most `drain`"""
        with Sink() as sink:
            body = (greet(wait="0s") + no_dialogue()
                    + pool("sink", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none")
                    + route("sink"))
            with Gate(body, top='drain = "4s"') as gate, Client(gate.target) as client:
                self.assertTrue(client.line().startswith("220"))
                self.assertIn("generation 1 finishes 1 more", reload(gate))
                self.assertTrue(client.command("NOOP").startswith("250"))
                self.assertEqual(1, gate.held(), "it still counts")
                with Client(gate.target) as other:
                    self.assertTrue(other.line().startswith("220"))
                    begin = time.monotonic()
                    threading.Timer(1, client.hang_up).start()
                    reload(gate)
                    self.assertGreater(time.monotonic() - begin, 0.9, "it waits for generation 1")
                    self.assertTrue(other.command("NOOP").startswith("250"))
                    begin = time.monotonic()
                    reload(gate)
                    self.assertLess(time.monotonic() - begin, 20)
                    self.assertEqual("", other.rest(), "after `drain` it is ended")

    def test_errors_change_nothing(self):
        """every error is told, with its place, and the gate goes on as it was"""
        with Gate(greet(wait="1s")) as gate:
            before = gate.shard_pids()
            taken = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(taken.close)
            with open(gate.config, encoding="utf-8") as f:
                good = f.read()
            for broken, code, words in (
                    (good.replace('wait = "1s"', 'wait = "1x"'), 78, "greet.wait"),
                    ("shards = 2\n" + good.replace("shards = 1", ""), 78,
                     "shards cannot be changed"),
                    (good.replace(gate.control, gate.control + "2"), 78, "control.socket"),
                    ('user = "nobody"\n' + good, 78, "user cannot be changed"),
                    (good + '[access]\nfile = "/nowhere/access"\n', 66, "/nowhere/access"),
                    (good + f'[[listen]]\naddress = "127.0.0.1:{taken.getsockname()[1]}"\n', 69,
                     "in use"),
                    (good.replace(f"127.0.0.1:{gate.port}", f"0.0.0.0:{gate.port}"), 69,
                     "this gate itself listens"),
                    (good + '[[listen]]\naddress = "203.0.113.9:25"\n', 69, "203.0.113.9"),
                    (good.replace("file:", "file:/nowhere"), 73, "/nowhere")):
                with open(gate.config, "w", encoding="utf-8") as f:
                    f.write(broken)
                fds = descriptors(gate.pid)
                result = control.command(gate, "reload", timeout=60)
                self.assertEqual((code, ""), (result.returncode, result.stdout), words)
                self.assertIn(words, result.stderr)
                self.assertEqual(fds, descriptors(gate.pid), words)
            self.assertEqual(before, gate.shard_pids())
            self.assertEqual(1, generation(gate))
            self.assertGreaterEqual(len(gate.log_lines("reload failed, nothing has changed")), 9)

    def test_hangup_signal(self):
        """SIGHUP reloads, too; the log says how it went, systemd is told"""
        with Gate(greet(wait="1s")) as gate:
            os.kill(gate.pid, signal.SIGHUP)
            wait_until(lambda: gate.log_lines("reload: generation 2 takes clients"), 10, "reloaded")
            wait_until(lambda: generation(gate) == 2, 10, "the steward is the new one")
            for _ in range(5):  # while one is under way; none that came last is forgotten
                os.kill(gate.pid, signal.SIGHUP)
                time.sleep(0.005)
            wait_until(lambda: generation(gate) >= 4, 10, "reloaded once more")

    def test_access_list_need_not_wait(self):
        """an access list is taken while the generation before still has a client; so is an error"""
        with Sink() as sink:
            body = (greet(wait="0s") + no_dialogue()
                    + pool("sink", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none")
                    + route("sink"))
            with Gate(body, top='drain = "30s"', access="127.9.0.0/16 reject\n") as gate, \
                    Client(gate.target) as client:
                self.assertTrue(client.line().startswith("220"))
                reload(gate)
                with open(os.path.join(gate.dir, "access.cidr"), "w", encoding="utf-8") as f:
                    f.write("127.8.0.0/16 reject\n")
                begin = time.monotonic()
                self.assertIn("access list", reload(gate))
                rewrite(gate, 'wait = "0s"', 'wait = "0x"')
                self.assertEqual(78, control.command(gate, "reload", timeout=60).returncode)
                self.assertLess(time.monotonic() - begin, 5)
                self.assertTrue(client.command("NOOP").startswith("250"))

    def test_access_list_in_place(self):
        """a changed access list is taken by the shards that run, their clients not moved"""
        with Gate(greet(wait="30s"), top="shards = 2", access="127.9.0.0/16 reject\n",
                  access_reject="drop") as gate:
            before = gate.shard_pids()
            path = os.path.join(gate.dir, "access.cidr")
            with open(path, "w", encoding="utf-8") as f:
                f.write("127.8.0.0/16 reject\n127.9.0.0/16 dunno\n")
            said = reload(gate)
            self.assertIn("access list", said)
            self.assertEqual(before, gate.shard_pids())
            for i in range(8):  # both shards
                with Client(gate.target, f"127.8.0.{i + 1}") as refused:
                    self.assertRegex(refused.line(), "^521 5.3.2 ")
            with open(path, "w", encoding="utf-8") as f:
                f.write("not an address reject\n")
            broken = control.command(gate, "reload", timeout=60)
            self.assertEqual(78, broken.returncode)
            self.assertIn("access.cidr:1", broken.stderr)
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: 0 not in gate.shard_pids() and gate.shard_pids()[0] != before[0], 5,
                       "a successor runs")
            for i in range(8):
                with Client(gate.target, f"127.8.0.{i + 1}") as refused:
                    self.assertRegex(refused.line(), "^521 5.3.2 ")

    def test_time_of_carrying(self):
        """100,000 held clients go over to the next generation, by a reload and by an upgrade"""
        if SANITIZED:
            self.skipTest("measures time")
        count = scaled(100_000)
        body = (greet(wait="60s", early_look="0s") + same_wait("60s")
                + limits(per_shard=count + 1000)
                + pool("none", f"tcp:127.0.0.1:{free_port()}") + route("none"))
        with Gate(body) as gate, Zombies.all_at_once(gate.target, count, 40):
            wait_until(lambda: gate.held() == count, 60, f"{count} are held", 0.5)
            for command in ("reload", "upgrade"):
                begin = time.monotonic()
                result = control.command(gate, command, timeout=90)
                seconds = time.monotonic() - begin
                self.assertEqual(0, result.returncode, result.stderr)
                told = re.search(r"(\d+) held clients went over in (\d+) ms", result.stdout)
                self.assertEqual(count, int(told.group(1)), result.stdout)
                wait_until(lambda: gate.held() == count, 5, "the last of them have arrived")
                note(f"{count:,} held clients went over in {told.group(2)} ms by {command}, which "
                     f"took {seconds:.2f} s")
            self.assertEqual((count, 2 * count, 0), tuple(
                gate.counter(name) for name in ("accepted", "carried", "carry_lost")))


class Upgrade(unittest.TestCase):
    def test_goes_on(self):
        """the process stays, the program is the new one; waits, relays and counts go on"""
        with Sink() as sink:
            body = (greet(wait="4s") + no_dialogue() + limits(per_address=0)
                    + pool("sink", f"tcp:127.0.0.1:{sink.port}", proxy_protocol="none")
                    + route("sink", "allowlisted = true")
                    + route("sink"))
            with Gate(body, top="shards = 2", access="127.7.0.0/16 permit\n") as gate:
                new = os.path.join(gate.dir, "lychgate-new")
                shutil.copy2(LYCHGATE, new)
                with Client(gate.target, "127.7.0.1") as relayed, \
                        Callers(gate.target, [loopback(i, 52) for i in range(40)]) as callers:
                    self.assertTrue(relayed.line().startswith("220"))
                    wait_until(lambda: gate.held() == 41, 10, "all are held")
                    result = control.command(gate, "upgrade", "--program", new, timeout=60)
                    self.assertEqual(0, result.returncode, result.stderr)
                    self.assertIn("40 held clients went over", result.stdout)
                    self.assertEqual(new, os.readlink(f"/proc/{gate.pid}/exe"))
                    self.assertEqual(new, os.readlink(f"/proc/{gate.shard_pids()[0]}/exe"))
                    self.assertTrue(relayed.command("NOOP").startswith("250"))
                    self.assertEqual(41, gate.counter("accepted"), "counts go on")
                    heard = callers.results(10)
                self.assertGreaterEqual(min(h.seconds for h in heard), 4)
                self.assertLess(max(h.seconds for h in heard), 10 if SANITIZED else 5)
                self.assertEqual(42, 1 + gate.counter("accepted"))
                os.kill(gate.shard_pids()[0], signal.SIGKILL)
                wait_until(lambda: gate.counter("restarts") == 1, 5, "restarts go on")
                self.assertEqual(0, gate.stop())

    def test_what_cannot_take_over(self):
        """no program, no executable, one that fails, one that hangs: nothing changes"""
        with Gate(greet(wait="1s")) as gate:
            before = gate.shard_pids()
            text = os.path.join(gate.dir, "text")
            with open(text, "w", encoding="utf-8") as f:
                f.write("hello\n")
            os.chmod(text, 0o755)
            for program, words in ((os.path.join(gate.dir, "missing"), "No such file"),
                                   (text, "cannot take over"),
                                   (gate.dir, "cannot take over"),
                                   ("/bin/false", "ends with status 1"),
                                   ("/bin/true", "no lychgate that knows how"),
                                   (self._script(gate, "exec >&- 2>&-; sleep 3"),
                                    "no lychgate that knows how"),
                                   (self._script(gate, "kill -9 $$"), "ended by signal 9")):
                fds = descriptors(gate.pid)
                result = control.command(gate, "upgrade", "--program", program, timeout=60)
                self.assertEqual(69, result.returncode, program)
                self.assertIn(words, result.stderr)
                self.assertEqual(fds, descriptors(gate.pid), program)
            rewrite(gate, 'wait = "1s"', 'wait = "1x"')
            result = control.command(gate, "upgrade", timeout=60)
            self.assertEqual(69, result.returncode)
            self.assertIn("greet.wait", result.stderr)
            self.assertEqual(before, gate.shard_pids())

    @staticmethod
    def _script(gate, text):
        path = os.path.join(gate.dir, f"program-{abs(hash(text))}")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path

    def test_stop_meanwhile(self):
        """a gate that is to stop while it asks a new program, or carries clients, stops"""
        with Gate(greet(wait="60s"), top='drain = "1s"') as gate:
            slow = self._script(gate, "sleep 30")
            asker = threading.Thread(target=control.command, args=(gate, "upgrade", "--program",
                                                                   slow), kwargs={"timeout": 60})
            asker.start()
            time.sleep(0.5)
            self.assertEqual(1, generation(gate), "it goes on meanwhile")
            begin = time.monotonic()
            self.assertEqual(0, gate.stop())
            self.assertLess(time.monotonic() - begin, 10)
            asker.join()

    def test_keys_that_need_a_restart(self):
        """the new program finds out before it takes over what would keep it from going on"""
        with Gate(greet(wait="1s")) as gate:
            rewrite(gate, "shards = 1", "shards = 2")
            result = control.command(gate, "upgrade", timeout=60)
            self.assertEqual(69, result.returncode)
            self.assertIn("shards cannot be changed", result.stderr)
            rewrite(gate, "shards = 2", "shards = 1")
            self.assertEqual(0, control.command(gate, "upgrade", timeout=60).returncode)

    def test_default_socket_of_root(self):
        """a gate that was started by root and became a user finds the defaults of root again"""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        with Gate(greet(wait="1s"), top='user = "nobody"', owner="nobody") as gate:
            os.chmod(gate.config, 0o644)
            for command in ("reload", "upgrade", "reload"):
                result = control.command(gate, command, timeout=60)
                self.assertEqual(0, result.returncode, result.stderr)
            self.assertEqual(4, generation(gate))
